//! A payload, or a NAR of a closure, is downloaded: hashed while it comes, bounded, and
//! there whole or not.
//!
//! Whoever serves it is not trusted: not one byte more than was signed is read, and
//! what does not have the signed digest is deleted. Memory stays constant.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::digest::{Digest, Hasher};
use floe_proto::manifest::Payload;
use floe_proto::payload::limits::Limits;
use rustls::pki_types::CertificateDer;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::system::sync_directory;
use crate::activation::ports::{Locate, NotLocated};

/// No byte for so long, and the download is given up.
const STALL: Duration = Duration::from_secs(30);

/// How many connections wait for the next download: the NARs of a closure are many.
const IDLE: usize = 4;

/// A download may take this long, and a second more for so many bytes: who sends one byte
/// now and then would otherwise keep this host from everything else.
const START: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 32 * 1024;

/// How often it is tried, and how long is waited before each time: a URL is good for
/// minutes, and a control plane that restarts is back within them.
const WAITS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// Has `payload` at `target`, downloading it where it is not there yet. `ca` is the
/// fleet's own certificates, which the embedded object store answers by.
///
/// # Errors
///
/// The last of several tries; at once where another try cannot help.
pub async fn fetch(
    payload: &Payload,
    target: &Path,
    ca: &[CertificateDer<'static>],
    locate: &impl Locate,
) -> Result<(), Error> {
    let limit = Limits::default().packed_bytes;
    if payload.length.get() > limit {
        return Err(Error::TooLarge { limit });
    }
    if is_whole(payload, target).await {
        return Ok(());
    }
    Store::new(ca)?.fetch(payload, target, locate).await
}

/// The object store. Made for the downloads of one activation and dropped: an idle agent
/// needs no certificates in memory.
pub struct Store {
    client: reqwest::Client,
}

impl Store {
    /// The object store, which may answer by one of the fleet's own certificates `ca`.
    ///
    /// # Errors
    ///
    /// [`Error::Client`].
    pub fn new(ca: &[CertificateDer<'static>]) -> Result<Self, Error> {
        Ok(Self { client: client(ca)? })
    }

    /// Downloads what has the digest and length of `wanted` to `target`; how long that is
    /// was bounded before.
    ///
    /// # Errors
    ///
    /// The last of several tries; at once where another try cannot help.
    pub async fn fetch(
        &self,
        wanted: &Payload,
        target: &Path,
        locate: &impl Locate,
    ) -> Result<(), Error> {
        let patience = patience(wanted.length.get());
        let mut last = Error::Located(NotLocated("it was not asked".to_owned()));
        for wait in WAITS {
            sleep(wait).await;
            match once(wanted, target, &self.client, locate, patience).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => {
                    log::info!(error:% = error; "download failed; trying again");
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

/// How long so many bytes may take to come.
pub(super) fn patience(length: u64) -> Duration {
    START + Duration::from_secs(length / SLOWEST)
}

/// Whether the file is there with the signed length and digest.
async fn is_whole(payload: &Payload, target: &Path) -> bool {
    let Ok(mut file) = File::open(target).await else { return false };
    let length = file.metadata().await.map(|metadata| metadata.len());
    if !length.is_ok_and(|length| length == payload.length.get()) {
        return false;
    }
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 128 * 1024]);
    loop {
        match file.read(&mut buffer).await {
            Ok(0) => return hasher.finish() == payload.sha256,
            Ok(length) => hasher.update(&buffer[..length]),
            Err(_) => return false,
        }
    }
}

fn client(ca: &[CertificateDer<'static>]) -> Result<reqwest::Client, Error> {
    // Of two providers in the tree rustls would choose none. Installed already is as good.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ours = ca.iter().map(|certificate| reqwest::Certificate::from_der(certificate));
    let ours: Vec<_> = ours.collect::<Result<_, _>>().map_err(Error::Client)?;
    let builder = || {
        reqwest::Client::builder()
            // The control plane says where, and may not have this host ask whom it likes
            // (such as the metadata service of EC2).
            .https_only(true)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(STALL)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(Duration::from_secs(5))
    };
    // A machine without public certificates can still reach the fleet's own store.
    let public = builder().tls_certs_merge(ours.clone()).build();
    public.or_else(|_| builder().tls_certs_only(ours).build()).map_err(Error::Client)
}

async fn once(
    payload: &Payload,
    target: &Path,
    client: &reqwest::Client,
    locate: &impl Locate,
    patience: Duration,
) -> Result<(), Error> {
    let url = locate.locate(payload.sha256).await?;
    let downloading = download(payload, target, client, url);
    timeout(patience, downloading).await.unwrap_or(Err(Error::TooSlow(patience)))
}

async fn download(
    payload: &Payload,
    target: &Path,
    client: &reqwest::Client,
    url: String,
) -> Result<(), Error> {
    // The URL is a secret for minutes, so that no error may name it.
    let mut response = client.get(url).send().await.map_err(|e| Error::Http(e.without_url()))?;
    if !response.status().is_success() {
        return Err(Error::Status(response.status().as_u16()));
    }
    let expected = payload.length.get();
    if let Some(length) = response.content_length()
        && length != expected
    {
        return Err(Error::Length { expected });
    }

    let partial = Partial(target.with_extension("partial"));
    let disk = |source| Error::Disk { path: partial.0.clone(), source };
    let mut file = File::create(&partial.0).await.map_err(disk)?;
    let (mut hasher, mut left) = (Hasher::default(), expected);
    while let Some(chunk) = response.chunk().await.map_err(|e| Error::Http(e.without_url()))? {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(length).ok_or(Error::Length { expected })?;
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(disk)?;
    }
    if left > 0 {
        return Err(Error::Length { expected });
    }
    let found = hasher.finish();
    if found != payload.sha256 {
        // For this machine's log alone: reported, it would tell the control plane what lies
        // where this host reaches and it does not.
        log::warn!(found:% = found; "what was downloaded is not the payload");
        return Err(Error::Digest { expected: payload.sha256 });
    }
    file.sync_all().await.map_err(disk)?;
    fs::rename(&partial.0, target).await.map_err(disk)?;
    sync_directory(target.parent().unwrap_or_else(|| Path::new("/"))).map_err(disk)
}

/// A file that is gone when this is dropped, unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            // It was renamed, or the next download will overwrite it.
            Ok(()) | Err(_) => {}
        }
    }
}

/// Why there is no payload, or no NAR.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody said where it lies.
    #[error(transparent)]
    Located(#[from] NotLocated),
    /// The way there, or the download, broke.
    #[error("the download broke")]
    Http(#[source] reqwest::Error),
    /// The server said no.
    #[error("it could not be downloaded: the object store answered {0}")]
    Status(u16),
    /// Not the signed length.
    #[error("what the object store has does not have the {expected} bytes that were signed")]
    Length {
        /// How many were signed.
        expected: u64,
    },
    /// Not the signed bytes.
    #[error("what the object store has is not what was signed: its digest is not {expected}")]
    Digest {
        /// What was signed.
        expected: Digest,
    },
    /// More than is ever unpacked.
    #[error("the payload has more than the {limit} bytes that are allowed")]
    TooLarge {
        /// How many are.
        limit: u64,
    },
    /// It comes, but hardly.
    #[error("it could not be downloaded within {0:?}")]
    TooSlow(Duration),
    /// TLS cannot be had.
    #[error("could not prepare the download")]
    Client(#[source] reqwest::Error),
    /// The disk said no.
    #[error("could not read or write `{}`", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same may work a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Located(_) | Self::Http(_) | Self::Status(_) => true,
            // Bytes that were tampered with once may be whole the next time; but an
            // operator should hear of it at once.
            Self::Length { .. } | Self::Digest { .. } => false,
            Self::TooLarge { .. } | Self::TooSlow(_) => false,
            Self::Client(_) | Self::Disk { .. } => false,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "pin large trees by url and sha256 instead of packing them",
            Self::Located(_) | Self::Http(_) | Self::TooSlow(_) => {
                "look at the control plane and at the network between the host and the object store"
            }
            Self::Status(_) => "look at the object store; is the host's clock right?",
            Self::Length { .. } | Self::Digest { .. } => {
                "somebody changed it in the object store: look at who may write there, then push again"
            }
            Self::Client(_) => "look at the CA file of the agent's configuration",
            Self::Disk { .. } => "free space on the host",
        }
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
