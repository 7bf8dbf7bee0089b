//! Somebody on the machine itself asks to go back. Pure.
//!
//! What is in flight is undone as the dead man's timer would; where nothing is, the host
//! leaves what it confirmed for the system that it ran before: a toplevel that was recorded
//! when that was committed, never "the generation before".

use std::fmt;

use floe_proto::id::{ActivationId, Serial};
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;

use super::settle::End;
use super::state::{Fault, Phase, Report, Seen, State, Toplevel, Undoing, Verdict};

/// How many reports wait beside the one that is on its way.
const MAX_UNSENT: usize = 8;

/// What going back comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayBack {
    /// This is what follows: what is in flight is undone, by its own effects.
    Undo(Box<State>),
    /// This is what follows: what was asked for had touched nothing yet, and is given up.
    GiveUp(Box<State>),
    /// Nothing is in flight: the machine is to be switched to this.
    Leave(Toplevel),
}

/// Why there is no going back now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWayBack {
    /// Profile and boot entry are being written at this moment.
    Committing(Serial),
    /// Somebody does so already: the agent, or its guard.
    Underway(Serial),
    /// This host has confirmed nothing, so that nothing is known to go back from.
    NothingConfirmed,
    /// What ran before was not recorded.
    NothingBefore,
    /// The machine runs and would boot it already.
    IsBack(Toplevel),
    /// The agent or its guard was first: what ended so is left, and this runs.
    WentBack {
        /// What ended.
        from: Serial,
        /// How.
        outcome: Outcome,
        /// What was confirmed before it, and runs.
        to: Serial,
    },
    /// Something else is to be left than was asked for.
    IsAnother {
        /// What was asked for.
        asked: Serial,
        /// What there is.
        found: Serial,
    },
}

impl State {
    /// How this machine, which looks like `seen`, goes back: from `from`, if somebody says so.
    /// Who does not, means what was tried last, and never what was confirmed before that.
    ///
    /// # Errors
    ///
    /// [`NoWayBack`].
    pub fn back_by_hand(
        self,
        seen: &Seen,
        from: Option<Serial>,
        why: Fault,
        now: Timestamp,
    ) -> Result<WayBack, NoWayBack> {
        let begun = matches!(self.phase, Phase::RollingBack(..));
        // The journal may tell of another boot: no agent came up in this one yet.
        let state = self.resumed(seen);
        if let (Some(asked), Some(order)) = (from, state.phase.order())
            && asked != order.manifest.serial
        {
            return Err(NoWayBack::IsAnother { asked, found: order.manifest.serial });
        }
        let phase = match state.phase.clone() {
            Phase::Idle | Phase::Reporting(_) => {
                return state.leave(seen, from).map(WayBack::Leave);
            }

            Phase::Fetching(_) | Phase::Unpacking(_) | Phase::Building(_) | Phase::Waiting(..) => {
                let given_up = state.on(super::event::Event::Failed(why), now);
                return Ok(WayBack::GiveUp(Box::new(given_up)));
            }
            Phase::Staging(trial)
            | Phase::Rebooting(trial)
            | Phase::Arming(trial)
            | Phase::Trying(trial)
            | Phase::Probation(trial)
            | Phase::Disarming(trial, Verdict::Proven) => trial.undone(why),
            Phase::Committing(trial) => {
                return Err(NoWayBack::Committing(trial.order.manifest.serial));
            }
            // The reboot ended it, and nobody has said so yet.
            Phase::RollingBack(trial, undoing) if !begun => {
                Phase::RollingBack(trial, Undoing { why, ..undoing })
            }
            Phase::RollingBack(trial, _) | Phase::Disarming(trial, Verdict::Superseded(_)) => {
                return Err(NoWayBack::Underway(trial.order.manifest.serial));
            }
        };
        Ok(WayBack::Undo(Box::new(state.at(phase))))
    }

    /// Where an idle machine goes back to.
    fn leave(&self, seen: &Seen, from: Option<Serial>) -> Result<Toplevel, NoWayBack> {
        let Some(confirmed) = &self.confirmed else { return Err(NoWayBack::NothingConfirmed) };
        let is = |found: &Option<Toplevel>, wanted: &Toplevel| found.as_ref() == Some(wanted);
        let found = confirmed.manifest.serial;
        match (from, self.gone_back_from()) {
            (Some(asked), _) if asked != found => {
                return Err(NoWayBack::IsAnother { asked, found });
            }
            (None, Some((from, outcome))) if is(&seen.running, &confirmed.toplevel) => {
                return Err(NoWayBack::WentBack { from, outcome, to: found });
            }
            (Some(_) | None, _) => {}
        }
        match &confirmed.before {
            Some(before)
                if self.was_left() && is(&seen.running, before) && is(&seen.profile, before) =>
            {
                Err(NoWayBack::IsBack(before.clone()))
            }
            // Part of the way was gone already: what boots may be the other system still.
            Some(before) if is(&seen.running, before) => Ok(before.clone()),
            Some(before) if is(&seen.running, &confirmed.toplevel) => Ok(before.clone()),
            None if is(&seen.running, &confirmed.toplevel) => Err(NoWayBack::NothingBefore),
            // Somebody else's: back to what was confirmed.
            Some(_) | None => Ok(confirmed.toplevel.clone()),
        }
    }

    /// What was tried since something was confirmed, if it was not kept, and how it ended.
    fn gone_back_from(&self) -> Option<(Serial, Outcome)> {
        let report = &self.settled.as_ref()?.report;
        let manifest = report.manifest?;
        let is_confirmed = self.confirmed.as_ref().is_some_and(|known| known.manifest == manifest);
        match report.outcome {
            Outcome::Failed | Outcome::RolledBack | Outcome::Quarantined if !is_confirmed => {
                Some((manifest.serial, report.outcome))
            }
            Outcome::Failed
            | Outcome::RolledBack
            | Outcome::Quarantined
            | Outcome::Confirmed
            | Outcome::Superseded => None,
        }
    }

    /// Whether what was confirmed last was reverted since.
    pub fn was_left(&self) -> bool {
        let Some(confirmed) = &self.confirmed else { return false };
        let mut known = self.settled.iter().chain(&self.earlier);
        known.any(|settled| {
            settled.report.manifest == Some(confirmed.manifest) && settled.reverted.is_some()
        })
    }

    /// The machine runs `back` now, which somebody on it asked for: what was confirmed is
    /// reverted, which is reported beside what is on its way already.
    #[must_use]
    pub fn left_by_hand(
        self,
        back: Toplevel,
        activation: ActivationId,
        why: &Fault,
        now: Timestamp,
    ) -> Self {
        let Some(confirmed) = self.confirmed.clone() else { return self };
        let end = End { outcome: Outcome::RolledBack, why: why.as_str(), running: Some(back) };
        let report = Report { manifest: Some(confirmed.manifest), ..end.report(activation, now) };
        let before = self.phase.clone();
        // No rollout asked for it: none is answered by it.
        let mut state = self.settle(String::new(), Some(confirmed.payload), report.clone());
        if let Phase::Reporting(_) = before {
            state.unsent.push(report);
            let surplus = state.unsent.len().saturating_sub(MAX_UNSENT);
            state.unsent.drain(..surplus);
            return state.at(before);
        }
        state
    }

    /// A report has arrived; the next one is on its way, if there is one.
    pub(super) fn reported(mut self) -> Self {
        if self.unsent.is_empty() {
            return self.at(Phase::Idle);
        }
        let next = self.unsent.remove(0);
        self.at(Phase::Reporting(Box::new(next)))
    }
}

impl fmt::Display for NoWayBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committing(serial) => {
                write!(f, "serial {serial} has proved itself and is being made the boot default at this moment")
            }
            Self::Underway(serial) => {
                write!(f, "the machine is on its way back from serial {serial} already")
            }
            Self::NothingConfirmed => {
                f.write_str("nothing was ever confirmed on this machine, so that there is nothing to go back from")
            }
            Self::NothingBefore => {
                f.write_str("what this machine ran before was not recorded, so that there is nothing to go back to")
            }
            Self::IsBack(back) => {
                write!(f, "the machine runs and would boot what it ran before already: {back}")
            }
            Self::WentBack { from, outcome, to } => {
                write!(f, "already back on serial {to} ({from} ended: {outcome}); `floe-agent revert --from {to}` leaves that one, too")
            }
            Self::IsAnother { asked, found } => {
                write!(f, "what there is to leave is serial {found}, not {asked}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Effect, Event, Task};
    use super::super::played::{new, old, order, toplevel, trial};
    use super::super::reboot::Reason;
    use super::super::state::{BootId, Trial, Uptime, Way};
    use super::*;

    fn seen(running: &Toplevel, profile: &Toplevel) -> Seen {
        let (running, profile) = (Some(running.clone()), Some(profile.clone()));
        Seen { running, profile, boot: BootId("1".into()), at: Uptime::default() }
    }

    fn now() -> Timestamp {
        Timestamp::default()
    }

    fn at(phase: Phase) -> State {
        State { phase, ..State::default() }
    }

    fn asked(state: State, seen: &Seen) -> Result<WayBack, NoWayBack> {
        state.back_by_hand(seen, None, Fault::new("by hand"), now())
    }

    /// The new system is confirmed, and its report has arrived.
    fn confirmed() -> State {
        at(Phase::Committing(trial())).on(Event::Committed, now())
    }

    #[test]
    fn what_is_on_trial_is_undone() {
        for phase in [Phase::Arming(trial()), Phase::Trying(trial()), Phase::Probation(trial())] {
            let Ok(WayBack::Undo(state)) = asked(at(phase), &seen(&new(), &old())) else {
                panic!()
            };
            assert!(matches!(state.effect(), Effect::Perform(Task::Revert(..))));
            let end = state.on(Event::Reverted(old()), now());
            let Phase::Reporting(report) = &end.phase else { panic!("{:?}", end.phase) };
            assert_eq!((report.outcome, report.reason.as_str()), (Outcome::RolledBack, "by hand"));
        }
    }

    #[test]
    fn in_the_boot_of_a_trial_the_way_back_is_a_reboot_that_is_still_to_come() {
        let by_reboot = || Box::new(Trial { way: Way::Reboot(vec![Reason::Kernel]), ..*trial() });
        let in_trial = Seen { boot: BootId("2".into()), ..seen(&new(), &old()) };
        for phase in [Phase::Staging(by_reboot()), Phase::Rebooting(by_reboot())] {
            let Ok(WayBack::Undo(state)) = asked(at(phase), &in_trial) else { panic!() };
            let Phase::RollingBack(trial, undoing) = &state.phase else { panic!() };
            assert!(undoing.reboot && undoing.why.as_str() == "by hand");
            assert_eq!(trial.before.boot, in_trial.boot, "no reboot led back yet");
        }
        // The power was cut in that boot, and no agent has come up since.
        let back = Seen { boot: BootId("3".into()), ..seen(&old(), &old()) };
        let Ok(WayBack::Undo(state)) = asked(at(Phase::Probation(by_reboot())), &back) else {
            panic!()
        };
        let Phase::RollingBack(_, undoing) = &state.phase else { panic!() };
        assert_eq!(undoing.why.as_str(), "by hand");
    }

    #[test]
    fn what_has_touched_nothing_is_given_up() {
        let building = at(Phase::Building(Box::new(order(7))));
        let Ok(WayBack::GiveUp(state)) = asked(building, &seen(&old(), &old())) else { panic!() };
        let Phase::Reporting(report) = &state.phase else { panic!("{:?}", state.phase) };
        assert_eq!(report.outcome, Outcome::Failed);
    }

    #[test]
    fn past_the_point_of_no_return_it_is_refused() {
        let committing = asked(at(Phase::Committing(trial())), &seen(&new(), &old()));
        assert_eq!(committing, Err(NoWayBack::Committing(7.try_into().unwrap())));
        let back = trial().undone(Fault::new("x"));
        let underway = asked(at(back), &seen(&new(), &old()));
        assert_eq!(underway, Err(NoWayBack::Underway(7.try_into().unwrap())));
    }

    #[test]
    fn an_idle_machine_leaves_what_it_confirmed_for_what_it_ran_before() {
        let idle = || confirmed().on(Event::Reported, now());
        let to = |seen: Seen| asked(idle(), &seen);
        assert_eq!(to(seen(&new(), &new())), Ok(WayBack::Leave(old())));
        assert_eq!(to(seen(&old(), &new())), Ok(WayBack::Leave(old())), "half of it was done");
        // It was killed before it came to the boot menu, or to the journal.
        assert_eq!(to(seen(&old(), &old())), Ok(WayBack::Leave(old())), "not on record");
        let left = idle().left_by_hand(old(), "7-b".parse().unwrap(), &Fault::new("x"), now());
        assert!(left.was_left() && !idle().was_left());
        let again = asked(left, &seen(&old(), &old()));
        assert_eq!(again, Err(NoWayBack::IsBack(old())));
        let humans = toplevel("humans");
        assert_eq!(to(seen(&humans, &humans)), Ok(WayBack::Leave(new())), "what was confirmed");
        assert_eq!(
            asked(State::default(), &seen(&old(), &old())),
            Err(NoWayBack::NothingConfirmed)
        );
    }

    #[test]
    fn where_the_agent_was_first_only_who_says_so_goes_further() {
        let eight = Box::new(Trial { order: order(8), to: toplevel("newer"), ..*trial() });
        let state = State { phase: Phase::Probation(eight), ..confirmed() };
        let state = state.on(Event::Failed(Fault::new("sick")), now());
        let state = state.on(Event::Reverted(new()), now());
        let asked = |from: Option<u64>| {
            let from = from.map(|serial| serial.try_into().unwrap());
            state.clone().back_by_hand(&seen(&new(), &new()), from, Fault::new("x"), now())
        };
        let why = asked(None).unwrap_err().to_string();
        assert!(why.starts_with("already back on serial 7 (8 ended: rolled back)"), "{why}");
        let serial = |serial: u64| serial.try_into().unwrap();
        let another = NoWayBack::IsAnother { asked: serial(8), found: serial(7) };
        assert_eq!(asked(Some(8)), Err(another));
        assert_eq!(asked(Some(7)), Ok(WayBack::Leave(old())));
    }

    #[test]
    fn of_two_reports_that_wait_none_is_lost() {
        let confirming = confirmed();
        let floors = confirming.floors.clone();
        let left = confirming.left_by_hand(old(), "7-b".parse().unwrap(), &Fault::new("x"), now());
        let Phase::Reporting(first) = &left.phase else { panic!("{:?}", left.phase) };
        assert_eq!(first.outcome, Outcome::Confirmed);
        let next = left.on(Event::Reported, now());
        let Phase::Reporting(second) = &next.phase else { panic!("{:?}", next.phase) };
        assert_eq!((second.outcome, second.running.clone()), (Outcome::RolledBack, Some(old())));
        assert_eq!(next.floors, floors, "what was confirmed never falls");
        assert_eq!(next.on(Event::Reported, now()).phase, Phase::Idle);
    }
}
