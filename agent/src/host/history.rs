//! What became of activations on this machine: a bounded list that outlives them.
//!
//! A file of its own, `STATE/history`: no decision is made by it, and an agent that does not
//! know it leaves it alone. It is written before the state that it tells of, so that nothing
//! that ended is missing; what is decided anew after a crash takes the place of what was
//! written then.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use floe_proto::id::{ActivationId, Serial};
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, RealDisk};
use super::record;
use crate::activation::state::{Report, State, Toplevel};

const HISTORY: &str = "history";

/// How many are kept, and of those how many at most that were not believed: whoever sends
/// them must not push out the others.
const MAX: usize = 100;
const MAX_NOT_BELIEVED: usize = 20;

/// How one activation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The attempt.
    pub activation: ActivationId,
    /// When it ended.
    pub at: Timestamp,
    /// Its manifest's serial; `None` where that was not believed.
    pub serial: Option<Serial>,
    /// How it ended.
    pub outcome: Outcome,
    /// What decided; may be empty.
    pub reason: String,
    /// What ran when it began.
    pub from: Option<Toplevel>,
    /// What was tried; `None` where nothing was built.
    pub to: Option<Toplevel>,
    /// What ran in the end.
    pub running: Option<Toplevel>,
}

/// What ended on the way from `before` to `after`.
pub fn ended(before: &State, after: &State) -> Vec<Entry> {
    let known: BTreeSet<_> = reports(before).map(|report| &report.activation).collect();
    let new = reports(after).filter(|report| !known.contains(&report.activation));
    // An answer that was no attempt is not settled; however often it is given, it pushes
    // nothing out.
    let settled = after.settled.as_ref().map(|settled| &settled.report.activation);
    let new = new.filter(|report| settled == Some(&report.activation));
    new.map(|report| entry(before, report)).collect()
}

fn reports(state: &State) -> impl Iterator<Item = &Report> {
    state.phase.report().into_iter().chain(&state.unsent)
}

fn entry(before: &State, report: &Report) -> Entry {
    let (from, to) = match before.phase.trial() {
        Some(trial) => (Some(trial.before.running.clone()), Some(trial.to.clone())),
        None => match (before.phase.order(), report.outcome) {
            (Some(order), _) => (order.running.clone(), None),
            // By hand, from what was confirmed.
            (None, Outcome::RolledBack) => (
                before.confirmed.as_ref().map(|known| known.toplevel.clone()),
                report.running.clone(),
            ),
            (None, _) => (report.running.clone(), None),
        },
    };
    Entry {
        activation: report.activation.clone(),
        at: report.at,
        serial: report.manifest.map(|manifest| manifest.serial),
        outcome: report.outcome,
        reason: report.reason.clone(),
        from,
        to,
        running: report.running.clone(),
    }
}

/// Adds to the list. For who holds the journal's lock.
///
/// # Errors
///
/// What the disk said. A list that is damaged is begun anew.
pub fn add(disk: &impl Disk, state: &Path, new: Vec<Entry>) -> io::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let found = record::read::<Vec<Entry>>(disk, state, HISTORY);
    let (sequence, mut all) = match found {
        Ok(Some(record)) => (record.sequence, record.document),
        Ok(None) => (0, Vec::new()),
        Err(error) => {
            log::warn!(error:% = error; "the history cannot be read, and begins anew");
            (0, Vec::new())
        }
    };
    for entry in new {
        all.retain(|known| known.activation != entry.activation);
        all.push(entry);
    }
    bound(&mut all);
    record::write(disk, state, HISTORY, sequence.saturating_add(1), &all)
}

/// Drops the oldest of what is too many.
fn bound(all: &mut Vec<Entry>) {
    let not_believed = all.iter().filter(|entry| entry.serial.is_none()).count();
    let mut surplus = not_believed.saturating_sub(MAX_NOT_BELIEVED);
    all.retain(|entry| {
        let goes = entry.serial.is_none() && surplus > 0;
        surplus -= usize::from(goes);
        !goes
    });
    all.drain(..all.len().saturating_sub(MAX));
}

/// The list, the oldest first.
///
/// # Errors
///
/// [`record::Error`].
pub fn read(state: &Path) -> Result<Vec<Entry>, record::Error> {
    let found = record::read::<Vec<Entry>>(&RealDisk, state, HISTORY)?;
    Ok(found.map(|record| record.document).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::event::Event;
    use crate::activation::played::{new, old, trial};
    use crate::activation::state::{Fault, Phase};

    fn at(phase: Phase) -> State {
        State { phase, ..State::default() }
    }

    #[test]
    fn an_end_is_told_once_with_what_was_tried() {
        let committing = at(Phase::Committing(trial()));
        let confirmed = committing.clone().on(Event::Committed, Timestamp::default());
        let told = ended(&committing, &confirmed);
        let [entry] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(entry.outcome, Outcome::Confirmed);
        assert_eq!((entry.from.clone(), entry.to.clone()), (Some(old()), Some(new())));
        let mut known = confirmed.clone();
        let again = "7-c".parse().unwrap();
        let Phase::Reporting(report) = &mut known.phase else { panic!() };
        report.activation = again;
        assert_eq!(ended(&confirmed, &known), [], "an answer, and no attempt");
        let idle = confirmed.clone().on(Event::Reported, Timestamp::default());
        assert_eq!(ended(&confirmed, &idle), []);

        let (name, why) = ("7-b".parse().unwrap(), Fault::new("by hand"));
        let left = confirmed.clone().left_by_hand(old(), name, &why, Timestamp::default());
        let told = ended(&confirmed, &left);
        let [entry] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((entry.from.clone(), entry.to.clone()), (Some(new()), Some(old())));
    }

    fn numbered(number: u64, serial: bool) -> Entry {
        Entry {
            activation: format!("{number}-a").parse().unwrap(),
            at: Timestamp::default(),
            serial: serial.then(|| number.try_into().unwrap()),
            outcome: Outcome::Failed,
            reason: String::new(),
            from: None,
            to: None,
            running: None,
        }
    }

    #[test]
    fn it_is_bounded_and_what_is_not_believed_pushes_nothing_out() {
        let dir = tempfile::tempdir().unwrap();
        let add = |entry| add(&RealDisk, dir.path(), vec![entry]).unwrap();
        (1..=30).for_each(|number| add(numbered(number, true)));
        (100..200).for_each(|number| add(numbered(number, false)));
        let all = read(dir.path()).unwrap();
        assert_eq!(all.iter().filter(|entry| entry.serial.is_some()).count(), 30);
        assert_eq!(all.len(), 30 + MAX_NOT_BELIEVED);
        assert_eq!(all.last().unwrap().activation.as_str(), "199-a");
        (200..400).for_each(|number| add(numbered(number, true)));
        assert_eq!(read(dir.path()).unwrap().len(), MAX);
    }

    #[test]
    fn what_is_decided_anew_takes_the_place_of_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        add(&RealDisk, dir.path(), vec![numbered(1, true), numbered(2, true)]).unwrap();
        let other = Entry { outcome: Outcome::RolledBack, ..numbered(2, true) };
        add(&RealDisk, dir.path(), vec![other.clone()]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [numbered(1, true), other]);
    }
}
