//! `floe push`: build, sign, publish, roll out; or say again what was published before.
//!
//! Everything that can be wrong here is found before anything is sent: the keys, the
//! files, the newest serial. What is sent is signed, so the control plane cannot
//! change it; what it answers is believed only as far as it is signed too.

use clap::Args;
use floe_proto::id::{Role, Serial};
use floe_proto::manifest::Manifest;
use floe_proto::pb;
use floe_proto::root::Root;
use tempfile::NamedTempFile;

use super::bundle;
use super::closure::{self, ClosureArgs, Content};
use super::connection::Connection;
use super::context::Context;
use super::end::End;
use super::packing::{Payload, enough, pack};
use super::progress::Progress;
use super::published::{self, Trust};
use super::rollout::end_of;
use super::sealing::{Consent, Sealed, Sealing, SealingArgs};
use super::takeover::{Agreed, Pushed, TakeOverArgs};
use super::vault::{self, Prepared, VaultArgs};
use super::view::push::PushView;
use super::watch::{self, Watched};
use crate::bundle::closure::Made;
use crate::bundle::history::{self, Entry};
use crate::bundle::sign;
use crate::bundle::source::Source;
use crate::bundle::state::{self, Statement};
use crate::bundle::syntax::Parsed;
use crate::repository::{Repository, Span};

/// Build, sign and publish a role's bundle, and take it to its hosts
///
/// Packs hosts/<ROLE>/ and the pins of floe.lock, or the role's flake, signs the manifest
/// with your release keys under the next serial, uploads what the store does not have, and starts a
/// rollout: one canary host, then the rest. A host that fails or goes back stops it.
///
/// With --revert or --renew nothing is built: what was published before is signed again
/// under the next serial, and hosts take it like any other.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Push {
    /// Role to push: a directory below hosts/
    role: Role,

    /// Go back: publish the payload of an older serial again [default: the one before]
    #[arg(long, value_name = "SERIAL", num_args = 0..=1, conflicts_with_all = ["renew", "closure"])]
    revert: Option<Option<Serial>>,

    /// Publish the newest payload again, before (or after) its manifest expires
    #[arg(long, conflicts_with = "closure")]
    renew: bool,

    /// No host that has seen it may go below this serial again
    ///
    /// A floor that was signed before stays, also where it is not given.
    #[arg(long, value_name = "SERIAL")]
    floor: Option<Serial>,

    /// Try it again also on hosts that went back from this payload before
    ///
    /// They refuse it otherwise, whatever the serial. No serial is tried more than three
    /// times on a host.
    #[arg(long, conflicts_with = "no_rollout")]
    retry: bool,

    /// Stay until the rollout has ended; fails if it was stopped
    #[arg(long, conflicts_with_all = ["no_rollout", "dry_run"])]
    watch: bool,

    /// Publish only; no host changes, and no secrets are sent
    #[arg(long)]
    no_rollout: bool,

    /// Show what would be published, and stop
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    closure: ClosureArgs,

    #[command(flatten)]
    vault: VaultArgs,

    /// For how long hosts may take the bundle
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    valid_for: Span,

    #[command(flatten)]
    sealing: SealingArgs,

    #[command(flatten)]
    take_over: TakeOverArgs,

    /// Leave secrets as they are published
    #[arg(long)]
    no_secrets: bool,

    /// Do not ask Nix whether the files can be read
    #[arg(long)]
    no_check: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe push www.fossable.org --watch         # and see each host confirm or go back
  floe push www.fossable.org --dry-run       # what would be published?
  floe push www.fossable.org --no-rollout    # only publish; `floe rollout start` goes on
  floe push www.fossable.org --revert        # back to the payload before this one
  floe push www.fossable.org --revert 41     # or to a certain one: floe bundle list ROLE
  floe push www.fossable.org --renew         # the same again, good for another 90 days
  floe push www.fossable.org --retry         # also where it was reverted before
  floe push www.fossable.org --closure       # built here; hosts fetch, and evaluate nothing
  floe push www.fossable.org --vault-password-file .password    # for its templates

With --watch it ends with 0 if the role's hosts confirmed, and with 1 if the rollout was
stopped; ^C leaves, with 1 too, and the rollout goes on.";

impl Push {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let signers = context.release_signers(&repository, &root, &[])?;
        enough(&signers, &root)?;
        // Asks for passphrases and consent, so it comes before any progress.
        let mut sealed = None;
        let role = if self.renew || self.revert.is_some() {
            // What is said again needs what it needed before, and secrets only go forward.
            None
        } else {
            let source = Source::read(&repository, &self.role)?;
            let needed = source.settings.needs_vault();
            let vault = self.vault.open(context, &repository, &self.role, needed).await?;
            let mut vault = vault.for_dry_run(self.dry_run);
            if !(self.no_secrets || self.no_rollout) {
                let role = &self.role;
                let (repository, root) = (&repository, &root);
                let sealing = Sealing { context, repository, root, role, thorough: false };
                let args = Consent { given: self.sealing.accept_new_keys, dry_run: self.dry_run };
                sealed = Box::pin(sealing.prepare(args, &signers, &mut vault)).await?;
            }
            let values = sealed.as_ref().map(Sealed::values).unwrap_or_default();
            let prepared = vault.prepare(&source, values)?;
            if self.closure.is_wanted() {
                vault::refuse_closure(&prepared)?;
            }
            Some((source, prepared))
        };
        let mut progress = context.progress();
        let trust = Trust { root: &root, older: repository.older_trust() };
        let Plan { connection, manifest, payload, made, unchanged, again } = match role {
            None => self.again(context, &repository, &trust).await?,
            Some(role) => self.build(role, context, &repository, &trust, &progress).await?,
        };

        let envelope = sign::sign(&manifest, &signers).await?;
        let signed = sign::believe(&envelope, &root, context.now())?;
        let mut view = PushView {
            role: self.role.to_string(),
            epoch: manifest.epoch.get().into(),
            serial: manifest.serial.get(),
            again: again.map(Serial::get),
            floor: manifest.floor.get(),
            manifest_digest: signed.manifest.digest().to_string(),
            digest: manifest.payload.sha256.to_string(),
            length: manifest.payload.length.get(),
            unchanged,
            dry_run: self.dry_run,
            uploaded: false,
            secrets: sealed.as_ref().map(|sealed| sealed.view(self.dry_run)),
            closure: made.as_ref().map(closure::view),
            rollout: None,
        };
        if self.dry_run {
            drop(progress);
            context.print(&view)?;
            return Ok(End::Done);
        }

        let payload = payload.as_ref().map(NamedTempFile::path);
        let mut agreed = Agreed::default();
        if !self.no_rollout {
            // It shows and asks, so nothing else may be on the terminal.
            drop(progress);
            let (manifest, signers, root) = (&manifest, &signers, &root);
            let pushed = Pushed { manifest, payload, signers, root };
            agreed = Box::pin(self.take_over.ask(context, &connection, &pushed)).await?;
            progress = context.progress();
        }
        // First, so that they are there when hosts switch.
        if let Some(sealed) = sealed.take() {
            progress.doing(&format!("sending secrets of {}", self.role));
            sealed.publish(&connection).await?;
        }
        progress.doing(&format!("publishing {} serial {}", self.role, view.serial));
        let sent;
        (view.uploaded, sent) =
            published::publish(&connection, &signed, payload, made.as_ref(), &progress).await?;
        if let Some(closure) = &mut view.closure {
            closure.sent = sent;
        }
        let mut end = End::Done;
        if !self.no_rollout {
            let rollout = published::start(&connection, &signed.manifest, self.retry).await?;
            // Not before it is this rollout that they get.
            let taken = agreed.carry_out(&connection).await?;
            end = self.follow(&connection, rollout, &mut view, &progress).await?;
            if taken == End::Failed {
                end = taken;
            }
        }
        drop(progress);
        context.print(&view)?;
        Ok(end)
    }

    /// What is in the repository.
    async fn build(
        &self,
        (source, prepared): (Source, Prepared),
        context: &Context,
        repository: &Repository,
        trust: &Trust<'_>,
        progress: &Progress,
    ) -> anyhow::Result<Plan> {
        let key = self.closure.key(repository)?;
        prepared.notes.iter().for_each(|note| progress.note(note));
        let cache = repository.closure_cache(&self.role);
        let making = self.closure.make(key.as_ref(), repository, &source, &cache, progress);
        let revision = self.closure.revision(repository.root()).await;
        let made = Box::pin(making).await?;
        let content = Content::of(&source, prepared.rendered, made.as_ref());
        let kind = content.kind();
        progress.doing(&format!("packing {}", self.role));
        let (payload, newest) = tokio::join!(pack(content), async {
            let connection = context.connect_from(Some(repository)).await?;
            let newest = published::newest(&connection, &self.role, trust).await?;
            anyhow::Ok((connection, newest))
        });
        let Payload { file, packed } = payload?;
        let (connection, newest) = newest?;
        let unchanged =
            newest.as_ref().is_some_and(|newest| newest.manifest.payload.sha256 == packed.digest);
        // What hosts already run, or what was built, Nix has read before.
        if !self.no_check && !unchanged && made.is_none() {
            match bundle::parsed(&source).await? {
                Parsed::Fine => {}
                Parsed::NotTried => progress.note("Nix is not here: hosts find typing errors"),
            }
        }
        let statement = self.statement(context, newest.as_ref(), trust.root)?;
        let manifest = state::state(&source, kind, &packed, revision, statement, trust.root)?;
        Ok(Plan { connection, manifest, payload: Some(file), made, unchanged, again: None })
    }

    /// What was published before.
    async fn again(
        &self,
        context: &Context,
        repository: &Repository,
        trust: &Trust<'_>,
    ) -> anyhow::Result<Plan> {
        let connection = context.connect_from(Some(repository)).await?;
        let asked = self.revert.flatten();
        let entries = published::history(&connection, &self.role, trust, asked).await?;
        let older = if self.renew {
            history::renew(&self.role, &entries)?
        } else {
            history::revert(&self.role, &entries, asked)?
        };
        let newest = entries.first();
        let statement = self.statement(context, newest, trust.root)?;
        let manifest = state::again(older, statement, trust.root.epoch)?;
        let unchanged =
            newest.is_some_and(|newest| newest.manifest.payload.sha256 == manifest.payload.sha256);
        let again = Some(older.serial);
        Ok(Plan { connection, manifest, payload: None, made: None, unchanged, again })
    }

    fn statement(
        &self,
        context: &Context,
        newest: Option<&Entry>,
        root: &Root,
    ) -> Result<Statement, history::Error> {
        Ok(Statement {
            serial: history::next_serial(&self.role, newest, root.epoch)?,
            floor: history::next_floor(newest, root.epoch, self.floor),
            now: context.now(),
            valid_for: self.valid_for,
            built_by: context.who(),
        })
    }

    /// Watches, if that was asked for.
    async fn follow(
        &self,
        connection: &Connection,
        rollout: pb::Rollout,
        view: &mut PushView,
        progress: &Progress,
    ) -> anyhow::Result<End> {
        let started = watch::view(rollout);
        if !self.watch {
            view.rollout = Some(started);
            return Ok(End::Done);
        }
        let watched = watch::watch(connection, started, progress).await?;
        if let Watched::Left(rollout) = &watched {
            progress.note(&format!(
                "the rollout goes on without you; look at it with: floe rollout show {}",
                rollout.id
            ));
        }
        let end = end_of(&watched);
        let (Watched::Ended(rollout) | Watched::Left(rollout)) = watched;
        view.rollout = Some(rollout);
        Ok(end)
    }
}

/// What is to be signed and sent.
struct Plan {
    connection: Connection,
    manifest: Manifest,
    /// `None` where the store has it.
    payload: Option<NamedTempFile>,
    /// Whose NARs go along, where it is of a closure.
    made: Option<Made>,
    unchanged: bool,
    /// The serial whose payload it is.
    again: Option<Serial>,
}
