//! `floe diff`: what a push would change, as one host of the role says it.
//!
//! The host builds what is signed as a preview, which none ever runs, and asks the new system;
//! nothing is published, and nothing is switched.

use clap::Args;
use floe_proto::id::{HostId, Role};
use floe_proto::manifest::{Kind, Manifest};

use super::bundle;
use super::closure::Content;
use super::connection::Connection;
use super::context::Context;
use super::end::End;
use super::packing::{Payload, enough, pack};
use super::previewing::Preview;
use super::published::{self, Trust};
use super::vault::VaultArgs;
use crate::bundle::git;
use crate::bundle::history;
use crate::bundle::source::Source;
use crate::bundle::state::{self, Statement};
use crate::bundle::syntax::Parsed;
use crate::repository::{Repository, Span};

/// Show what a push would change on a host of the role; nothing is published or switched
///
/// One host builds the bundle and compares it with what it runs: units that would stop, start,
/// restart or be reloaded, as its own `switch-to-configuration dry-activate` names them, files
/// below /etc, packages, what it has to fetch, and why it would have to reboot. What it built
/// stays in its store for a while, so that a push that follows is fast there.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Diff {
    /// Role to compare: a directory below hosts/
    role: Role,

    /// The host that is asked [default: the first of the role that is connected]
    #[arg(long)]
    host: Option<HostId>,

    #[command(flatten)]
    vault: VaultArgs,

    /// Do not ask Nix whether the files can be read
    #[arg(long)]
    no_check: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe diff www.fossable.org
  floe diff www.fossable.org --host local-www-1
  floe diff www.fossable.org --output json | jq .units.restart

It ends with 0 whether something differs or not, and with 1 where no host says it.";

impl Diff {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let signers = context.release_signers(&repository, &root, &[])?;
        enough(&signers, &root)?;
        let source = Source::read(&repository, &self.role)?;
        // Asks for passwords, so it comes before any progress.
        let needed = source.settings.needs_vault();
        let vault = self.vault.open(context, &repository, &self.role, needed).await?;
        let mut vault = vault.for_dry_run(true);
        let prepared = vault.prepare(&source, &[])?;
        let progress = context.progress();
        prepared.notes.iter().for_each(|note| progress.note(note));
        if !self.no_check && bundle::parsed(&source).await? == Parsed::NotTried {
            progress.note("Nix is not here: the host finds typing errors");
        }

        progress.doing(&format!("packing {}", self.role));
        let payload = pack(Content::of(&source, prepared.rendered, None)).await?;
        let connection = context.connect_from(Some(&repository)).await?;
        let manifest = self.manifest(context, &repository, &source, &connection, &payload).await?;
        let now = context.now();
        let path = payload.file.path();
        let begun =
            Preview::begin(&connection, &manifest, Some(path), &signers, (&root, now)).await?;
        let view = begun.ask(&connection, self.host.as_ref(), &progress).await?;
        drop(progress);
        context.print(&view)?;
        Ok(End::Done)
    }

    /// What a push would say now.
    async fn manifest(
        &self,
        context: &Context,
        repository: &Repository,
        source: &Source,
        connection: &Connection,
        payload: &Payload,
    ) -> anyhow::Result<Manifest> {
        let root = repository.trust()?;
        let trust = Trust { root: &root, older: repository.older_trust() };
        let newest = published::newest(connection, &source.role, &trust).await?;
        let statement = Statement {
            serial: history::next_serial(&source.role, newest.as_ref(), root.epoch)?,
            floor: history::next_floor(newest.as_ref(), root.epoch, None),
            now: context.now(),
            valid_for: "1h".parse::<Span>()?,
            built_by: context.who(),
        };
        let revision = git::revision(repository.root()).await;
        let kind = Kind::Configuration;
        Ok(state::state(source, kind, &payload.packed, revision, statement, &root)?)
    }
}
