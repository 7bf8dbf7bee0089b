//! `floe trust init`, `add-key`, `remove-key`, `set-threshold`, `renew`, `raise-epoch`:
//! draw up the next version. Several of them may follow on each other before anybody
//! signs; afterwards each takes the signatures away.

use clap::Args;
use floe_proto::key::{KeyId, PublicKey};
use floe_proto::root::Root;

use super::super::context::Context;
use super::super::end::Stopped;
use super::desk::{Desk, public_key};
use crate::repository::{PROPOSAL_FILE, Span, TRUST_FILE};
use crate::trust::key_role::KeyRole;
use crate::trust::proposal::{Change, Proposal};

/// For how long a version is good unless it is said.
const VALID_FOR: &str = "365d";

/// Draw up version 1 of the trust root, of several people's public keys
///
/// For a fleet that begins with more than one key; `floe init` begins with one. Keys are
/// given as files or as the base64 that `floe keys show` prints.
#[derive(Args, Debug)]
#[command(after_help = INIT_EXAMPLES)]
pub(in crate::cli) struct Init {
    /// Key that signs trust roots; may be repeated
    #[arg(long = "root", value_name = "KEY", required = true)]
    root: Vec<String>,

    /// How many of them must sign
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    root_threshold: u32,

    /// Key that signs bundles; may be repeated
    #[arg(long = "release", value_name = "KEY", required = true)]
    release: Vec<String>,

    /// How many of them must sign
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    release_threshold: u32,

    /// For how long it is good
    #[arg(long, value_name = "SPAN", default_value = VALID_FOR)]
    valid_for: Span,
}

/// Let a key sign, from the next version on
#[derive(Args, Debug)]
#[command(after_help = ADD_EXAMPLES)]
pub(in crate::cli) struct AddKey {
    /// Public key (base64), or a file with it or with the secret key
    key: String,

    /// What it signs: trust roots (root) or bundles (release)
    #[arg(long, value_name = "ROLE")]
    role: KeyRole,
}

/// Let a key sign no more, from the next version on
///
/// What it signed is not believed any more, once hosts have followed: push every role
/// again whose newest bundle it signed (`floe push ROLE --renew`).
#[derive(Args, Debug)]
#[command(after_help = REMOVE_EXAMPLES)]
pub(in crate::cli) struct RemoveKey {
    /// Key id or its beginning (8 digits at least), public key, or a file
    key: String,

    /// Only as this: root or release [default: both]
    #[arg(long, value_name = "ROLE")]
    role: Option<KeyRole>,
}

/// Say how many keys must sign, from the next version on
#[derive(Args, Debug)]
#[command(after_help = SET_EXAMPLES)]
pub(in crate::cli) struct SetThreshold {
    /// As what: root or release
    role: KeyRole,

    /// How many different keys
    number: u32,
}

/// Draw up the next version with a new expiry and nothing else
#[derive(Args, Debug)]
#[command(after_help = RENEW_EXAMPLES)]
pub(in crate::cli) struct Renew {
    /// For how long it is good, from now
    #[arg(long, value_name = "SPAN", default_value = VALID_FOR)]
    valid_for: Span,
}

/// Begin the next epoch: nothing that was pushed before is believed any more
///
/// For when somebody signed with a stolen release key: serials begin anew, so that
/// whatever was signed under a high one is out of the way. Push every role afterwards.
#[derive(Args, Debug)]
#[command(after_help = RAISE_EXAMPLES)]
pub(in crate::cli) struct RaiseEpoch {}

const INIT_EXAMPLES: &str = "\
Examples:
  floe trust init --root ada.pub --root bob.pub --root eve.pub --root-threshold 2 \\
                  --release keys/release.pem";

const ADD_EXAMPLES: &str = "\
Examples:
  floe trust add-key A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= --role release
  floe trust add-key keys/release-2.pem --role release";

const REMOVE_EXAMPLES: &str = "\
Examples:
  floe trust remove-key 34750f98bd59
  floe trust remove-key 34750f98bd59 --role root     # it still signs bundles";

const SET_EXAMPLES: &str = "\
Examples:
  floe trust set-threshold root 2
  floe trust set-threshold release 1";

const RENEW_EXAMPLES: &str = "\
Examples:
  floe trust renew
  floe trust renew --valid-for 180d";

const RAISE_EXAMPLES: &str = "\
Examples:
  floe trust raise-epoch";

impl Init {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        let desk = Desk::open(context)?;
        for (there, name) in
            [(desk.current.is_some(), TRUST_FILE), (desk.proposal_file().exists(), PROPOSAL_FILE)]
        {
            if there {
                return Err(Stopped::failed(
                    format!("there is a {name} already"),
                    "change it with `floe trust add-key` and the like; a fleet that no host \
                     belongs to yet can begin again when you remove the file",
                )
                .into());
            }
        }
        let keys = |typed: &[String]| -> anyhow::Result<Vec<PublicKey>> {
            typed.iter().map(|typed| public_key(context, typed)).collect()
        };
        let (root, release) = (keys(&self.root)?, keys(&self.release)?);
        let proposal = Proposal::first(
            desk.fleet().clone(),
            (&root, self.root_threshold),
            (&release, self.release_threshold),
            context.now().after(self.valid_for.duration()),
        )?;
        desk.keep(context, &proposal)
    }
}

impl AddKey {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        let key = public_key(context, &self.key)?;
        draw(context, |_| Ok(Change::AddKey(key, self.role)))
    }
}

impl RemoveKey {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        draw(context, |root| Ok(Change::RemoveKey(listed(context, root, &self.key)?, self.role)))
    }
}

impl SetThreshold {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        draw(context, |_| Ok(Change::SetThreshold(self.role, self.number)))
    }
}

impl Renew {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        let expires = context.now().after(self.valid_for.duration());
        draw(context, |_| Ok(Change::Expire(expires)))
    }
}

impl RaiseEpoch {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        draw(context, |_| Ok(Change::RaiseEpoch))
    }
}

/// Changes what is drawn up, or draws up what follows trust.json. A new version is good
/// for a year: its holders come together anyway.
fn draw(
    context: &Context,
    change: impl FnOnce(&Root) -> anyhow::Result<Change>,
) -> anyhow::Result<()> {
    let desk = Desk::open(context)?;
    let mut proposal = match desk.proposal()? {
        Some(proposal) => proposal,
        None => {
            let year: Span = VALID_FOR.parse()?;
            Proposal::after(desk.current()?, context.now().after(year.duration()))?
        }
    };
    let change = change(proposal.root())?;
    let of = desk.current.as_deref();
    let signed = proposal.requirements(of).iter().any(|needs| !needs.signed.is_empty());
    proposal.change(change)?;
    if signed {
        context.progress().note("what was signed before is void: everybody signs again");
    }
    desk.keep(context, &proposal)
}

/// The key that was typed, among those that are listed.
fn listed(context: &Context, root: &Root, typed: &str) -> anyhow::Result<KeyId> {
    let is_prefix = typed.len() >= 8 && typed.chars().all(|c| c.is_ascii_hexdigit());
    if is_prefix {
        let typed = typed.to_ascii_lowercase();
        let ids = root.keys.iter().map(PublicKey::id);
        let mut found = ids.filter(|id| id.to_string().starts_with(&typed));
        if let (Some(id), None) = (found.next(), found.next()) {
            return Ok(id);
        }
        return Err(Stopped::failed(
            format!("`{typed}` is not the beginning of exactly one key id"),
            "`floe trust show` lists all keys",
        )
        .into());
    }
    Ok(public_key(context, typed)?.id())
}
