//! What survives a power cut: the activation's state, and the floors beside it.
//!
//! One writer at a time, by a lock; and a writer that did not see the newest state
//! does not write at all ([`Unwritten::Overtaken`]). So of agent and guard exactly
//! one acts. The floors have a file of their own, which a sealed image keeps and
//! which outlives a damaged journal; they are written first.
//!
//! What is damaged in all its copies is a [`Loss`], never an empty host: of floors the
//! highest surviving copy counts, and where none survived nothing more is recorded, so
//! that the loss is not forgotten either.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::admit::Floors;

use super::disk::{Disk, RealDisk};
use super::{history, record};
use crate::activation::ports::{Journal, Unwritten};
use crate::activation::state::State;

const STATE: &str = "current";
const FLOORS: &str = "floors";
const LOCK: &str = "lock";

/// What a process finds when it opens the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is known. Where the activation was lost it is that of an idle host.
    pub state: State,
    /// What could not be read any more.
    pub loss: Loss,
}

/// What of a journal is damaged in every copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    None,
    /// How the activation stood: the machine itself has to say; see `salvage`.
    Activation,
    /// That, and the floors: nobody knows any more what this host must not go back to.
    Floors,
}

/// The journal of one process.
#[derive(Debug)]
pub struct HostJournal<D: Disk = RealDisk> {
    disk: D,
    directory: PathBuf,
    floors_directory: PathBuf,
    /// How often the state was written, as far as this process has seen.
    sequence: u64,
    /// What the floors' own file says; `None` where it has to be written.
    floors: Option<Floors>,
    /// The state as this process read or wrote it last.
    newest: State,
    loss: Loss,
    /// Held from opening to the end by the guard; by the agent only while it writes.
    held: Option<D::Lock>,
}

impl<D: Disk> HostJournal<D> {
    /// Opens the journal below the state directory, and reads it. Makes it where
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn open(disk: D, state: &Path) -> Result<(Self, Found), Error> {
        let mut journal = Self::at(disk, state)?;
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
    pub fn hold(disk: D, state: &Path) -> Result<(Self, Found), Error> {
        let mut journal = Self::at(disk, state)?;
        journal.held = Some(journal.lock().map_err(Error::Disk)?);
        let found = journal.read()?;
        Ok((journal, found))
    }

    /// Like [`Self::hold`], but gives `None` at once where somebody else holds the lock.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn try_hold(disk: D, state: &Path) -> Result<Option<(Self, Found)>, Error> {
        let mut journal = Self::at(disk, state)?;
        let lock = journal.disk.try_lock(&journal.directory.join(LOCK)).map_err(Error::Disk)?;
        if lock.is_none() {
            return Ok(None);
        }
        journal.held = lock;
        let found = journal.read()?;
        Ok(Some((journal, found)))
    }

    fn at(disk: D, state: &Path) -> Result<Self, Error> {
        let directory = state.join("journal");
        disk.make_directory(&directory).map_err(Error::Disk)?;
        Ok(Self {
            disk,
            directory,
            floors_directory: state.to_owned(),
            sequence: 0,
            floors: None,
            newest: State::default(),
            loss: Loss::None,
            held: None,
        })
    }

    fn read(&mut self) -> Result<Found, Error> {
        let floors = Copy::of(record::read::<Floors>(&self.disk, &self.floors_directory, FLOORS))?;
        let state = Copy::of(record::read::<State>(&self.disk, &self.directory, STATE))?;
        self.loss = match (&floors, &state) {
            // The state holds a copy of the floors.
            (_, Copy::Whole(_)) | (Copy::Whole(_) | Copy::Absent, Copy::Absent) => Loss::None,
            (Copy::Whole(_), Copy::Damaged) => Loss::Activation,
            // A journal is never without floors: those that are missing were removed.
            (Copy::Damaged, Copy::Absent) | (Copy::Damaged | Copy::Absent, Copy::Damaged) => {
                Loss::Floors
            }
        };
        self.floors = floors.whole().map(|record| record.document);
        let mut found = State::default();
        if let Some(record) = state.whole() {
            (self.sequence, found) = (record.sequence, record.document);
        }
        // Either may be behind: after a crash the state, after damage the other.
        found.floors = found.floors.merged(self.floors.clone().unwrap_or_default());
        self.newest = found.clone();
        Ok(Found { state: found, loss: self.loss })
    }

    fn lock(&self) -> io::Result<D::Lock> {
        self.disk.lock(&self.directory.join(LOCK))
    }

    fn write_now(&mut self, state: &State) -> Result<(), Unwritten> {
        if self.loss == Loss::Floors {
            // What is written now would be taken for all that there ever was.
            return Ok(());
        }
        let _lock = match &self.held {
            Some(_) => None,
            None => Some(self.lock().map_err(Unwritten::Disk)?),
        };
        let newest = record::read::<State>(&self.disk, &self.directory, STATE);
        if let Ok(Some(newest)) = newest
            && newest.sequence > self.sequence
        {
            return Err(Unwritten::Overtaken);
        }
        let sequence = self.sequence + 1;
        if self.floors.as_ref() != Some(&state.floors) {
            record::write(&self.disk, &self.floors_directory, FLOORS, sequence, &state.floors)
                .map_err(Unwritten::Disk)?;
            self.floors = Some(state.floors.clone());
        }
        let ended = history::ended(&self.newest, state);
        if let Err(error) = history::add(&self.disk, &self.floors_directory, ended) {
            // Nothing is decided by it.
            log::warn!(error:% = error; "could not write the history");
        }
        record::write(&self.disk, &self.directory, STATE, sequence, state)
            .map_err(Unwritten::Disk)?;
        self.sequence = sequence;
        self.newest = state.clone();
        Ok(())
    }
}

/// One of the two files, with the one before it.
enum Copy<T> {
    Whole(record::Record<T>),
    Damaged,
    Absent,
}

impl<T> Copy<T> {
    fn of(read: Result<Option<record::Record<T>>, record::Error>) -> Result<Self, Error> {
        match read {
            Ok(Some(record)) => Ok(Self::Whole(record)),
            Ok(None) => Ok(Self::Absent),
            Err(damage @ record::Error::Damaged { .. }) => {
                log::error!(error:% = damage; "the journal is damaged");
                Ok(Self::Damaged)
            }
            // Whole, but not for us; or not to be had now: better no agent than a wrong one.
            Err(other @ (record::Error::Newer { .. } | record::Error::Unreadable { .. })) => {
                Err(Error::Record(other))
            }
        }
    }

    fn whole(self) -> Option<record::Record<T>> {
        match self {
            Self::Whole(record) => Some(record),
            Self::Damaged | Self::Absent => None,
        }
    }
}

impl<D: Disk> Journal for HostJournal<D> {
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
pub fn read(state: &Path) -> Result<Found, Error> {
    if !fs::exists(state.join("journal")).map_err(Error::Disk)? {
        return Ok(Found { state: State::default(), loss: Loss::None });
    }
    HostJournal::at(RealDisk, state)?.read()
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
        let (rollout, payload, reverted) = ("r-1".into(), None, None);
        let settled =
            Some(Settled { rollout, attempts, payload, reverted, report: report.clone() });
        State { settled, phase: Phase::Reporting(Box::new(report)), ..State::default() }
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, found) = HostJournal::open(RealDisk, dir.path()).unwrap();
        assert_eq!(found, whole(State::default()));
        journal.write_now(&state(1)).unwrap();
        journal.write_now(&state(2)).unwrap();
        assert_eq!(HostJournal::open(RealDisk, dir.path()).unwrap().1, whole(state(2)));
        assert_eq!(read(dir.path()).unwrap(), whole(state(2)));
    }

    #[test]
    fn c31_who_did_not_see_the_newest_state_does_not_write() {
        let dir = tempfile::tempdir().unwrap();
        let (mut agent, _) = HostJournal::open(RealDisk, dir.path()).unwrap();
        agent.write_now(&state(1)).unwrap();
        let (mut guard, seen) = HostJournal::hold(RealDisk, dir.path()).unwrap();
        assert_eq!(seen, whole(state(1)));
        guard.write_now(&state(2)).unwrap();
        guard.write_now(&state(3)).unwrap();
        drop(guard);
        assert!(matches!(agent.write_now(&state(9)), Err(Unwritten::Overtaken)));
        assert_eq!(HostJournal::open(RealDisk, dir.path()).unwrap().1, whole(state(3)));
    }

    #[test]
    fn c31_while_the_guard_holds_the_journal_nobody_else_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (mut agent, _) = HostJournal::open(RealDisk, dir.path()).unwrap();
        let (mut guard, _) = HostJournal::hold(RealDisk, dir.path()).unwrap();
        let waiting = std::thread::spawn(move || agent.write_now(&state(9)));
        guard.write_now(&state(1)).unwrap();
        drop(guard);
        assert!(matches!(waiting.join().unwrap(), Err(Unwritten::Overtaken)));
    }

    #[test]
    fn who_does_not_wait_for_the_journal_is_told_that_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let held = HostJournal::try_hold(RealDisk, dir.path()).unwrap().unwrap();
        assert!(HostJournal::try_hold(RealDisk, dir.path()).unwrap().is_none());
        drop(held);
        assert!(HostJournal::try_hold(RealDisk, dir.path()).unwrap().is_some());
    }

    fn whole(state: State) -> Found {
        Found { state, loss: Loss::None }
    }

    fn floors(seconds: i64) -> Floors {
        let newest = floe_proto::time::Timestamp::from_micros(seconds * 1_000_000);
        Floors { newest_signed: Some(newest), ..Floors::default() }
    }

    /// A directory whose journal was written with floors of 1, 2 and 3 seconds.
    fn scene() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = HostJournal::open(RealDisk, dir.path()).unwrap();
        for seconds in 1..=3 {
            journal.write_now(&State { floors: floors(seconds), ..state(1) }).unwrap();
        }
        dir
    }

    fn damage(dir: &Path, names: &[&str]) {
        for name in names {
            assert!(dir.join(name).exists(), "{name}");
            fs::write(dir.join(name), "torn").unwrap();
        }
    }

    const BOTH_STATES: [&str; 2] = ["journal/current", "journal/current.previous"];

    #[test]
    fn floors_outlive_the_journal() {
        let dir = scene();
        damage(dir.path(), &BOTH_STATES);
        let (_, found) = HostJournal::open(RealDisk, dir.path()).unwrap();
        assert_eq!((found.state.floors, found.loss), (floors(3), Loss::Activation));
        fs::remove_dir_all(dir.path().join("journal")).unwrap();
        assert_eq!(HostJournal::open(RealDisk, dir.path()).unwrap().1.state.floors, floors(3));
    }

    #[test]
    fn of_all_surviving_floors_the_highest_count() {
        let dir = scene();
        damage(dir.path(), &["floors"]);
        assert_eq!(read(dir.path()).unwrap().state.floors, floors(3), "the one before it");
        damage(dir.path(), &["floors.previous"]);
        assert_eq!(read(dir.path()).unwrap().state.floors, floors(3), "the journal's alone");
        for name in ["floors", "floors.previous"] {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        let (mut journal, found) = HostJournal::open(RealDisk, dir.path()).unwrap();
        assert_eq!(found, whole(State { floors: floors(3), ..state(1) }));
        journal.write_now(&State { phase: Phase::Idle, ..found.state }).unwrap();
        damage(dir.path(), &BOTH_STATES);
        assert_eq!(read(dir.path()).unwrap().state.floors, floors(3), "written anew");
    }

    #[test]
    fn c29_lost_floors_are_never_empty_floors_not_even_after_what_follows() {
        for lost in [&["floors", "floors.previous"][..], &[]] {
            let dir = scene();
            damage(dir.path(), &BOTH_STATES);
            damage(dir.path(), lost);
            if lost.is_empty() {
                fs::remove_file(dir.path().join("floors")).unwrap();
                fs::remove_file(dir.path().join("floors.previous")).unwrap();
            }
            let (mut journal, found) = HostJournal::open(RealDisk, dir.path()).unwrap();
            assert_eq!(found.loss, Loss::Floors);
            journal.write_now(&state(1)).unwrap();
            assert_eq!(HostJournal::open(RealDisk, dir.path()).unwrap().1.loss, Loss::Floors);
        }
    }
}
