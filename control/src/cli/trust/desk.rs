//! What the commands of `floe trust` work on: trust.json, and trust-next.json beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use floe_proto::id::Fleet;
use floe_proto::key::PublicKey;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::Verified;

use super::super::context::Context;
use super::super::end::Stopped;
use super::super::view::trust::ProposalView;
use crate::durable;
use crate::repository::{PROPOSAL_FILE, Repository, TRUST_FILE};
use crate::signing::KeySource;
use crate::trust::proposal::Proposal;

/// The repository, as far as trust is concerned.
pub(super) struct Desk {
    pub(super) repository: Repository,
    /// `trust.json`; `None` before the first.
    pub(super) current: Option<Verified<Root>>,
}

impl Desk {
    pub(super) fn open(context: &Context) -> anyhow::Result<Self> {
        let repository = context.repository()?;
        let current =
            if repository.trust_file().exists() { Some(repository.trust()?) } else { None };
        Ok(Self { repository, current })
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.repository.file().fleet
    }

    /// `trust.json`, which a change is a change of.
    pub(super) fn current(&self) -> Result<&Verified<Root>, Stopped> {
        self.current.as_ref().ok_or_else(|| {
            Stopped::failed(
                format!("there is no {TRUST_FILE} yet"),
                "begin with `floe trust init`, or with `floe init` for a fleet of one key",
            )
        })
    }

    pub(super) fn proposal_file(&self) -> PathBuf {
        self.repository.proposal_file()
    }

    /// What is drawn up, if anything is.
    pub(super) fn proposal(&self) -> anyhow::Result<Option<Proposal>> {
        let path = self.proposal_file();
        if !path.exists() {
            return Ok(None);
        }
        let proposal = read(&path)?;
        proposal.follows(self.fleet(), self.current.as_deref())?;
        Ok(Some(proposal))
    }

    /// What is drawn up; without it there is nothing to do.
    pub(super) fn drawn(&self) -> anyhow::Result<Proposal> {
        self.proposal()?.ok_or_else(|| {
            Stopped::failed(
                format!("there is no {PROPOSAL_FILE}: nothing is drawn up"),
                "draw up a change, such as `floe trust renew`",
            )
            .into()
        })
    }

    /// Keeps what is drawn up, and shows how far it is.
    pub(super) fn keep(&self, context: &Context, proposal: &Proposal) -> anyhow::Result<()> {
        let path = self.proposal_file();
        write(&path, proposal)?;
        context.print(&self.view(proposal, &path, context.now()))
    }

    pub(super) fn view(&self, proposal: &Proposal, path: &Path, now: Timestamp) -> ProposalView {
        ProposalView::new(proposal, self.current.as_deref(), path, now)
    }
}

/// Reads a proposal or a piece of one.
pub(super) fn read(path: &Path) -> anyhow::Result<Proposal> {
    let unread = || format!("could not read `{}`", path.display());
    let bytes = fs::read(path).with_context(unread)?;
    Proposal::parse(&bytes).with_context(unread)
}

/// Writes a proposal or a piece of one.
pub(super) fn write(path: &Path, proposal: &Proposal) -> anyhow::Result<()> {
    durable::write_file(path, &proposal.to_bytes()?, 0o644)
        .with_context(|| format!("could not write `{}`", path.display()))
}

/// A public key as it was typed: itself, or a file with it or with the secret one.
pub(super) fn public_key(context: &Context, typed: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = PublicKey::try_from(typed.to_owned()) {
        return Ok(key);
    }
    let path = Path::new(typed);
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Stopped::failed(
                format!("`{typed}` is neither a public key nor a file with a key"),
                "give the base64 that `floe keys show` prints as `public`, or a file",
            )
            .into());
        }
        read => read.with_context(|| format!("could not read the key `{typed}`"))?,
    };
    match PublicKey::try_from(text.trim().to_owned()) {
        Ok(key) => Ok(key),
        Err(_) => Ok(KeySource::File(path.to_owned()).open(context.environment())?.public()),
    }
}
