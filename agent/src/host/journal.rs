//! What survives a power cut: the activation's state, and the floors beside it.
//!
//! One writer at a time, by a lock; and a writer that did not see the newest state
//! does not write at all ([`Unwritten::Overtaken`]). So of agent and guard exactly
//! one acts. The floors have a file of their own, which a sealed image keeps and
//! which outlives a damaged journal; they are written first.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use floe_proto::admit::Floors;
use rustix::fs::{FlockOperation, flock};

use super::record;
use crate::activation::ports::{Journal, Unwritten};
use crate::activation::state::State;

const STATE: &str = "current";
const FLOORS: &str = "floors";
const LOCK: &str = "lock";

/// The journal of one process.
#[derive(Debug)]
pub struct HostJournal {
    directory: PathBuf,
    floors_directory: PathBuf,
    /// How often the state was written, as far as this process has seen.
    sequence: u64,
    floors: Floors,
    /// Held from opening to the end by the guard; by the agent only while it writes.
    held: Option<File>,
}

impl HostJournal {
    /// Opens the journal below the state directory, and reads it. Makes it where
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn open(state: &Path) -> Result<(Self, State), Error> {
        let mut journal = Self::at(state)?;
        let lock = journal.lock().map_err(Error::Disk)?;
        let found = journal.read()?;
        drop(lock);
        Ok((journal, found))
    }

    /// Opens the journal and holds its lock until this value is dropped: nobody else
    /// goes on with the activation meanwhile. Waits for the lock.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn hold(state: &Path) -> Result<(Self, State), Error> {
        let mut journal = Self::at(state)?;
        journal.held = Some(journal.lock().map_err(Error::Disk)?);
        let found = journal.read()?;
        Ok((journal, found))
    }

    fn at(state: &Path) -> Result<Self, Error> {
        let directory = state.join("journal");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&directory).map_err(Error::Disk)?;
        Ok(Self {
            directory,
            floors_directory: state.to_owned(),
            sequence: 0,
            floors: Floors::default(),
            held: None,
        })
    }

    fn read(&mut self) -> Result<State, Error> {
        let floors = match record::read::<Floors>(&self.floors_directory, FLOORS) {
            Ok(record) => record.map(|record| record.document).unwrap_or_default(),
            // Without floors a host could be made to go back: better no agent.
            Err(source) => return Err(Error::Record(source)),
        };
        let state = match record::read::<State>(&self.directory, STATE) {
            Ok(Some(record)) => {
                self.sequence = record.sequence;
                // The file of its own was written first, so it is never behind.
                State { floors: floors.clone(), ..record.document }
            }
            Ok(None) => State { floors: floors.clone(), ..State::default() },
            Err(source) => return Err(Error::Record(source)),
        };
        self.floors = floors;
        Ok(state)
    }

    fn lock(&self) -> io::Result<File> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.directory.join(LOCK))?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn write_now(&mut self, state: &State) -> Result<(), Unwritten> {
        let _lock = match &self.held {
            Some(_) => None,
            None => Some(self.lock().map_err(Unwritten::Disk)?),
        };
        let newest = record::read::<State>(&self.directory, STATE);
        if let Ok(Some(newest)) = newest
            && newest.sequence > self.sequence
        {
            return Err(Unwritten::Overtaken);
        }
        let sequence = self.sequence + 1;
        if state.floors != self.floors {
            record::write(&self.floors_directory, FLOORS, sequence, &state.floors)
                .map_err(Unwritten::Disk)?;
            self.floors = state.floors.clone();
        }
        record::write(&self.directory, STATE, sequence, state).map_err(Unwritten::Disk)?;
        self.sequence = sequence;
        Ok(())
    }
}

impl Journal for HostJournal {
    /// Blocks for the time of two syncs: an agent that waits for its journal has
    /// nothing else to do, and a thread for it would cost memory for ever.
    async fn write(&mut self, state: &State) -> Result<(), Unwritten> {
        self.write_now(state)
    }
}

/// Reads the state without changing anything: for `status`.
///
/// # Errors
///
/// [`Error`].
pub fn read(state: &Path) -> Result<State, Error> {
    if !fs::exists(state.join("journal")).map_err(Error::Disk)? {
        return Ok(State::default());
    }
    HostJournal::at(state)?.read()
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not open the activation journal")]
    Disk(#[source] io::Error),
    /// It is there and cannot be read.
    #[error(transparent)]
    Record(record::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk(_) => "look at the disk and at the permissions of the state directory",
            Self::Record(error) => error.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::state::{Fault, Phase, Report, Settled};
    use floe_proto::report::Outcome;
    use std::time::Duration;

    fn state(attempts: u32) -> State {
        let report = Report {
            activation: "1-a".parse().unwrap(),
            manifest: None,
            outcome: Outcome::Failed,
            reason: Fault::new("x").as_str().to_owned(),
            running: None,
            at: floe_proto::time::Timestamp::default(),
            unchanged: false,
            build: Duration::ZERO,
        };
        let settled = Some(Settled { rollout: "r-1".into(), attempts, report: report.clone() });
        State { settled, phase: Phase::Reporting(Box::new(report)), ..State::default() }
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, found) = HostJournal::open(dir.path()).unwrap();
        assert_eq!(found, State::default());
        journal.write_now(&state(1)).unwrap();
        journal.write_now(&state(2)).unwrap();
        assert_eq!(HostJournal::open(dir.path()).unwrap().1, state(2));
        assert_eq!(read(dir.path()).unwrap(), state(2));
    }

    #[test]
    fn who_did_not_see_the_newest_state_does_not_write() {
        let dir = tempfile::tempdir().unwrap();
        let (mut agent, _) = HostJournal::open(dir.path()).unwrap();
        agent.write_now(&state(1)).unwrap();
        let (mut guard, seen) = HostJournal::hold(dir.path()).unwrap();
        assert_eq!(seen, state(1));
        guard.write_now(&state(2)).unwrap();
        guard.write_now(&state(3)).unwrap();
        drop(guard);
        assert!(matches!(agent.write_now(&state(9)), Err(Unwritten::Overtaken)));
        assert_eq!(HostJournal::open(dir.path()).unwrap().1, state(3));
    }

    #[test]
    fn while_the_guard_holds_the_journal_nobody_else_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (mut agent, _) = HostJournal::open(dir.path()).unwrap();
        let (mut guard, _) = HostJournal::hold(dir.path()).unwrap();
        let waiting = std::thread::spawn(move || agent.write_now(&state(9)));
        guard.write_now(&state(1)).unwrap();
        drop(guard);
        assert!(matches!(waiting.join().unwrap(), Err(Unwritten::Overtaken)));
    }

    #[test]
    fn floors_outlive_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = HostJournal::open(dir.path()).unwrap();
        let newest_signed = Some(floe_proto::time::Timestamp::from_micros(5_000_000));
        let floors = Floors { newest_signed, ..Floors::default() };
        journal.write_now(&State { floors: floors.clone(), ..State::default() }).unwrap();
        fs::remove_dir_all(dir.path().join("journal")).unwrap();
        assert_eq!(HostJournal::open(dir.path()).unwrap().1.floors, floors);
    }
}
