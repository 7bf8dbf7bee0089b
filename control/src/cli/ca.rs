//! `floe ca`: the issuers of the fleet's certificates.

use clap::Subcommand;
use floe_proto::pb;

use super::context::Context;
use super::end::{End, Stopped};
use super::view::ca::{AuthorityView, RetiredView, RotatedView};
use crate::repository::Span;

/// Look at the fleet's CA, let another issuer sign, retire one
///
/// Hosts pin the root alone. Its key, DATA/ca/root.key on the control plane, is needed
/// for `rotate` only: take it offline, and keep it safe.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Ca {
    /// Show the issuers, and how many hosts have a certificate of each
    #[command(after_help = SHOW_EXAMPLES)]
    Show,
    /// Make the next issuer: it signs from now on, and hosts renew
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate {
        /// Over how long the hosts spread their renewals; at most a day
        #[arg(long, value_name = "SPAN", default_value = "5m")]
        within: Span,
    },
    /// Believe an issuer no more: whatever it signed is refused
    ///
    /// Hosts that still have a certificate of it would have to be enrolled anew, so it is
    /// refused while there are any. Operators who logged in before the rotation log in
    /// again.
    #[command(after_help = RETIRE_EXAMPLES)]
    Retire {
        /// Which, as `floe ca show` numbers them
        issuer: u32,
        /// Although hosts are lost by it
        #[arg(long)]
        yes: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  floe ca show
  floe ca rotate                 # then wait until no host is left with the older one
  floe ca retire 1";

const SHOW_EXAMPLES: &str = "\
Examples:
  floe ca show --output json";

const ROTATE_EXAMPLES: &str = "\
Examples:
  floe ca rotate
  floe ca rotate --within 2h     # of a large fleet";

const RETIRE_EXAMPLES: &str = "\
Examples:
  floe ca retire 1
  floe ca retire 1 --yes         # its key was stolen: hosts with its certificates are lost";

impl Ca {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let connection = context.connect().await?;
        let mut authority = connection.authority();
        match self {
            Self::Show => {
                let shown = authority.show_authority(pb::ShowAuthorityRequest {}).await;
                let shown = shown.map_err(connection.refusal("show the CA"))?;
                context.print(&AuthorityView::from(shown.into_inner()))?;
            }
            Self::Rotate { within } => {
                let within_seconds = within.whole_seconds().ok_or_else(|| {
                    Stopped::failed(
                        "--within is no whole number of seconds",
                        "give a span such as 90s or 5m",
                    )
                })?;
                let request = pb::RotateIssuerRequest { within_seconds };
                let rotated = authority.rotate_issuer(request).await;
                let rotated = rotated.map_err(connection.refusal("rotate the CA"))?;
                context.print(&RotatedView::from(rotated.into_inner()))?;
            }
            Self::Retire { issuer, yes } => {
                let request = pb::RetireIssuerRequest { number: issuer, force: yes };
                let refusal = connection.refusal(&format!("retire the issuer {issuer}"));
                let retired = authority.retire_issuer(request).await.map_err(refusal)?;
                context.print(&RetiredView { issuer, lost: retired.into_inner().lost })?;
            }
        }
        Ok(End::Done)
    }
}
