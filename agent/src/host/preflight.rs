//! What must hold before the machine is touched. Finding out costs nothing then.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statvfs};

use super::paths::{AGENT, AGENT_UNIT, BOOT, GC_UNIT, Paths, STORE, SWITCH_LOCK, SWITCH_UNIT};
use super::process::{self, Process};
use super::unit;
use crate::activation::state::Toplevel;

/// Inodes that must be free where a file system counts them.
const FREE_INODES: u64 = 1000;

/// Checks the machine before anything is built on it.
///
/// # Errors
///
/// The first thing that does not hold.
pub async fn room(paths: &Paths) -> Result<(), Error> {
    for place in [Path::new(STORE), &paths.state] {
        let free = statvfs(place)
            .map_err(|source| Error::Look { path: place.to_owned(), source: source.into() })?;
        let bytes = free.f_bavail.saturating_mul(free.f_frsize);
        let inodes_short = free.f_files > 0 && free.f_favail < FREE_INODES;
        if bytes < paths.limits.free || inodes_short {
            return Err(Error::Full { path: place.to_owned() });
        }
    }
    // Where the kernel does not say, there is nothing to go by.
    if let Some(available) = fs::read_to_string(MEMINFO).ok().as_deref().and_then(available)
        && available < paths.limits.memory
    {
        return Err(Error::Memory { available, needed: paths.limits.memory });
    }
    // What is on its way into the store has no root yet.
    if unit::show(GC_UNIT).await?.is_running() {
        return Err(Error::Collecting);
    }
    nobody_switches().await
}

/// Whether nobody else switches this machine now: the lock is probed, not waited for.
///
/// # Errors
///
/// [`Error::Busy`], or why that cannot be told.
pub async fn nobody_switches() -> Result<(), Error> {
    if is_locked(Path::new(SWITCH_LOCK))? || unit::show(SWITCH_UNIT).await?.is_running() {
        return Err(Error::Busy);
    }
    Ok(())
}

/// Checks the machine, and the system that is going to be tried on it.
///
/// # Errors
///
/// The first thing that does not hold.
pub async fn check(to: &Toplevel, paths: &Paths) -> Result<(), Error> {
    room(paths).await?;
    boot_has_room(to)?;
    if !to.join("etc/systemd/system").join(AGENT_UNIT).exists() {
        return Err(Error::NoAgent);
    }
    let agent = to.join(AGENT);
    if !agent.exists() {
        return Err(Error::NoAgent);
    }
    let tested = Process::new(agent).arg("selftest").within(Duration::from_secs(20)).output();
    tested.await.and_then(process::Output::success).map_err(Error::BadAgent)?;
    Ok(())
}

/// Whether `/boot`, where it is a file system of its own, could take another kernel and
/// initrd: NixOS copies them there (nixpkgs, install-grub.pl, `copyToKernelsDir`).
fn boot_has_room(to: &Toplevel) -> Result<(), Error> {
    let look = |source: io::Error| Error::Look { path: BOOT.into(), source };
    let (Ok(boot), Ok(store)) = (fs::metadata(BOOT), fs::metadata(STORE)) else { return Ok(()) };
    if boot.dev() == store.dev() {
        return Ok(());
    }
    let size = |name: &str| fs::metadata(to.join(name)).map_or(0, |file| file.len());
    let needed = size("kernel").saturating_add(size("initrd")).saturating_add(BOOT_RESERVE);
    let free = statvfs(BOOT).map_err(|error| look(error.into()))?;
    if free.f_bavail.saturating_mul(free.f_frsize) < needed {
        return Err(Error::Full { path: BOOT.into() });
    }
    Ok(())
}

/// Bytes that can be had without swapping (proc_meminfo(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

const MEMINFO: &str = "/proc/meminfo";

/// For the menu, and what else lies beside the kernels.
const BOOT_RESERVE: u64 = 8 << 20;

/// Whether somebody holds the lock now.
fn is_locked(lock: &Path) -> Result<bool, Error> {
    let look = |source| Error::Look { path: lock.to_owned(), source };
    match File::open(lock) {
        Ok(file) => match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(look(error.into())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(look(error)),
    }
}

/// Why the new system was not tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too little room to go on, and to come back.
    #[error("too little space is free at `{}`", path.display())]
    Full {
        /// Where.
        path: PathBuf,
    },
    /// The build, or what it makes, would push the machine over.
    #[error("only {} MiB of memory are available, less than the {} MiB that must be", available >> 20, needed >> 20)]
    Memory {
        /// In bytes.
        available: u64,
        /// In bytes; `min_free_memory` of the agent.
        needed: u64,
    },
    /// A switch is under way.
    #[error("somebody else is switching this machine")]
    Busy,
    /// `floe-agent gc` is at work.
    #[error("this machine's garbage is being collected")]
    Collecting,
    /// The new system could not be reached any more.
    #[error("the new system has no floe-agent: it could not be reached after the switch")]
    NoAgent,
    /// The new system's agent does not work here.
    #[error("the new system's floe-agent does not work on this machine")]
    BadAgent(#[source] process::Error),
    /// systemd could not be asked.
    #[error(transparent)]
    Systemd(#[from] process::Error),
    /// The disk said no.
    #[error("could not look at `{}`", path.display())]
    Look {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether somebody is at work who comes to an end.
    pub fn will_pass(&self) -> bool {
        match self {
            Self::Busy | Self::Collecting => true,
            Self::Full { .. }
            | Self::Memory { .. }
            | Self::NoAgent
            | Self::BadAgent(_)
            | Self::Systemd(_)
            | Self::Look { .. } => false,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Full { .. } => "collect garbage on the host, or give it a larger disk",
            Self::Memory { .. } => "see what eats the host's memory, or use a larger machine",
            Self::Busy => "push again when the other nixos-rebuild has ended",
            Self::Collecting => "push again when the garbage is collected",
            Self::NoAgent => {
                "import floe's NixOS module in this role, with `services.floe-agent.enable`"
            }
            Self::BadAgent(error) | Self::Systemd(error) => error.advice(),
            Self::Look { .. } => "look at the host's disk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_that_can_be_had_is_what_the_kernel_says() {
        let meminfo = "MemTotal:       24606212 kB\nMemFree:   1 kB\nMemAvailable:   64 kB\n";
        assert_eq!(available(meminfo), Some(64 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert!(available(&fs::read_to_string(MEMINFO).unwrap()).is_some());
    }

    #[test]
    fn t105_a_lock_is_busy_only_while_somebody_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path).unwrap());
        let held = File::create(&path).unwrap();
        assert!(!is_locked(&path).unwrap());
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert!(is_locked(&path).unwrap());
        drop(held);
        assert!(!is_locked(&path).unwrap());
    }
}
