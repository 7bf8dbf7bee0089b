//! A system that was built elsewhere comes into this machine's store: what the store lacks
//! is downloaded, and copied by Nix, which asks for signatures of keys that this machine
//! trusts. Nothing is evaluated and nothing is built, whatever goes wrong.
//!
//! The list came with the signed payload, so that each NAR has a digest that a release key
//! vouches for; that is compared here. Whether a *path* may be what it says is Nix' to
//! decide, by its own keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::closure::{self, Closure, Entry, NarFile};
use floe_proto::manifest::Payload;
use floe_proto::store_path::StorePath;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rustix::fs::statvfs;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::build::{self, Unit};
use super::cache::Cache;
use super::fetch::{self, Store};
use super::paths::{Paths, STORE, source};
use super::process::{self, Process};
use super::{system, unit};
use crate::activation::ports::Locate;
use crate::activation::state::{Order, Toplevel};

/// How many NARs come at once: most are small, and each has to be asked for.
const PARALLEL: usize = 4;

/// How many paths Nix is asked about at once; its answer must fit into what is kept of it.
const ASKED: usize = 500;

/// How long Nix may take for that.
const PATIENCE: Duration = Duration::from_secs(120);

/// Downloads the NARs of what this machine's store lacks, and no others. `tell` is given
/// a line for people.
///
/// # Errors
///
/// [`Error`]: nothing on the machine was changed.
pub async fn fetch(
    order: &Order,
    paths: &Paths,
    ca: &[CertificateDer<'static>],
    locate: &impl Locate,
    tell: impl FnMut(Vec<String>),
) -> Result<(), Error> {
    let cache = Cache::new(paths.closure());
    let fetched = fetch_into(&cache, order, paths, ca, locate, tell).await;
    if fetched.as_ref().is_err_and(|error| !error.is_transient()) {
        forget(paths);
    }
    fetched
}

async fn fetch_into(
    cache: &Cache,
    order: &Order,
    paths: &Paths,
    ca: &[CertificateDer<'static>],
    locate: &impl Locate,
    mut tell: impl FnMut(Vec<String>),
) -> Result<(), Error> {
    let closure = read(&source(&paths.activation(&order.activation)))?;
    cache.prepare(&closure).map_err(|source| Error::disk(paths.closure(), source))?;
    let missing = missing(&closure).await?;
    let files: BTreeMap<_, _> = missing
        .iter()
        .filter(|entry| !cache.has(&entry.file))
        .map(|entry| (entry.file.sha256, (&entry.path, entry.file)))
        .collect();
    let packed = files.values().map(|(_, file)| file.length.get()).sum();
    let unpacked = missing.iter().map(|entry| entry.nar_size.get()).sum();
    room(paths, packed, unpacked)?;
    if files.is_empty() {
        return Ok(());
    }
    tell(vec![format!(
        "fetching {} of {} store paths, {} KiB",
        missing.len(),
        closure.paths.len(),
        packed.div_ceil(1024)
    )]);
    let store = Store::new(ca).map_err(|source| Error::fetch(&closure.toplevel, source))?;
    // Each has a bound of its own, which adds up.
    let patience = fetch::patience(packed);
    let mut downloads = Vec::with_capacity(files.len());
    for (path, file) in files.into_values() {
        downloads.push(download(&store, cache, path, file, locate));
    }
    let downloading = stream::iter(downloads).buffer_unordered(PARALLEL).try_collect();
    let late = |_| Err(Error::fetch(&closure.toplevel, fetch::Error::TooSlow(patience)));
    timeout(patience, downloading).await.unwrap_or_else(late)
}

async fn download(
    store: &Store,
    cache: &Cache,
    path: &StorePath,
    file: NarFile,
    locate: &impl Locate,
) -> Result<(), Error> {
    let wanted = Payload { sha256: file.sha256, length: file.length };
    let fetched = store.fetch(&wanted, &cache.nar(&file), locate).await;
    fetched.map_err(|source| Error::fetch(path, source))
}

/// Has Nix copy what was downloaded into the store. `tell` is given what Nix writes.
/// Returns the system, rooted by the link `result`, and how long it took.
///
/// # Errors
///
/// [`Error`]: nothing on the machine was changed, but for store paths that nobody needs.
pub async fn copy(
    order: &Order,
    paths: &Paths,
    tell: impl FnMut(Vec<String>),
) -> Result<(Toplevel, Duration), Error> {
    let began = system::uptime();
    let copied = copy_from(&Cache::new(paths.closure()), order, paths, tell).await;
    if copied.as_ref().map_or_else(Error::is_of_the_closure, |_| true) {
        forget(paths);
    }
    Ok((copied?, began.until(system::uptime())))
}

/// Whether Nix copies for `order` already: an earlier process began that, and what it reads
/// must stay.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn is_copying(order: &Order) -> Result<bool, process::Error> {
    Ok(unit::show(&build::unit_name(PURPOSE, order)).await?.is_running())
}

/// What stands in the name of the unit that copies.
const PURPOSE: &str = "copy";

async fn copy_from(
    cache: &Cache,
    order: &Order,
    paths: &Paths,
    mut tell: impl FnMut(Vec<String>),
) -> Result<Toplevel, Error> {
    let directory = paths.activation(&order.activation);
    let closure = read(&source(&directory))?;
    if !missing(&closure).await?.is_empty() {
        cache.describe(&closure).map_err(|source| Error::disk(paths.closure(), source))?;
        let mut argv: Vec<OsString> = NIX_COPY.map(OsString::from).to_vec();
        argv.extend([cache.url(), closure.toplevel.as_str().into()]);
        let unit = Unit { purpose: PURPOSE, order, directory: &directory, stdout: None };
        unit.run(&argv, paths, &mut tell).await.map_err(|error| Error::copy(error, &closure))?;
        system::sync_store().await.map_err(|source| Error::disk(STORE.into(), source))?;
    }

    let result = directory.join("result");
    let realise = Process::new("nix-store").args(NIX_REALISE).arg(closure.toplevel.as_str());
    let rooted = realise.arg("--add-root").arg(&result).within(PATIENCE).output().await;
    rooted.and_then(process::Output::success).map_err(Error::Nix)?;
    let found =
        system::toplevel(&result).filter(|found| found.as_str() == closure.toplevel.as_str());
    found
        .filter(|found| found.join("bin/switch-to-configuration").exists())
        .ok_or(Error::OtherSystem { listed: closure.toplevel })
}

/// Whatever the machine's own nix.conf says: signatures are required, by Nix and by the store.
/// `nix copy` has no other form, and is still called experimental. As root it writes to the
/// store itself, so that the limits of the unit hold for all that it does. It does not
/// collect garbage when the disk gets full: what it has copied has no root yet. And it
/// syncs what it registers, where it can (Nix 2.25).
#[rustfmt::skip]
const NIX_COPY: [&str; 16] = [
    "nix", "--extra-experimental-features", "nix-command", "copy",
    "--option", "require-sigs", "true",
    "--option", "min-free", "0",
    "--option", "fsync-store-paths", "true",
    "--to", "local?require-sigs=true", "--from",
];

/// Roots what is there; where it is not, it is not made or fetched by other means.
#[rustfmt::skip]
const NIX_REALISE: [&str; 10] = [
    "--option", "substituters", "", "--option", "max-jobs", "0", "--option", "builders", "", "--realise",
];

/// Removes what was downloaded, if anything was.
pub fn forget(paths: &Paths) {
    if let Err(error) = Cache::new(paths.closure()).remove() {
        log::warn!(error:% = error; "could not remove the downloaded closure");
    }
}

/// The list in the unpacked payload.
fn read(source: &Path) -> Result<Closure, Error> {
    let file = source.join(closure::FILE);
    let mut bytes = Vec::new();
    // One more than is allowed, so that what is too long is seen to be.
    let bound = u64::try_from(closure::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(&file)
        .and_then(|opened| opened.take(bound).read_to_end(&mut bytes))
        .map_err(|source| Error::disk(file, source))?;
    Ok(Closure::parse(&bytes)?)
}

/// The paths that this machine's store does not have.
async fn missing(closure: &Closure) -> Result<Vec<&Entry>, Error> {
    let mut missing = Vec::new();
    for entries in closure.paths.chunks(ASKED) {
        let asked = Process::new("nix-store").args(["--check-validity", "--print-invalid"]);
        let asked = asked.args(entries.iter().map(|entry| entry.path.as_str())).within(PATIENCE);
        let said = asked.output().await.and_then(process::Output::success).map_err(Error::Nix)?;
        let invalid: Vec<&str> = said.stdout.lines().map(str::trim).collect();
        missing.extend(entries.iter().filter(|entry| invalid.contains(&entry.path.as_str())));
    }
    Ok(missing)
}

/// Looks for room before the first byte: for what is downloaded, for what becomes of it,
/// and for what must remain.
fn room(paths: &Paths, packed: u64, unpacked: u64) -> Result<(), Error> {
    let device = |place: &Path| -> Result<u64, Error> {
        fs::metadata(place).map(|found| found.dev()).map_err(|e| Error::disk(place.to_owned(), e))
    };
    let (store, state) = (Path::new(STORE), paths.state.as_path());
    let together = device(store)? == device(state)?;
    for (place, needed) in demands(together, packed, unpacked) {
        let place = if place == Place::Store { store } else { state };
        let free = statvfs(place).map_err(|e| Error::disk(place.to_owned(), e.into()))?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        let needed = needed.saturating_add(paths.limits.free);
        if free < needed {
            return Err(Error::Full { place: place.to_owned(), free, needed });
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Store,
    State,
}

/// What is needed where. `together`: store and state are on one file system.
fn demands(together: bool, packed: u64, unpacked: u64) -> Vec<(Place, u64)> {
    if together {
        vec![(Place::Store, packed.saturating_add(unpacked))]
    } else {
        vec![(Place::State, packed), (Place::Store, unpacked)]
    }
}

/// Why there is no system. Nothing on the machine was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list in the payload is none.
    #[error("the payload's list of store paths was refused")]
    List(#[from] closure::Error),
    /// A NAR could not be had.
    #[error("`{path}` could not be fetched")]
    Fetch {
        /// What it would have become.
        path: StorePath,
        /// Why.
        #[source]
        source: fetch::Error,
    },
    /// Too little room for what is missing.
    #[error(
        "the closure needs {} MiB at `{}`, with what must stay free, and {} MiB are",
        needed >> 20, place.display(), free >> 20
    )]
    Full {
        /// Where.
        place: PathBuf,
        /// In bytes.
        free: u64,
        /// In bytes.
        needed: u64,
    },
    /// Nix does not know the keys.
    #[error(
        "this host trusts no key that signed the closure ({keys}); its `nix.settings.trusted-public-keys` \
         must name one, by a push without --closure: {said}"
    )]
    Untrusted {
        /// Names of the keys that signed.
        keys: String,
        /// What Nix said.
        said: String,
    },
    /// Nix said no.
    #[error("the closure could not be copied into the store: {said}")]
    Copy {
        /// What it said.
        said: String,
    },
    /// It was stopped, or systemd said no.
    #[error("the closure could not be copied into the store")]
    Unit(#[source] build::Error),
    /// What is there now is something else.
    #[error("`{listed}`, which the closure is for, is no NixOS system in the store")]
    OtherSystem {
        /// What should be.
        listed: StorePath,
    },
    /// Nix could not be asked.
    #[error("could not ask Nix what is in the store")]
    Nix(#[source] process::Error),
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
    fn disk(path: PathBuf, source: io::Error) -> Self {
        Self::Disk { path, source }
    }

    fn fetch(path: &StorePath, source: fetch::Error) -> Self {
        Self::Fetch { path: path.clone(), source }
    }

    /// What came of the unit in which Nix copied.
    fn copy(error: build::Error, closure: &Closure) -> Self {
        match error {
            // "lacks a valid signature", or since 2.19 "lacks a signature by a trusted key".
            build::Error::Failed { said } if said.contains("lacks a") => {
                let keys = closure.paths.iter().flat_map(|entry| &entry.signatures);
                let mut keys: Vec<_> = keys.map(|signature| signature.key()).collect();
                keys.sort_unstable();
                keys.dedup();
                keys.truncate(8);
                Self::Untrusted { keys: keys.join(", "), said }
            }
            build::Error::Failed { said } => Self::Copy { said },
            other @ (build::Error::TooLong(_)
            | build::Error::TooMuch(_)
            | build::Error::NoSystem
            | build::Error::NoPins
            | build::Error::Lock(_)
            | build::Error::Read { .. }
            | build::Error::Systemd(_)) => Self::Unit(other),
        }
    }

    /// Whether it says something of what was downloaded, which is of no use then.
    fn is_of_the_closure(&self) -> bool {
        match self {
            Self::List(_) | Self::Untrusted { .. } | Self::Copy { .. } => true,
            Self::Fetch { .. }
            | Self::Full { .. }
            | Self::Unit(_)
            | Self::OtherSystem { .. }
            | Self::Nix(_)
            | Self::Disk { .. } => false,
        }
    }

    /// Whether somebody may have collected what was there, so that it is worth fetching again.
    pub fn may_be_collected(&self) -> bool {
        match self {
            Self::Copy { .. } | Self::OtherSystem { .. } | Self::Nix(_) => true,
            Self::List(_)
            | Self::Fetch { .. }
            | Self::Full { .. }
            | Self::Untrusted { .. }
            | Self::Unit(_)
            | Self::Disk { .. } => false,
        }
    }

    /// Whether the same may work a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => source.is_transient(),
            Self::List(_)
            | Self::Full { .. }
            | Self::Untrusted { .. }
            | Self::Copy { .. }
            | Self::Unit(_)
            | Self::OtherSystem { .. }
            | Self::Nix(_)
            | Self::Disk { .. } => false,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::List(error) => error.advice(),
            Self::Fetch { source, .. } => source.advice(),
            Self::Full { .. } => "collect garbage on the host, or give it a larger disk",
            Self::Untrusted { .. } => {
                "push a configuration that names the key in `nix.settings.trusted-public-keys`, \
                 or sign with a key that it names"
            }
            Self::Copy { .. } | Self::OtherSystem { .. } => "build the closure again, and push it",
            Self::Unit(error) => error.advice(),
            Self::Nix(error) => error.advice(),
            Self::Disk { .. } => "look at the host's disk",
        }
    }
}

#[cfg(test)]
#[path = "closure_tests.rs"]
pub(super) mod tests;
