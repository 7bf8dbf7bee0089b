//! A machine for the tests of the core: what `host/` does to a real one, in a few words.
//!
//! Played are what runs and what would boot, the timer, and the choice for one boot;
//! what must never be asked of a machine is asserted.

use std::time::Duration;

use floe_proto::admit::Floors;
use floe_proto::digest::Digest;
use floe_proto::id::Epoch;
use floe_proto::manifest::{
    Activation, Check, Health, Kind, Manifest, Mode, Payload, Probe, Source,
};
use floe_proto::reboot::Reboot;
use floe_proto::time::Timestamp;
use floe_proto::version::AgentVersion;

use super::event::{Event, Task};
use super::state::{Before, BootId, Fault, Order, Seen, Toplevel, Trial, Undoing, Uptime, Way};
use super::ways::Ways;

pub(crate) fn toplevel(name: &str) -> Toplevel {
    format!("/nix/store/{name}").parse().unwrap()
}

pub(crate) fn old() -> Toplevel {
    toplevel("old")
}

pub(crate) fn new() -> Toplevel {
    toplevel("new")
}

pub(crate) fn humans() -> Toplevel {
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
            reboot: Reboot::default(),
        },
        health: Health { soak_seconds: 10, checks: vec![Check { probe, timeout_seconds: 5 }] },
        source: Source { revision: None, dirty: false, built_by: "ada".into() },
    };
    Order {
        activation: format!("{serial}-a").parse().unwrap(),
        rollout: "r-1".into(),
        retry: false,
        envelope: "{}".into(),
        digest: Digest::of(serial.to_string().as_bytes()),
        manifest,
        running: Some(old()),
    }
}

pub(crate) fn assigned(order: Order, seen: Seen) -> Event {
    Event::Assigned { order: Box::new(order), seen, floors: Box::new(Floors::default()) }
}

/// A machine and the process on it, played.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) running: Toplevel,
    pub(crate) profile: Toplevel,
    pub(crate) default: Toplevel,
    pub(crate) armed: bool,
    pub(crate) boot: u32,
    /// How the new system comes to run, and whether it comes up at all where it is booted.
    pub(crate) way: Way,
    pub(crate) panics: bool,
    /// The new system is what boots next, once.
    pub(crate) chosen: bool,
    /// How often the machine was rebooted on purpose.
    pub(crate) reboots: u32,
    /// The system whose agent this process is, and whether it began after the switch.
    pub(crate) process: Toplevel,
    pub(crate) fresh: bool,
}

impl Played {
    pub(crate) fn start(way: Way, panics: bool) -> Self {
        let (running, profile, default, process) = (old(), old(), old(), old());
        let (armed, chosen, fresh) = (false, false, false);
        let (boot, reboots) = (1, 0);
        Self {
            running,
            profile,
            default,
            armed,
            boot,
            way,
            panics,
            chosen,
            reboots,
            process,
            fresh,
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            running: Some(self.running.clone()),
            profile: Some(self.profile.clone()),
            boot: BootId(self.boot.to_string()),
            at: Uptime(Duration::from_secs(7)),
        }
    }

    /// As `host/` does it; `half` of it, where it has two halves. `None` where the machine
    /// went down and came up again.
    pub(crate) fn perform(&mut self, task: Task<'_>, half: bool) -> Option<Event> {
        Some(match task {
            Task::Fetch(_) => Event::Fetched,
            Task::Unpack(_) => Event::Unpacked,
            Task::Build(_) => Event::Built {
                to: new(),
                before: Box::new(Before {
                    running: self.running.clone(),
                    profile: self.profile.clone(),
                    failed: ["old.service".to_owned()].into(),
                    connected: true,
                    ways: Ways::default(),
                    boot: BootId(self.boot.to_string()),
                    at: Uptime(Duration::from_secs(7)),
                }),
                way: self.way.clone(),
                build: Duration::from_millis(70),
            },
            Task::AwaitWindow(_) => Event::WindowOpened,
            Task::Stage(trial) => {
                assert_eq!(self.default, trial.before.profile, "stages beside the old default");
                self.chosen = !half;
                Event::Staged
            }
            Task::Reboot(_) if !self.chosen => Event::Failed(Fault::new("not chosen any more")),
            Task::Reboot(_) => {
                self.reboots += 1;
                self.cut_power();
                return None;
            }
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
                self.chosen = false;
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
            Task::Revert(trial, undoing) => return self.revert(trial, undoing, half),
        })
    }

    fn revert(&mut self, trial: &Trial, undoing: &Undoing, half: bool) -> Option<Event> {
        let before = &trial.before;
        let rebooted = BootId(self.boot.to_string()) != before.boot;
        let is_back = [&before.running, &before.profile].contains(&&self.running);
        if !(is_back && (rebooted || trial.is_by_reboot())) {
            if undoing.reboot && rebooted {
                return Some(Event::Failed(Fault::new("still runs after a reboot")));
            }
            if undoing.reboot {
                self.chosen = false;
                if undoing.boot {
                    self.profile = before.profile.clone();
                    self.default = before.profile.clone();
                }
                self.reboots += 1;
                self.cut_power();
                return None;
            }
            self.running = before.running.clone();
        }
        self.chosen = false;
        if undoing.boot || trial.is_by_reboot() || self.profile != before.profile {
            self.profile = before.profile.clone();
            if half {
                return Some(Event::Busy);
            }
            self.default = before.profile.clone();
        }
        self.armed = false;
        Some(Event::Reverted(self.running.clone()))
    }

    pub(crate) fn restart_process(&mut self) {
        self.process = self.running.clone();
        self.fresh = true;
    }

    /// Off, and on again. What was chosen is booted once; where it panics, what follows is
    /// another boot.
    pub(crate) fn cut_power(&mut self) {
        let chosen = std::mem::take(&mut self.chosen) && !self.panics;
        self.running = if chosen { new() } else { self.default.clone() };
        self.armed = false;
        self.boot += 1;
    }
}

/// A trial of the new system by a switch.
pub(crate) fn trial() -> Box<Trial> {
    let mut machine = Played::start(Way::Switch, false);
    let order = order(7);
    let built = machine.perform(Task::Build(&order), false);
    let Some(Event::Built { to, before, way, build }) = built else { unreachable!() };
    let until = before.at.after(order.manifest.deadline());
    Box::new(Trial { order, to, before: *before, way, until, build })
}
