//! What must hold before the machine is touched. Finding out costs nothing then.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statvfs};

use super::paths::{AGENT, AGENT_UNIT, Paths, STORE, SWITCH_LOCK, SWITCH_UNIT};
use super::process::{self, Process};
use super::unit;
use crate::activation::state::Toplevel;

/// Inodes that must be free where a file system counts them.
const FREE_INODES: u64 = 1000;

/// Checks the machine, and the system that is going to be tried on it.
///
/// # Errors
///
/// The first thing that does not hold.
pub async fn check(to: &Toplevel, paths: &Paths) -> Result<(), Error> {
    for place in [Path::new(STORE), &paths.state] {
        let free = statvfs(place)
            .map_err(|source| Error::Look { path: place.to_owned(), source: source.into() })?;
        let bytes = free.f_bavail.saturating_mul(free.f_frsize);
        let inodes_short = free.f_files > 0 && free.f_favail < FREE_INODES;
        if bytes < paths.limits.free || inodes_short {
            return Err(Error::Full { path: place.to_owned() });
        }
    }
    if is_locked(Path::new(SWITCH_LOCK))? || unit::show(SWITCH_UNIT).await?.is_running() {
        return Err(Error::Busy);
    }
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
    /// A switch is under way.
    #[error("somebody else is switching this machine")]
    Busy,
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
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Full { .. } => "collect garbage on the host, or give it a larger disk",
            Self::Busy => "push again when the other nixos-rebuild has ended",
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
    fn a_lock_is_busy_only_while_somebody_holds_it() {
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
