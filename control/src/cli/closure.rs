//! `--closure`: a role's system is built here, and its NARs go to the object store, where
//! they are not there yet.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use floe_proto::closure::Closure;
use floe_proto::digest::Digest;
use floe_proto::manifest::Kind;
use floe_proto::payload::pack::Packed;
use floe_proto::pb;
use floe_proto::store_path::StorePath;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::connection::Connection;
use super::end::Stopped;
use super::progress::Progress;
use super::view::bytes;
use super::view::closure::{ClosureView, SentView};
use crate::bundle::cache_key::CacheKey;
use crate::bundle::closure::{self, Made};
use crate::bundle::git::{self, Revision};
use crate::bundle::publish::{self, Target};
use crate::bundle::rendered::Rendered;
use crate::bundle::source::Source;
use crate::bundle::{build, listed};
use crate::repository::Repository;

/// How a role's system comes to its hosts.
#[derive(Args, Clone, Debug)]
pub(super) struct ClosureArgs {
    /// Build the system here; hosts fetch what they lack of it, and evaluate nothing
    ///
    /// Needs Nix on this machine. TOPLEVEL is a system that was built before
    /// (/nix/store/…); without it the role is built now. Every store path is signed with the
    /// key of a binary cache, whose public half hosts must name in
    /// `nix.settings.trusted-public-keys`.
    #[arg(long, value_name = "TOPLEVEL", num_args = 0..=1, conflicts_with = "no_check")]
    closure: Option<Option<StorePath>>,

    /// File with the binary cache's secret key [default: `signing.cache_key` of floe.toml]
    #[arg(long, value_name = "FILE", requires = "closure")]
    cache_key: Option<PathBuf>,
}

impl ClosureArgs {
    /// Whether a system is built here.
    pub(super) fn is_wanted(&self) -> bool {
        self.closure.is_some()
    }

    /// The key that signs the closure, where one is wanted; before anything takes time.
    pub(super) fn key(&self, repository: &Repository) -> anyhow::Result<Option<CacheKey>> {
        if self.closure.is_none() {
            return Ok(None);
        }
        let path = self.cache_key.clone().or_else(|| repository.cache_key()).ok_or_else(|| {
            Stopped::failed(
                "a closure must be signed by the key of a binary cache, and none is named",
                "make one: nix-store --generate-binary-cache-key NAME-1 .floe/cache.sec .floe/cache.pub; \
                 name it as `cache_key` in [signing] of floe.toml, and its public half in \
                 `nix.settings.trusted-public-keys` of the role",
            )
        })?;
        Ok(Some(CacheKey::read(&path)?))
    }

    /// What the files are that the bundle is made of; asked for before anything takes time.
    /// Of a system that was built before nobody knows.
    pub(super) async fn revision(&self, directory: &Path) -> Revision {
        match &self.closure {
            Some(Some(_)) => Revision::default(),
            Some(None) | None => git::revision(directory).await,
        }
    }

    /// Makes the closure in the binary cache `directory`, where one is wanted.
    pub(super) async fn make(
        &self,
        key: Option<&CacheKey>,
        repository: &Repository,
        source: &Source,
        directory: &Path,
        progress: &Progress,
    ) -> anyhow::Result<Option<Made>> {
        let (Some(toplevel), Some(key)) = (&self.closure, key) else { return Ok(None) };
        progress.doing(&match toplevel {
            Some(toplevel) => format!("copying {toplevel}"),
            None => format!("building {}", source.role),
        });
        let directory = std::path::absolute(directory)?;
        let fleet = &repository.file().fleet;
        Ok(Some(closure::make(source, fleet, toplevel.as_ref(), &directory, key).await?))
    }
}

/// What a payload is packed of.
pub(super) enum Content {
    /// A role's files.
    Role(Box<Source>, Rendered),
    /// The list of its system.
    System(Box<Closure>),
}

impl Content {
    /// Of the closure, if one was made.
    pub(super) fn of(source: &Source, rendered: Rendered, made: Option<&Made>) -> Self {
        match made {
            Some(made) => Self::System(Box::new(made.closure.clone())),
            None => Self::Role(Box::new(source.clone()), rendered),
        }
    }

    /// What the manifest says of it.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Role(..) => Kind::Configuration,
            Self::System(_) => Kind::Closure,
        }
    }

    /// Writes the payload.
    pub(super) fn write(&self, out: impl Write) -> anyhow::Result<Packed> {
        Ok(match self {
            Self::Role(source, rendered) => build::build(source, rendered, out)?,
            Self::System(closure) => listed::pack(closure, out)?,
        })
    }
}

/// What is shown of a closure.
pub(super) fn view(made: &Made) -> ClosureView {
    ClosureView {
        toplevel: made.closure.toplevel.to_string(),
        paths: made.closure.paths.len(),
        bytes: made.closure.files().values().map(|file| file.length.get()).sum(),
        sent: None,
    }
}

/// Uploads the NARs that the store does not have, of the closure whose publication was
/// begun.
pub(super) async fn send(
    connection: &Connection,
    manifest: Digest,
    made: &Made,
    progress: &Progress,
) -> anyhow::Result<SentView> {
    let all: Vec<_> = made.closure.files().into_values().collect();
    let mut sent = SentView::default();
    for (number, files) in all.chunks(ASKED).enumerate() {
        let request = pb::BeginNarsRequest {
            manifest_digest: manifest.to_string(),
            nar_digests: files.iter().map(|file| file.sha256.to_string()).collect(),
        };
        let begun = connection.operator.clone().begin_nars(request).await;
        let begun = begun.map_err(connection.refusal("publish the closure"))?.into_inner();
        let mut uploads = Vec::new();
        for upload in begun.uploads.into_iter().filter(|upload| !upload.upload_url.is_empty()) {
            let file = files.iter().find(|file| file.sha256.to_string() == upload.nar_digest);
            let file = file.ok_or_else(|| {
                Stopped::refused(
                    "the control plane asks for what is not of this closure",
                    "do not use this control plane",
                )
            })?;
            let path = made.nars.get(&file.sha256).ok_or_else(|| missing(&file.sha256))?;
            sent.nars += 1;
            sent.bytes += file.length.get();
            uploads.push(put(connection, path, file.length.get(), upload));
        }
        let done = number * ASKED + files.len();
        progress.detail(&format!(
            "uploading NARs: {done} of {}, {} sent",
            all.len(),
            bytes(sent.bytes)
        ));
        stream::iter(uploads).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    }
    Ok(sent)
}

async fn put(
    connection: &Connection,
    path: &Path,
    length: u64,
    upload: pb::NarUpload,
) -> Result<(), publish::Error> {
    let headers = upload.upload_headers.into_iter().map(|header| (header.name, header.value));
    let target = Target { url: upload.upload_url, headers: headers.collect() };
    publish::upload(path, length, &target, &connection.ca).await
}

fn missing(nar: &Digest) -> Stopped {
    Stopped::failed(
        format!("neither the store nor this machine has the NAR {nar} of the closure"),
        "publish it where it was built: its NARs lie beside its manifest, in `*.closure`",
    )
}

/// How many NARs are asked for at once; their URLs are good for an hour.
const ASKED: usize = 64;

/// How many are sent at once.
const PARALLEL: usize = 4;
