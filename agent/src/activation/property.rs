//! The promise of an activation, as a property.
//!
//! Chance kills the agent before, in the middle of and after each effect; lets the
//! dead man's timer fire while the agent is away or at work; cuts the power; lets a
//! human switch the machine. Whatever happened, by a switch or by a reboot: the machine ends
//! where the report says, and the new system was never switched to without an armed timer,
//! nor booted but once before it was proved.

use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;
use proptest::prelude::*;

use super::event::{Effect, Event};
use super::played::{Played, assigned, humans, new, old, order};
use super::reboot::Reason;
use super::state::{Fault, Phase, State, Way};

impl Played {
    /// The guard's process, from the journal on disk to its end.
    fn fire(&mut self, state: State) -> State {
        if !std::mem::take(&mut self.armed) {
            return state;
        }
        match state.clone().fired(&"7-a".parse().unwrap()) {
            Some(fired) => self.go_back(fired),
            None => state,
        }
    }

    /// The guard that comes with each boot, when its time is over.
    fn boot_is_over(&mut self, state: State) -> State {
        match state.clone().boot_overdue(&self.seen()) {
            Some(overdue) => self.go_back(overdue),
            None => state,
        }
    }

    /// What a guard does, until there is nothing left to do or the machine goes down.
    fn go_back(&mut self, mut state: State) -> State {
        loop {
            state = state.on(Event::Saw(self.seen()), Timestamp::default());
            let Effect::Perform(task) = state.effect() else { return state };
            let Some(event) = self.perform(task, false) else { return state };
            state = state.on(event, Timestamp::default());
        }
    }

    fn befall(&mut self, mishap: Mishap, state: State) -> State {
        match mishap {
            Mishap::None => state,
            Mishap::Fires => self.fire(state),
            Mishap::BootIsOver => self.boot_is_over(state),
            Mishap::TimerLost => {
                self.armed = false;
                state
            }
            Mishap::PowerCut => {
                self.cut_power();
                state
            }
            Mishap::Human => {
                (self.running, self.profile, self.default) = (humans(), humans(), humans());
                state
            }
        }
    }
}

/// What happens to the agent while it performs an effect.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Works,
    Fails { half: bool },
    DiesBefore(Mishap),
    DiesAfter { half: bool, mishap: Mishap },
}

#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    Fires,
    BootIsOver,
    TimerLost,
    PowerCut,
    Human,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let mishap = prop_oneof![
        4 => Just(Mishap::None),
        4 => Just(Mishap::Fires),
        2 => Just(Mishap::BootIsOver),
        2 => Just(Mishap::TimerLost),
        4 => Just(Mishap::PowerCut),
        1 => Just(Mishap::Human),
    ];
    (0..10u8, any::<bool>(), mishap).prop_map(|(kind, half, mishap)| match kind {
        0..=5 => Fate::Works,
        6 => Fate::Fails { half },
        7 => Fate::DiesBefore(mishap),
        _ => Fate::DiesAfter { half, mishap },
    })
}

/// A machine that is switched, or rebooted into what comes up, or does not.
fn any_machine() -> impl Strategy<Value = Played> {
    (any::<bool>(), any::<bool>()).prop_map(|(by_reboot, panics)| {
        let way = if by_reboot { Way::Reboot(vec![Reason::Kernel]) } else { Way::Switch };
        Played::start(way, panics)
    })
}

/// Plays an activation to its end and returns the machine and the state.
fn play(mut machine: Played, fates: impl IntoIterator<Item = Fate>) -> (Played, State) {
    let mut state = State::default().on(assigned(order(7), machine.seen()), Timestamp::default());
    let fates = fates.into_iter().chain(std::iter::repeat_n(Fate::Works, 60));
    for fate in fates {
        state = state.on(Event::Saw(machine.seen()), Timestamp::default());
        let before = state.clone();
        let begins_anew = |machine: &mut Played, state: State| {
            machine.restart_process();
            state.resumed(&machine.seen())
        };
        let (event, half) = match before.effect() {
            Effect::Await => break,
            Effect::Report(_) => (Event::Reported, false),
            Effect::Perform(task) => {
                let half = match fate {
                    Fate::DiesAfter { half, .. } | Fate::Fails { half } => half,
                    Fate::Works | Fate::DiesBefore(_) => false,
                };
                let event = match fate {
                    Fate::DiesBefore(_) => Some(Event::Busy),
                    Fate::Works | Fate::Fails { .. } | Fate::DiesAfter { .. } => {
                        machine.perform(task, half)
                    }
                };
                let Some(event) = event else {
                    state = begins_anew(&mut machine, state);
                    continue;
                };
                (event, half)
            }
        };
        let dies = |machine: &mut Played, mishap, state: State| {
            let state = machine.befall(mishap, state);
            begins_anew(machine, state)
        };
        state = match fate {
            Fate::Works => state.on(event, Timestamp::default()),
            Fate::Fails { .. } if matches!(before.effect(), Effect::Perform(_)) => {
                state.on(Event::Failed(Fault::new("as chance has it")), Timestamp::default())
            }
            Fate::Fails { .. } => state,
            Fate::DiesBefore(mishap) => dies(&mut machine, mishap, state),
            // The event was written, or not: both happen.
            Fate::DiesAfter { mishap, .. } if half => dies(&mut machine, mishap, state),
            Fate::DiesAfter { mishap, .. } => {
                let written = state.on(event, Timestamp::default());
                dies(&mut machine, mishap, written)
            }
        };
        if before.phase.hands_over_to(&state.phase) {
            state = begins_anew(&mut machine, state);
        }
    }
    (machine, state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_happens_the_machine_ends_where_the_report_says(
        machine in any_machine(),
        fates in prop::collection::vec(any_fate(), 0..40),
    ) {
        let (machine, state) = play(machine, fates);
        prop_assert_eq!(&state.phase, &Phase::Idle);
        let report = state.settled.clone().unwrap().report;
        let is = [&machine.running, &machine.profile, &machine.default];
        let touched_by_human = is.contains(&&humans());
        match report.outcome {
            Outcome::Confirmed => {
                prop_assert!(touched_by_human || is == [&new(), &new(), &new()], "{:?}", machine);
                prop_assert_eq!(state.floors.confirmed.unwrap().serial.get(), 7);
            }
            Outcome::Failed | Outcome::RolledBack => {
                prop_assert!(touched_by_human || is == [&old(), &old(), &old()], "{:?}", machine);
                prop_assert_eq!(state.floors.confirmed, None);
            }
            Outcome::Superseded => {
                prop_assert!(touched_by_human, "{:?}", machine);
                prop_assert_eq!(state.floors.confirmed, None);
            }
            // Going back failed again and again.
            Outcome::Quarantined => prop_assert_eq!(state.floors.confirmed, None),
        }
        if report.outcome != Outcome::Quarantined {
            prop_assert!(!machine.armed, "a timer was left: {:?}", machine);
            prop_assert!(!machine.chosen, "a choice was left: {:?}", machine);
        }
        prop_assert!(machine.reboots <= 2, "{:?}", machine);
    }

    #[test]
    fn every_state_survives_the_journal(
        machine in any_machine(),
        fates in prop::collection::vec(any_fate(), 0..20),
    ) {
        let (_, state) = play(machine, fates);
        let text = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}

#[test]
fn undisturbed_it_is_confirmed() {
    for way in [Way::Switch, Way::Reboot(vec![Reason::Kernel])] {
        let (machine, state) = play(Played::start(way, false), []);
        assert_eq!([machine.running, machine.profile, machine.default], [new(), new(), new()]);
        assert_eq!(state.settled.unwrap().report.outcome, Outcome::Confirmed);
        assert_eq!(state.confirmed.unwrap().toplevel, new());
    }
}

#[test]
fn c27_a_system_that_does_not_come_up_is_left_by_the_next_boot() {
    let (machine, state) = play(Played::start(Way::Reboot(vec![Reason::Kernel]), true), []);
    assert_eq!([machine.running, machine.profile, machine.default], [old(), old(), old()]);
    let report = state.settled.unwrap().report;
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert!(report.reason.contains("did not come up"), "{}", report.reason);
}

#[test]
fn the_pure_files_import_nothing_that_does_anything() {
    let files = [
        include_str!("state.rs"),
        include_str!("event.rs"),
        include_str!("phase.rs"),
        include_str!("step.rs"),
        include_str!("settle.rs"),
        include_str!("again.rs"),
        include_str!("by_hand.rs"),
        include_str!("verdict.rs"),
        include_str!("probation.rs"),
        include_str!("reboot.rs"),
        include_str!("ways.rs"),
        include_str!("door.rs"),
    ];
    for file in files {
        for line in file.lines().filter(|line| line.starts_with("use ")) {
            let allowed = ["use std::", "use serde::", "use floe_proto::", "use super::"];
            assert!(allowed.iter().any(|start| line.starts_with(start)), "{line}");
        }
        for forbidden in ["std::fs", "std::process", "std::net", "SystemTime", "Instant"] {
            assert!(!file.contains(forbidden), "{forbidden}");
        }
    }
}
