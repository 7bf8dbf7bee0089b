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
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
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
pub use super::closure_error::Error;
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

#[cfg(test)]
#[path = "closure_tests.rs"]
pub(super) mod tests;
