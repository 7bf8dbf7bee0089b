//! `floe push`: build, sign, publish, roll out.
//!
//! Everything that can be wrong here is found before anything is sent: the key, the
//! files, the newest serial. What is sent is signed, so the control plane cannot
//! change it; what it answers is believed only as far as it is signed too.

use std::io::{BufWriter, Write as _};

use clap::Args;
use floe_proto::envelope::Envelope;
use floe_proto::id::{Role, Serial};
use floe_proto::manifest::Manifest;
use floe_proto::payload::pack::Packed;
use floe_proto::pb;
use floe_proto::root::Root;
use floe_proto::verify::{self, Verified};
use tempfile::NamedTempFile;

use super::connection::{self, Connection};
use super::context::Context;
use super::end::{End, Stopped};
use super::progress::Progress;
use super::rollout::end_of;
use super::view::push::PushView;
use super::watch::{self, Watched};
use crate::bundle::publish::{self, Target};
use crate::bundle::sign::{self, Signed};
use crate::bundle::source::Source;
use crate::bundle::state::{self, Statement};
use crate::bundle::syntax::{self, Parsed};
use crate::bundle::{build, git};
use crate::repository::Span;

/// Build, sign and publish a role's bundle, and take it to its hosts
///
/// Packs hosts/<ROLE>/ and the pins of floe.lock, signs the manifest with your release
/// key under the next serial, uploads what the store does not have, and starts a
/// rollout: one canary host, then the rest. A host that fails or goes back stops it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Push {
    /// Role to push: a directory below hosts/
    role: Role,

    /// Stay until the rollout has ended; fails if it was stopped
    #[arg(long, conflicts_with_all = ["no_rollout", "dry_run"])]
    watch: bool,

    /// Publish only; no host changes
    #[arg(long)]
    no_rollout: bool,

    /// Show what would be published, and stop
    #[arg(long)]
    dry_run: bool,

    /// For how long hosts may take the bundle
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    valid_for: Span,

    /// Do not ask Nix whether the files can be read
    #[arg(long)]
    no_check: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe push www.fossable.org --watch         # and see each host confirm or go back
  floe push www.fossable.org --dry-run       # what would be published?
  floe push www.fossable.org --no-rollout    # only publish; `floe rollout start` goes on

With --watch it ends with 0 if the role's hosts confirmed, and with 1 if the rollout was
stopped; ^C leaves, with 1 too, and the rollout goes on.";

impl Push {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let signers = context.release_signers(&repository, &root, &[])?;
        let progress = context.progress();
        let source = Source::read(&repository, &self.role)?;

        progress.doing(&format!("packing {}", self.role));
        let (revision, payload, newest) =
            tokio::join!(git::revision(repository.root()), pack(source.clone()), async {
                let connection = context.connect_from(Some(&repository)).await?;
                let older = repository.older_trust();
                let newest = newest(&connection, &self.role, &root, &older).await?;
                anyhow::Ok((connection, newest))
            });
        let Payload { file, packed } = payload?;
        let (connection, newest) = newest?;
        let unchanged =
            newest.as_ref().is_some_and(|newest| newest.payload.sha256 == packed.digest);
        // What hosts already run, Nix has read before.
        if !self.no_check && !unchanged {
            match syntax::parse(&source.directory).await? {
                Parsed::Fine => {}
                Parsed::NotTried => progress.note("Nix is not here: hosts find typing errors"),
            }
        }

        let statement = Statement {
            serial: next_serial(&self.role, newest.as_ref())?,
            floor: Serial::FIRST,
            now: context.now(),
            valid_for: self.valid_for,
            built_by: context.who(),
        };
        let manifest = state::state(&source, &packed, revision, statement, &root)?;
        let envelope = sign::sign(&manifest, &signers).await?;
        let signed = sign::believe(&envelope, &root, context.now())?;
        let mut view = PushView {
            role: self.role.to_string(),
            epoch: signed.manifest.epoch.get().into(),
            serial: signed.manifest.serial.get(),
            manifest_digest: signed.manifest.digest().to_string(),
            digest: packed.digest.to_string(),
            length: packed.length,
            unchanged,
            dry_run: self.dry_run,
            uploaded: false,
            rollout: None,
        };
        if self.dry_run {
            drop(progress);
            context.print(&view)?;
            return Ok(End::Done);
        }

        progress.doing(&format!("publishing {} serial {}", self.role, view.serial));
        view.uploaded = publish(&connection, &signed, &file).await?;
        let mut end = End::Done;
        if !self.no_rollout {
            let rollout = start(&connection, &signed.manifest).await?;
            end = self.follow(&connection, rollout, &mut view, &progress).await?;
        }
        drop(progress);
        context.print(&view)?;
        Ok(end)
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

/// A payload in a file that is gone when this is dropped.
struct Payload {
    file: NamedTempFile,
    packed: Packed,
}

/// Packs in a thread of its own, since reading files blocks.
async fn pack(source: Source) -> anyhow::Result<Payload> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut file = NamedTempFile::new()?;
        let mut out = BufWriter::new(file.as_file_mut());
        let packed = build::build(&source, &mut out)?;
        out.flush()?;
        drop(out);
        anyhow::Ok(Payload { file, packed })
    });
    packed.await?
}

/// The newest manifest of the role, if our own keys signed it, or keys that were ours when
/// it was published: its number counts also after they were taken out of the trust root.
async fn newest(
    connection: &Connection,
    role: &Role,
    root: &Verified<Root>,
    older: &[Verified<Root>],
) -> anyhow::Result<Option<Verified<Manifest>>> {
    let refusal = connection.refusal("ask for the newest serial");
    let request = pb::NewestManifestRequest { role: role.to_string() };
    let answer = connection.operator.clone().newest_manifest(request).await.map_err(refusal);
    let envelope = match answer {
        Ok(reply) => reply.into_inner().manifest_envelope,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stopped = |why: &str| {
        Stopped::refused(
            format!("the control plane's newest manifest of `{role}` is not to be believed: {why}"),
            "do not push: find out who published it, and whether trust.json is the fleet's",
        )
    };
    // It may have expired since; its number counts all the same. So it is judged as of
    // the moment at which it says that it was signed.
    let claimed = Envelope::parse(&envelope).map_err(|error| stopped(&error.to_string()))?;
    let claimed = Manifest::parse(claimed.unverified_payload());
    let claimed = claimed.map_err(|error| stopped(&error.to_string()))?;
    if claimed.epoch < root.epoch {
        return Ok(None); // serials begin anew in each epoch
    }
    let newest = verify::manifest(&envelope, root, claimed.created).or_else(|refusal| {
        let known = |root| verify::manifest(&envelope, root, claimed.created).ok();
        older.iter().find_map(known).ok_or_else(|| stopped(&refusal.to_string()))
    })?;
    if newest.role != *role {
        return Err(stopped(&format!("it is for the role `{}`", newest.role)).into());
    }
    Ok(Some(newest))
}

fn next_serial(role: &Role, newest: Option<&Verified<Manifest>>) -> Result<Serial, Stopped> {
    let Some(newest) = newest else { return Ok(Serial::FIRST) };
    newest.serial.next().ok_or_else(|| {
        Stopped::refused(
            format!("the serials of `{role}` have run out"),
            "raise the epoch in the trust root",
        )
    })
}

/// Hands in manifest and payload; `true` if the payload had to be sent.
async fn publish(
    connection: &Connection,
    signed: &Signed,
    payload: &NamedTempFile,
) -> anyhow::Result<bool> {
    let mut operator = connection.operator.clone();
    let request = pb::BeginPublicationRequest { manifest_envelope: signed.envelope.clone() };
    let refusal = connection.refusal("publish the bundle");
    let begun = operator.begin_publication(request).await.map_err(&refusal)?.into_inner();
    let digest = signed.manifest.digest().to_string();
    if begun.manifest_digest != digest {
        return Err(Stopped::refused(
            "the control plane took another manifest than the one that was sent",
            "do not use this control plane",
        )
        .into());
    }
    let uploads = !begun.upload_url.is_empty();
    if uploads {
        let headers = begun.upload_headers.into_iter().map(|header| (header.name, header.value));
        let target = Target { url: begun.upload_url, headers: headers.collect() };
        let length = signed.manifest.payload.length.get();
        publish::upload(payload.path(), length, &target, &connection.ca).await?;
    }
    let request = pb::FinishPublicationRequest { manifest_digest: digest };
    operator.finish_publication(request).await.map_err(refusal)?;
    Ok(uploads)
}

async fn start(
    connection: &Connection,
    manifest: &Manifest,
) -> Result<pb::Rollout, connection::Error> {
    let request = pb::StartRolloutRequest {
        role: manifest.role.to_string(),
        epoch: manifest.epoch.get().into(),
        serial: manifest.serial.get(),
    };
    let started = connection.operator.clone().start_rollout(request).await;
    Ok(started.map_err(connection.refusal("start the rollout"))?.into_inner())
}
