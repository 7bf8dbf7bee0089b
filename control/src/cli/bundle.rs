//! `floe bundle`: a bundle in files, without a control plane.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use floe_proto::id::{Role, Serial};
use floe_proto::payload::pack::Packed;
use tempfile::NamedTempFile;

use super::closure::{self, ClosureArgs, Content};
use super::context::Context;
use super::cosign;
use super::end::{End, Stopped};
use super::vault::{self, VaultArgs};
use super::view::bundle::{BuiltView, BundleView, TallyView};
use super::view::closure::ClosureView;
use crate::bundle;
use crate::bundle::check::{self, Claim, Files};
use crate::bundle::inputs;
use crate::bundle::sign::{self, Tally};
use crate::bundle::source::Source;
use crate::bundle::state::{self, Statement};
use crate::bundle::syntax::{self, Parsed};
use crate::durable;
use crate::repository::{self, Span};

/// Build a bundle into files; look into one, sign, verify or publish one
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Bundle {
    Build(Build),
    Inspect(Inspect),
    Verify(Verify),
    Sign(cosign::Sign),
    Merge(cosign::Merge),
    Publish(cosign::Publish),
    List(cosign::List),
}

/// Build and sign a role's bundle into two files, and print its digest
///
/// The same files give the same payload, byte for byte, wherever and whenever it is
/// built. Nothing is sent anywhere. With --closure its NARs lie beside, in a directory
/// <ROLE>-<SERIAL>.closure, which is a binary cache.
#[derive(Args, Debug)]
#[command(after_help = BUILD_EXAMPLES)]
pub(super) struct Build {
    /// Role to build: a directory below hosts/
    role: Role,

    /// Where to write <ROLE>-<SERIAL>.tar.zst and .manifest.json
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Number of the manifest
    #[arg(long, default_value = "1")]
    serial: Serial,

    /// No host that has seen it may go below this serial again
    #[arg(long, value_name = "SERIAL", default_value = "1")]
    floor: Serial,

    #[command(flatten)]
    closure: ClosureArgs,

    #[command(flatten)]
    vault: VaultArgs,

    /// For how long hosts may take the bundle
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    valid_for: Span,

    /// Do not ask Nix whether the files can be read
    #[arg(long)]
    no_check: bool,
}

/// Show what a bundle says of itself, believed or not
#[derive(Args, Debug)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(super) struct Inspect {
    /// The payload or the manifest; the other lies beside it
    file: PathBuf,

    /// List what the payload holds
    #[arg(long)]
    files: bool,
}

/// Verify a bundle as a host would: signatures, digest, unpacking
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(super) struct Verify {
    /// The payload or the manifest; the other lies beside it
    file: PathBuf,

    /// Trust root to believe [default: trust.json of the repository]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,

    /// List what the payload holds
    #[arg(long)]
    files: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe bundle build www.fossable.org --out /tmp
  floe bundle verify /tmp/www.fossable.org-1.tar.zst

Where two release keys must sign:
  floe bundle build www --serial 42 --out /tmp        # ada builds, and signs
  floe bundle sign /tmp/www-42.manifest.json          # bob, who was sent both files
  floe bundle publish /tmp/www-42.manifest.json && floe rollout start www 42";

const BUILD_EXAMPLES: &str = "\
Examples:
  floe bundle build www.fossable.org --out /tmp
  floe bundle build www.fossable.org --serial 42 --output json
  floe bundle build www.fossable.org --closure --out /tmp    # built here, evaluated nowhere else";

const INSPECT_EXAMPLES: &str = "\
Examples:
  floe bundle inspect /tmp/www.fossable.org-42.tar.zst --files";

const VERIFY_EXAMPLES: &str = "\
Examples:
  floe bundle verify /tmp/www.fossable.org-42.tar.zst
  floe bundle verify www-42.manifest.json --trust /etc/floe/trust.json";

impl Bundle {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        match self {
            Self::Build(build) => build.run(context).await?,
            Self::Inspect(inspect) => inspect.run(context)?,
            Self::Verify(verify) => verify.run(context)?,
            Self::Sign(sign) => sign.run(context).await?,
            Self::Merge(merge) => merge.run(context)?,
            Self::Publish(publish) => Box::pin(publish.run(context)).await?,
            Self::List(list) => list.run(context).await?,
        }
        Ok(End::Done)
    }
}

impl Build {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let repository = context.repository()?;
        let root = repository.trust()?;
        let signers = context.release_signers(&repository, &root, &[])?;
        let key = self.closure.key(&repository)?;
        let source = Source::read(&repository, &self.role)?;
        let needed = !source.settings.templates.is_empty();
        let opened = self.vault.open(context, &repository, &self.role, needed);
        let prepared = opened.await?.prepare(&source, &[])?;
        if self.closure.is_wanted() {
            vault::refuse_closure(&prepared)?;
        }
        let progress = context.progress();
        prepared.notes.iter().for_each(|note| progress.note(note));
        let files = Files::named(&self.out, &format!("{}-{}", self.role, self.serial));
        if let Some(tree) = source.tree_around(&files.payload) {
            return Err(Stopped::failed(
                format!("`{}` lies in `{}`, which is packed", self.out.display(), tree.display()),
                "name another directory with --out; what is written there would be in the next bundle",
            )
            .into());
        }
        fs::create_dir_all(&self.out).with_context(|| unwritten(&self.out))?;
        let cache = &files.closure;
        let making = self.closure.make(key.as_ref(), &repository, &source, cache, &progress);
        let revision = self.closure.revision(repository.root()).await;
        let made = Box::pin(making).await?;
        let parsed = match &made {
            Some(_) => Parsed::Fine,
            None if self.no_check => Parsed::NotTried,
            None => parsed(&source).await?,
        };
        if parsed == Parsed::NotTried && !self.no_check {
            progress.note("warning: Nix is not here, so nobody looked for typing errors");
        }

        progress.doing(&format!("packing {}", self.role));
        let content = Content::of(&source, prepared.rendered, made.as_ref());
        let (payload, packed) = pack(&content, &self.out)?;
        let statement = Statement {
            serial: self.serial,
            floor: self.floor,
            now: context.now(),
            valid_for: self.valid_for,
            built_by: context.who(),
        };
        let manifest = state::state(&source, content.kind(), &packed, revision, statement, &root)?;
        let envelope = sign::sign(&manifest, &signers).await?;
        let tally = Tally::of(&envelope, &root);
        if tally.is_enough() {
            // Whatever else hosts would refuse is found now.
            sign::believe(&envelope, &root, context.now())?;
        }
        // The manifest comes last: where it is, the payload is whole.
        payload.persist(&files.payload).with_context(|| unwritten(&files.payload))?;
        durable::write_file(&files.manifest, &envelope.to_bytes()?, 0o644)
            .with_context(|| unwritten(&files.manifest))?;
        drop(progress);

        let (payload, manifest) = BuiltView::paths(&files);
        context.print(&BuiltView {
            role: self.role.to_string(),
            serial: self.serial.get(),
            payload,
            manifest,
            digest: packed.digest.to_string(),
            length: packed.length,
            files: packed.files,
            manifest_digest: sign::digest(&envelope).to_string(),
            signatures: TallyView::new(&tally),
            closure: made.as_ref().map(closure::view),
            parsed: parsed == Parsed::Fine,
        })
    }
}

/// Whether Nix can read what is packed, and a flake's lock file is for its inputs.
pub(super) async fn parsed(source: &Source) -> anyhow::Result<Parsed> {
    if source.settings.code.flake().is_some() {
        inputs::compare(&source.directory).await?;
    }
    Ok(syntax::parse(&source.directory, &source.selection).await?)
}

/// Packs into a temporary file of `directory`, which one rename then gives its name.
fn pack(content: &Content, directory: &Path) -> anyhow::Result<(NamedTempFile, Packed)> {
    let mut file = NamedTempFile::new_in(directory).with_context(|| unwritten(directory))?;
    let mut out = BufWriter::new(file.as_file_mut());
    let packed = content.write(&mut out)?;
    out.flush()?;
    drop(out);
    let world_readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(world_readable)?;
    file.as_file().sync_all()?;
    Ok((file, packed))
}

/// The system that a closure's payload lists, if it lies beside its manifest.
fn listed(claim: &Claim, files: &Files) -> anyhow::Result<Option<ClosureView>> {
    if !files.payload.exists() {
        return Ok(None);
    }
    let made = bundle::closure::beside(files, &claim.manifest)?;
    Ok(made.as_ref().map(closure::view))
}

fn unwritten(path: &Path) -> String {
    format!("could not write `{}`", path.display())
}

impl Inspect {
    fn run(self, context: &Context) -> anyhow::Result<()> {
        let files = Files::of(&self.file)?;
        let claim = check::claim(&files)?;
        let contents = if self.files { Some(check::contents(&files.payload)?) } else { None };
        let closure = listed(&claim, &files)?;
        context.print(&BundleView::new(claim, false, contents, closure))
    }
}

impl Verify {
    fn run(self, context: &Context) -> anyhow::Result<()> {
        let files = Files::of(&self.file)?;
        let root = match &self.trust {
            Some(path) => repository::read_trust(path)?,
            None => context.repository()?.trust()?,
        };
        let good = check::verify(&files, &root, context.now())?;
        let claim = Claim {
            digest: good.manifest.digest(),
            manifest: (*good.manifest).clone(),
            key_ids: check::claim(&files)?.key_ids,
        };
        let closure = listed(&claim, &files)?;
        let contents = self.files.then_some(good.contents);
        context.print(&BundleView::new(claim, true, contents, closure))
    }
}
