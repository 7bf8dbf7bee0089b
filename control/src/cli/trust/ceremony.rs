//! `floe trust sign`, `merge`, `publish`: from a proposal to what hosts believe.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use floe_proto::pb;
use floe_proto::root::Root;

use super::super::context::Context;
use super::super::end::Stopped;
use super::super::view::trust::{ProposalView, PublishedView};
use super::desk::{self, Desk};
use crate::durable;
use crate::repository;
use crate::signing::KeySource;
use crate::trust::proposal::Proposal;

/// Sign what is drawn up, with the keys that you hold
///
/// With --key anywhere, also on a machine without the repository and without a network.
/// Look at what you sign first: floe trust show FILE
#[derive(Args, Debug)]
#[command(after_help = SIGN_EXAMPLES)]
pub(in crate::cli) struct Sign {
    /// The proposal [default: trust-next.json of the repository]
    file: Option<PathBuf>,

    /// File with your key; may be repeated [default: what floe.toml and the environment name]
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,

    /// Where to write the signed piece [default: back into the file]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Take the signatures of pieces over into trust-next.json
#[derive(Args, Debug)]
#[command(after_help = MERGE_EXAMPLES)]
pub(in crate::cli) struct Merge {
    /// Pieces, as their signers returned them
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Make what is drawn up and signed the fleet's trust root
///
/// Sends it to the control plane, which passes it on to every host, and replaces
/// trust.json. Version 1 is sent to nobody: images and hosts carry it.
#[derive(Args, Debug)]
#[command(after_help = PUBLISH_EXAMPLES)]
pub(in crate::cli) struct Publish {
    /// Only replace trust.json; `floe serve` takes it up when it starts
    #[arg(long)]
    local: bool,
}

const SIGN_EXAMPLES: &str = "\
Examples:
  floe trust sign                                            # with the keys of floe.toml
  floe trust sign trust-next.json --key /media/usb/root.pem --out from-bob.json";

const MERGE_EXAMPLES: &str = "\
Examples:
  floe trust merge from-bob.json from-eve.json";

const PUBLISH_EXAMPLES: &str = "\
Examples:
  floe trust publish
  floe trust publish --local     # no control plane runs yet";

impl Sign {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        // Somebody who brings file and key needs no repository.
        let desk = match (&self.file, self.keys.is_empty()) {
            (Some(_), false) => Desk::open(context).ok(),
            _ => Some(Desk::open(context)?),
        };
        let (path, mut proposal) = match (&self.file, &desk) {
            (Some(path), _) => (path.clone(), desk::read(path)?),
            (None, Some(desk)) => (desk.proposal_file(), desk.drawn()?),
            (None, None) => return Err(repository_needed().into()),
        };
        // A repository of another fleet or version has nothing to say about it.
        let current = desk.as_ref().and_then(|desk| {
            let current = desk.current.as_deref();
            proposal.follows(desk.fleet(), current).ok().and(current)
        });
        let sources = match &desk {
            Some(desk) => {
                KeySource::choose(&self.keys, desk.repository.signing(), context.environment())
            }
            None => KeySource::choose(&self.keys, Vec::new(), context.environment()),
        };
        let mut signed = 0_usize;
        for source in sources {
            let signer = source.open(context.environment())?;
            let id = signer.public().id();
            if counts(&proposal, current, &signer.public()) {
                signer.sign_envelope(proposal.envelope_mut()).await?;
                signed += 1;
            } else if !self.keys.is_empty() {
                return Err(Stopped::refused(
                    format!("the key `{}` ({id}) may not sign this", source.name()),
                    "only root keys sign a trust root, of the present version and of the next; \
                     `floe trust show` lists them",
                )
                .into());
            }
        }
        if signed == 0 {
            return Err(Stopped::refused(
                "none of your keys may sign this",
                "name a root key with --key; `floe trust show` lists who may",
            )
            .into());
        }
        let out = self.out.unwrap_or(path);
        desk::write(&out, &proposal)?;
        context.print(&ProposalView::new(&proposal, current, &out, context.now()))
    }
}

/// Whether a signature of `key` counts. Where the version before is not at hand, nobody
/// here can tell, and everybody else will.
fn counts(proposal: &Proposal, current: Option<&Root>, key: &floe_proto::key::PublicKey) -> bool {
    let known = current.is_some() || proposal.root().version == 1;
    let listed = |root: &Root| root.root.keys.contains(&key.id());
    !known || listed(proposal.root()) || current.is_some_and(listed)
}

fn repository_needed() -> Stopped {
    Stopped::failed(
        "it is not known what to sign",
        "name the proposal, or change to the repository",
    )
}

impl Merge {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        let desk = Desk::open(context)?;
        let mut pieces = self.files.iter();
        // Whoever drew it up may have handed their only copy out.
        let mut proposal = match (desk.proposal()?, pieces.as_slice()) {
            (Some(proposal), _) => proposal,
            (None, [first, ..]) => {
                let proposal = desk::read(first)?;
                proposal.follows(desk.fleet(), desk.current.as_deref())?;
                proposal
            }
            (None, []) => desk.drawn()?,
        };
        pieces.try_for_each(|path| {
            proposal
                .merge(&desk::read(path)?)
                .with_context(|| format!("could not merge `{}`", path.display()))
        })?;
        desk.keep(context, &proposal)
    }
}

impl Publish {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let desk = Desk::open(context)?;
        let proposal = desk.drawn()?;
        let missing: Vec<String> = proposal
            .requirements(desk.current.as_deref())
            .iter()
            .filter(|needs| needs.missing() > 0)
            .map(|needs| {
                format!("{} more of the root keys of version {}", needs.missing(), needs.version)
            })
            .collect();
        if !missing.is_empty() {
            return Err(Stopped::refused(
                format!("too few signed it: {} must", missing.join(", and ")),
                "`floe trust show` says who may; each runs `floe trust sign`",
            )
            .into());
        }
        let root = proposal
            .finish(desk.current.as_ref())
            .map_err(|error| Stopped::refused(error.to_string(), error.advice()))?;
        if root.expires <= context.now() {
            return Err(Stopped::refused(
                format!("it has expired already, at {}", root.expires),
                "draw up a new expiry with `floe trust renew`, and sign again",
            )
            .into());
        }

        let envelope = proposal.to_bytes()?;
        let sent = !self.local && root.version > 1;
        if sent {
            let connection = context.connect_from(Some(&desk.repository)).await?;
            let refusal = connection.refusal("publish the trust root");
            let request = pb::PublishRootRequest { root_envelope: envelope.clone() };
            connection.trust().publish_root(request).await.map_err(refusal)?;
        }
        replace(&desk, &envelope)?;
        context.print(&PublishedView {
            version: root.version,
            digest: root.digest().to_string(),
            sent,
            expires: root.expires,
        })
    }
}

/// What is believed from now on. The version before stays beside it: what was published
/// under it is known by it. A crash in between is mended by publishing again.
fn replace(desk: &Desk, envelope: &[u8]) -> anyhow::Result<()> {
    let path = desk.repository.trust_file();
    let unwritten = |path: &PathBuf| format!("could not write `{}`", path.display());
    if let Some(current) = &desk.current {
        let old = desk.repository.older_trust_file(current.version);
        if let Some(directory) = old.parent() {
            fs::create_dir_all(directory).with_context(|| unwritten(&old))?;
        }
        let bytes =
            fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        durable::write_file(&old, &bytes, 0o644).with_context(|| unwritten(&old))?;
    }
    durable::write_file(&path, envelope, 0o644).with_context(|| unwritten(&path))?;
    repository::read_trust(&path)?;
    let drawn = desk.proposal_file();
    fs::remove_file(&drawn).with_context(|| format!("could not remove `{}`", drawn.display()))
}
