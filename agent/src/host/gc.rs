//! What `floe-agent gc` does: delete generations of the system, then what nobody needs.
//!
//! Never while something is in flight or somebody switches: it holds the journal and the
//! switch's own lock while it deletes. Then the boot menu is written anew, by the installer of
//! the system that boots by default, before anything is taken from the store: so there is no
//! moment in which the menu names what is gone, also where an earlier run ended half way.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::by_hand;
use super::clock::HostClock;
use super::generations::{self, Generation, Kept, Policy};
use super::paths::{BOOTED_SYSTEM, GC_UNIT, PROFILE, Paths, ROOTS, SWITCH_LOCK};
use super::process::{self, Process};
use super::{commit, preflight, switch, system};
use crate::activation::ports::Clock as _;
use crate::activation::state::{State, Toplevel};

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The generations that went.
    pub deleted: Vec<u64>,
    /// Those that are left.
    pub kept: Vec<u64>,
    /// What boots by default, read back after the menu was written anew; `None` where
    /// nothing was done.
    pub boots: Option<Toplevel>,
    /// What Nix says that it freed; `None` where nothing was asked of it.
    pub freed: Option<String>,
}

/// Collects garbage by `policy`; only says what it would do where `dry_run`.
///
/// # Errors
///
/// [`Error`].
pub async fn run(paths: &Paths, policy: Policy, dry_run: bool) -> Result<Done, Error> {
    let (journal, found) = by_hand::hold(paths).await?;
    if let Some(phase) = found.state.phase.name()
        && !by_hand::is_idle(&found.state)
    {
        return Err(Error::InFlight(phase.as_str()));
    }
    preflight::nobody_switches().await?;
    let lock = lock_switches(Path::new(SWITCH_LOCK))?;

    let look = |source| Error::Look { source };
    let (all, current) = generations::read(Path::new(PROFILE)).map_err(look)?;
    let profile = system::profile().ok_or(Error::NoSystem)?;
    let kept = Kept { systems: needed(&found.state).map_err(look)?, current };
    let now = HostClock::new(&found.state.floors).now();
    let deleted = generations::surplus(&all, policy, &kept, now);
    let stays = |generation: &&Generation| !deleted.contains(&generation.number);
    let left: Vec<u64> = all.iter().filter(stays).map(|generation| generation.number).collect();
    let mut done = Done { deleted, kept: left, boots: None, freed: None };
    if dry_run {
        return Ok(done);
    }
    if !done.deleted.is_empty() {
        let numbers = done.deleted.iter().map(u64::to_string);
        let delete = Process::new("nix-env").args(["-p", PROFILE, "--delete-generations"]);
        delete.args(numbers).within(LIMIT).output().await?.success()?;
    }
    // The installer takes it itself.
    drop(lock);
    let activation = "gc".parse().unwrap_or_else(|error| unreachable!("two letters: {error}"));
    commit::install(&profile, &activation, "menu", paths).await?;
    if system::profile().as_ref() != Some(&profile) {
        return Err(commit::Error::ProfileMoved.into());
    }
    done.boots = Some(profile);
    // What follows may take long: an activation that begins meanwhile waits for it before it
    // builds (`preflight::room`).
    drop(journal);
    done.freed = Some(collect(paths).await?);
    Ok(done)
}

/// How long deleting links may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Systems that run, would run, or may be gone back to.
fn needed(state: &State) -> io::Result<BTreeSet<Toplevel>> {
    let mut systems: BTreeSet<Toplevel> =
        [system::running(), system::profile(), system::toplevel(Path::new(BOOTED_SYSTEM))]
            .into_iter()
            .flatten()
            .collect();
    if let Some(confirmed) = &state.confirmed {
        systems.insert(confirmed.toplevel.clone());
        systems.extend(confirmed.before.clone());
    }
    match fs::read_dir(ROOTS) {
        Ok(roots) => {
            for root in roots {
                systems.extend(system::toplevel(&root?.path()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(systems)
}

/// Holds what a switch holds; never waits for it.
fn lock_switches(lock: &Path) -> Result<File, Error> {
    let look = |source| Error::Look { source };
    if let Some(directory) = lock.parent() {
        fs::create_dir_all(directory).map_err(look)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(lock).map_err(look)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(preflight::Error::Busy.into()),
        Err(error) => Err(look(error.into())),
    }
}

/// Takes from the store what nobody needs, in a unit with bounds. Gives Nix' last line.
async fn collect(paths: &Paths) -> Result<String, Error> {
    let limits = &paths.limits;
    let mut path = OsString::from("--setenv=PATH=");
    path.push(&paths.search);
    let run = Process::new("systemd-run")
        .args(["--quiet", "--no-ask-password", "--wait", "--pipe", "--collect"])
        .arg(format!("--unit={GC_UNIT}"))
        .args(["--description=floe: garbage collection"])
        .args(["--property=Nice=10", "--property=IOSchedulingClass=idle"])
        .arg(format!("--property=MemoryMax={}", limits.build_memory))
        .arg(format!("--property=RuntimeMaxSec={}", limits.build_time.as_secs().max(1)))
        .arg(path)
        .args(["--", "nix-store", "--gc"]);
    let output = run.within(limits.build_time.saturating_add(LIMIT)).output().await?.success()?;
    let told = output.stdout.lines().chain(output.stderr.lines());
    let freed = told.rev().find(|line| line.contains("freed"));
    Ok(freed.unwrap_or("nothing to free").trim().to_owned())
}

/// Why no garbage was collected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is in flight.
    #[error("an activation is in flight (it is {0}); nothing was deleted")]
    InFlight(&'static str),
    /// Nobody could say what boots.
    #[error("this machine has no system profile")]
    NoSystem,
    /// Somebody switches the machine.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// See there.
    #[error(transparent)]
    Journal(#[from] by_hand::Error),
    /// The disk said no.
    #[error("could not look at this machine's generations and roots")]
    Look {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The boot menu was not written anew. Nothing was taken from the store.
    #[error(transparent)]
    Menu(#[from] commit::Error),
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::InFlight(_) | Self::Menu(commit::Error::Switch(switch::Error::Busy)) => {
                "look at `floe-agent status`, and try again when that has ended"
            }
            Self::NoSystem => "is this NixOS?",
            Self::Preflight(error) => error.advice(),
            Self::Journal(error) => error.advice(),
            Self::Look { .. } => "look at the disk",
            Self::Menu(error) => error.advice(),
            Self::Tool(error) => error.advice(),
        }
    }

    /// Whether it was refused, with nothing done.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::InFlight(_) | Self::Preflight(preflight::Error::Busy) => true,
            Self::Journal(error) => error.is_refusal(),
            Self::NoSystem
            | Self::Preflight(_)
            | Self::Look { .. }
            | Self::Menu(_)
            | Self::Tool(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_a_switch_holds_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nixos/lock");
        let held = lock_switches(&path).unwrap();
        let refused = lock_switches(&path).unwrap_err();
        assert!(refused.is_refusal(), "{refused}");
        drop(held);
        lock_switches(&path).unwrap();
    }
}
