//! The promise of an activation, as a property.
//!
//! Chance kills the agent before, in the middle of and after each effect; lets the
//! dead man's timer fire while the agent is away or at work; cuts the power; lets a
//! human switch the machine. Whatever happened: the machine ends where the report
//! says, and the new system was never switched to without an armed timer.

use std::time::Duration;

use floe_proto::admit::Floors;
use floe_proto::digest::Digest;
use floe_proto::id::Epoch;
use floe_proto::manifest::{
    Activation, Check, Health, Kind, Manifest, Mode, Payload, Probe, Source,
};
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;
use floe_proto::version::AgentVersion;
use proptest::prelude::*;

use super::event::{Effect, Event, Task};
use super::state::{
    Before, BootId, Fault, Order, Phase, Seen, State, Toplevel, Trial, Undoing, Uptime,
};

pub(super) fn toplevel(name: &str) -> Toplevel {
    format!("/nix/store/{name}").parse().unwrap()
}

fn old() -> Toplevel {
    toplevel("old")
}

fn new() -> Toplevel {
    toplevel("new")
}

fn humans() -> Toplevel {
    toplevel("humans")
}

pub(crate) fn order(serial: u64) -> Order {
    let created: Timestamp = "2026-11-22T20:28:00Z".parse().unwrap();
    let probe = Probe::Unit { name: "nginx.service".into() };
    let manifest = Manifest {
        schema: 1,
        fleet: "fossable.org".parse().unwrap(),
        role: "www.fossable.org".parse().unwrap(),
        epoch: Epoch::new(0),
        serial: serial.try_into().unwrap(),
        floor: 1.try_into().unwrap(),
        payload: Payload { sha256: Digest::of(b"payload"), length: 7.try_into().unwrap() },
        created,
        expires: created.after(Duration::from_secs(86_400)),
        kind: Kind::Configuration,
        system: "x86_64-linux".into(),
        min_agent: AgentVersion::new(0, 1, 0),
        entry: "role/configuration.nix".to_owned().try_into().unwrap(),
        activation: Activation {
            mode: Mode::TestThenCommit,
            deadline_seconds: 90,
            ignore_units: vec!["flaky.service".into()],
        },
        health: Health { soak_seconds: 10, checks: vec![Check { probe, timeout_seconds: 5 }] },
        source: Source { revision: None, dirty: false, built_by: "ada".into() },
    };
    Order {
        activation: format!("{serial}-a").parse().unwrap(),
        rollout: "r-1".into(),
        envelope: "{}".into(),
        digest: Digest::of(serial.to_string().as_bytes()),
        manifest,
        running: Some(old()),
    }
}

pub(super) fn assigned(order: Order, seen: Seen) -> Event {
    Event::Assigned { order: Box::new(order), seen, floors: Box::new(Floors::default()) }
}

/// A machine and the process on it, played.
#[derive(Clone, Debug)]
struct Played {
    running: Toplevel,
    profile: Toplevel,
    default: Toplevel,
    armed: bool,
    boot: u32,
    /// The system whose agent this process is, and whether it began after the switch.
    process: Toplevel,
    fresh: bool,
}

impl Played {
    fn start() -> Self {
        let (running, profile, default, process) = (old(), old(), old(), old());
        Self { running, profile, default, armed: false, boot: 1, process, fresh: false }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            running: Some(self.running.clone()),
            profile: Some(self.profile.clone()),
            boot: BootId(self.boot.to_string()),
        }
    }

    /// As `host/` does it; `half` of it, where it has two halves.
    fn perform(&mut self, task: Task<'_>, half: bool) -> Event {
        match task {
            Task::Fetch(_) => Event::Fetched,
            Task::Unpack(_) => Event::Unpacked,
            Task::Build(_) => Event::Built {
                to: new(),
                before: Box::new(Before {
                    running: self.running.clone(),
                    profile: self.profile.clone(),
                    failed: ["old.service".to_owned()].into(),
                    connected: true,
                    boot: BootId(self.boot.to_string()),
                    at: Uptime(Duration::from_secs(7)),
                }),
                build: Duration::from_millis(70),
            },
            Task::Arm(_) => {
                self.armed = true;
                Event::Armed
            }
            Task::Try(trial) => {
                assert!(self.armed, "switched without an armed timer");
                self.running = trial.to.clone();
                self.fresh = false;
                Event::Tried
            }
            Task::Prove(trial) => {
                if self.process == trial.to && self.fresh {
                    Event::Proven
                } else {
                    Event::Failed(Fault::new("another system's agent"))
                }
            }
            Task::Disarm(_) => {
                self.armed = false;
                Event::Disarmed
            }
            Task::Commit(trial) => {
                assert_eq!(self.running, trial.to, "commits only what runs");
                self.profile = trial.to.clone();
                if !half {
                    self.default = trial.to.clone();
                }
                Event::Committed
            }
            Task::Revert(trial, undoing) => self.revert(trial, undoing, half),
        }
    }

    fn revert(&mut self, trial: &Trial, undoing: &Undoing, half: bool) -> Event {
        let before = &trial.before;
        let rebooted = BootId(self.boot.to_string()) != before.boot;
        if !(rebooted && [&before.running, &before.profile].contains(&&self.running)) {
            self.running = before.running.clone();
        }
        if undoing.boot || self.profile != before.profile {
            self.profile = before.profile.clone();
            if half {
                return Event::Busy;
            }
            self.default = before.profile.clone();
        }
        self.armed = false;
        Event::Reverted(self.running.clone())
    }

    fn restart_process(&mut self) {
        self.process = self.running.clone();
        self.fresh = true;
    }

    fn cut_power(&mut self) {
        self.running = self.default.clone();
        self.armed = false;
        self.boot += 1;
    }

    /// The guard's process, from the journal on disk to its end.
    fn fire(&mut self, state: State) -> State {
        if !std::mem::take(&mut self.armed) {
            return state;
        }
        let Some(mut state) = state.clone().fired(&"7-a".parse().unwrap()) else { return state };
        loop {
            state = state.on(Event::Saw(self.seen()), Timestamp::default());
            let Effect::Perform(task) = state.effect() else { return state };
            let event = self.perform(task, false);
            state = state.on(event, Timestamp::default());
        }
    }

    fn befall(&mut self, mishap: Mishap, state: State) -> State {
        match mishap {
            Mishap::None => state,
            Mishap::Fires => self.fire(state),
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
    TimerLost,
    PowerCut,
    Human,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let mishap = prop_oneof![
        4 => Just(Mishap::None),
        4 => Just(Mishap::Fires),
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

/// Plays an activation to its end and returns the machine and the state.
fn play(fates: impl IntoIterator<Item = Fate>) -> (Played, State) {
    let mut machine = Played::start();
    let mut state = State::default().on(assigned(order(7), machine.seen()), Timestamp::default());
    let fates = fates.into_iter().chain(std::iter::repeat_n(Fate::Works, 60));
    for fate in fates {
        state = state.on(Event::Saw(machine.seen()), Timestamp::default());
        let before = state.clone();
        let (event, half) = match before.effect() {
            Effect::Await => break,
            Effect::Report(_) => (Event::Reported, false),
            Effect::Perform(task) => {
                let half = match fate {
                    Fate::DiesAfter { half, .. } | Fate::Fails { half } => half,
                    Fate::Works | Fate::DiesBefore(_) => false,
                };
                if matches!(fate, Fate::DiesBefore(_)) {
                    (Event::Busy, false)
                } else {
                    (machine.perform(task, half), half)
                }
            }
        };
        let dies = |machine: &mut Played, mishap, state: State| {
            let state = machine.befall(mishap, state);
            machine.restart_process();
            state.resumed(&machine.seen())
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
            machine.restart_process();
            state = state.resumed(&machine.seen());
        }
    }
    (machine, state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_happens_the_machine_ends_where_the_report_says(
        fates in prop::collection::vec(any_fate(), 0..40),
    ) {
        let (machine, state) = play(fates);
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
        }
    }

    #[test]
    fn every_state_survives_the_journal(fates in prop::collection::vec(any_fate(), 0..20)) {
        let (_, state) = play(fates);
        let text = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}

#[test]
fn undisturbed_it_is_confirmed() {
    let (machine, state) = play([]);
    assert_eq!([machine.running, machine.profile, machine.default], [new(), new(), new()]);
    assert_eq!(state.settled.unwrap().report.outcome, Outcome::Confirmed);
    assert_eq!(state.confirmed.unwrap().toplevel, new());
}

#[test]
fn the_pure_files_import_nothing_that_does_anything() {
    let files = [
        include_str!("state.rs"),
        include_str!("event.rs"),
        include_str!("phase.rs"),
        include_str!("step.rs"),
        include_str!("settle.rs"),
        include_str!("verdict.rs"),
        include_str!("probation.rs"),
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

/// Kept here so that the imports of the sentence tests are those of the property.
pub(super) fn trial() -> Box<Trial> {
    let mut machine = Played::start();
    let order = order(7);
    let Event::Built { to, before, build } = machine.perform(Task::Build(&order), false) else {
        unreachable!()
    };
    let until = before.at.after(order.manifest.deadline());
    Box::new(Trial { order, to, before: *before, until, build })
}
