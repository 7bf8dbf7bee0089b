//! `floe trust`: which keys may sign what, from one version to the next.
//!
//! ```text
//! change ─▶ trust-next.json ─▶ ceremony: sign, merge, publish ─▶ trust.json
//!                  └─ show ────────┘
//! ```
//!
//! A key never travels: the file does. [`desk`] is what all of them work on.

mod ceremony;
mod change;
mod desk;
mod show;

use clap::Subcommand;

use super::context::Context;
use super::end::End;

/// Decide which keys may sign: draw up, sign and publish the next trust root
///
/// The trust root lists the keys that may sign bundles (release) and those that may sign
/// the next trust root (root), and how many of each must. A change is drawn up in
/// trust-next.json, signed by as many root keys as the present version and the next one
/// ask for, each wherever its holder keeps it, and published.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Trust {
    Init(change::Init),
    Show(show::Show),
    AddKey(change::AddKey),
    RemoveKey(change::RemoveKey),
    SetThreshold(change::SetThreshold),
    Renew(change::Renew),
    RaiseEpoch(change::RaiseEpoch),
    Sign(ceremony::Sign),
    Merge(ceremony::Merge),
    Publish(ceremony::Publish),
}

const EXAMPLES: &str = "\
Examples:
  floe trust add-key keys/ada.pub --role release     # draw it up: trust-next.json
  floe trust sign --key /media/usb/root.pem          # each holder signs
  floe trust merge from-bob.json from-eve.json       # the pieces come together
  floe trust show                                    # who signed, who is missing
  floe trust publish                                 # hosts follow";

impl Trust {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        match self {
            Self::Init(init) => init.run(context)?,
            Self::Show(show) => Box::pin(show.run(context)).await?,
            Self::AddKey(add) => add.run(context)?,
            Self::RemoveKey(remove) => remove.run(context)?,
            Self::SetThreshold(set) => set.run(context)?,
            Self::Renew(renew) => renew.run(context)?,
            Self::RaiseEpoch(raise) => raise.run(context)?,
            Self::Sign(sign) => Box::pin(sign.run(context)).await?,
            Self::Merge(merge) => merge.run(context)?,
            Self::Publish(publish) => Box::pin(publish.run(context)).await?,
        }
        Ok(End::Done)
    }
}
