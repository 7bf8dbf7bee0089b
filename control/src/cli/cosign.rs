//! `floe bundle sign`, `merge`, `publish` and `list`: a bundle that several must sign.
//!
//! Each holder signs where their key lies; the two files travel by whatever way. Nobody
//! is asked to sign what they have not seen: both files are looked at as a host would,
//! and what is signed is said before a token is touched.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use floe_proto::envelope::Envelope;
use floe_proto::id::Role;
use floe_proto::root::Root;
use floe_proto::verify::Verified;

use super::closure;
use super::context::Context;
use super::end::Stopped;
use super::published::{self, Trust};
use super::view::closure::ClosureView;
use super::view::manifest::{ManifestsView, SignedView};
use super::view::push::PushView;
use crate::bundle;
use crate::bundle::check::{self, Files};
use crate::bundle::history;
use crate::bundle::sign::{self, Signed, Tally};
use crate::durable;

/// Sign a bundle that somebody else built, too
///
/// Looks at both files as a host would, says what they are, and adds your signature to
/// the manifest. Who has the same revision of the repository can build the same payload:
/// its digest must be the same. Of a closure the system must be: `floe bundle inspect` says
/// which it is, and `nix-instantiate` which it should be.
#[derive(Args, Debug)]
#[command(after_help = SIGN_EXAMPLES)]
pub(super) struct Sign {
    /// The payload or the manifest; the other lies beside it
    file: PathBuf,

    /// File with a release key; may be repeated [default: `[signing]` of floe.toml]
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
}

/// Bring signatures together that were made on copies of one manifest
#[derive(Args, Debug)]
#[command(after_help = MERGE_EXAMPLES)]
pub(super) struct Merge {
    /// The manifest that gets them
    file: PathBuf,

    /// Copies of it that others signed
    #[arg(required = true)]
    others: Vec<PathBuf>,
}

/// Publish a bundle that enough release keys have signed
///
/// No host changes: `floe rollout start` goes on. Where nobody has a release key at hand,
/// an operator's certificate is all that this needs.
#[derive(Args, Debug)]
#[command(after_help = PUBLISH_EXAMPLES)]
pub(super) struct Publish {
    /// The payload or the manifest; the other lies beside it
    file: PathBuf,
}

/// List what is published of a role, newest first
#[derive(Args, Debug)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// Whose
    role: Role,
}

const SIGN_EXAMPLES: &str = "\
Examples:
  floe bundle sign /tmp/www.fossable.org-42.manifest.json
  floe bundle sign www-42.manifest.json --key keys/ada.pem";

const MERGE_EXAMPLES: &str = "\
Examples:
  floe bundle merge www-42.manifest.json from-ada.json from-bob.json";

const PUBLISH_EXAMPLES: &str = "\
Examples:
  floe bundle publish www-42.manifest.json && floe rollout start www 42";

const LIST_EXAMPLES: &str = "\
Examples:
  floe bundle list www.fossable.org
  floe push www.fossable.org --revert 41      # the payload of serial 41 again";

impl Sign {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let files = Files::of(&self.file)?;
        let (mut envelope, manifest) = check::signable(&files, &root, context.now())?;
        let signers = context.release_signers(&repository, &root, &self.keys)?;
        let progress = context.progress();
        progress.note(&format!(
            "signing {} serial {}: payload {}, built by {} of {}",
            manifest.role,
            manifest.serial,
            manifest.payload.sha256,
            super::view::printable(&manifest.source.built_by),
            super::view::printable(manifest.source.revision.as_deref().unwrap_or("no revision")),
        ));
        sign::add(&mut envelope, &signers).await?;
        drop(progress);
        finish(context, &files.manifest, &envelope, &root)
    }
}

impl Merge {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<()> {
        let root = context.repository()?.trust()?;
        let mut envelope = check::envelope(&self.file)?;
        for other in &self.others {
            sign::merge(&mut envelope, &check::envelope(other)?, other, &root)?;
        }
        finish(context, &self.file, &envelope, &root)
    }
}

/// Writes the envelope with its new signatures, and says who signed by now.
fn finish(
    context: &Context,
    path: &Path,
    envelope: &Envelope,
    root: &Verified<Root>,
) -> anyhow::Result<()> {
    durable::write_file(path, &envelope.to_bytes()?, 0o644)
        .with_context(|| format!("could not write `{}`", path.display()))?;
    context.print(&SignedView::new(path, envelope, &Tally::of(envelope, root)))
}

impl Publish {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let files = Files::of(&self.file)?;
        let good = check::verify(&files, &root, context.now())?;
        let signed = Signed { envelope: good.envelope, manifest: good.manifest };
        let progress = context.progress();
        let connection = context.connect_from(Some(&repository)).await?;
        let trust = Trust { root: &root, older: repository.older_trust() };
        let manifest = &signed.manifest;
        let newest = published::newest(&connection, &manifest.role, &trust).await?;
        let floor = history::next_floor(newest.as_ref(), root.epoch, None);
        if manifest.floor < floor {
            return Err(Stopped::refused(
                format!("the floor {floor} was signed before, this bundle has {}", manifest.floor),
                format!("build it again with --floor {floor}, and have it signed again"),
            )
            .into());
        }
        progress.doing(&format!("publishing {} serial {}", manifest.role, manifest.serial));
        let made = bundle::closure::beside(&files, manifest)?;
        let (payload, made) = (Some(files.payload.as_path()), made.as_ref());
        let (uploaded, sent) =
            published::publish(&connection, &signed, payload, made, &progress).await?;
        drop(progress);
        let closure = made.map(|made| ClosureView { sent, ..closure::view(made) });
        let payload = manifest.payload;
        let unchanged =
            newest.is_some_and(|newest| newest.manifest.payload.sha256 == payload.sha256);
        context.print(&PushView {
            role: manifest.role.to_string(),
            epoch: manifest.epoch.get().into(),
            serial: manifest.serial.get(),
            again: None,
            floor: manifest.floor.get(),
            manifest_digest: manifest.digest().to_string(),
            digest: payload.sha256.to_string(),
            length: payload.length.get(),
            unchanged,
            dry_run: false,
            uploaded,
            secrets: None,
            closure,
            rollout: None,
        })
    }
}

impl List {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let connection = context.connect_from(Some(&repository)).await?;
        let trust = Trust { root: &root, older: repository.older_trust() };
        let listed = published::list(&connection, &self.role, &trust).await?;
        let mut view = ManifestsView::default();
        for listed in listed {
            view.push(listed.entry?, listed.publisher, listed.published);
        }
        context.print(&view)
    }
}
