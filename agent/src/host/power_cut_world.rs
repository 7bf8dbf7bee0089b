//! A world in which the agent dies and the power fails as a test has it: the real loop, guard
//! and journal over a disk that loses what was not synced, and a played machine.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use floe_proto::id::ActivationId;
use floe_proto::time::Timestamp;
use floe_proto::verify;
use tokio::sync::{Notify, watch};

use super::guard;
use super::journal::{HostJournal, Loss};
use super::lossy::LossyDisk;
use crate::activation::door::{Believed, Door};
use crate::activation::drive::{Exit, Ports, drive};
use crate::activation::event::{Event, Task};
use crate::activation::played::Played;
use crate::activation::ports::{Assignment, Clock, Machine, Progress, Reports, Tell, Unwritten};
use crate::activation::state::{Fault, Report, Seen, State, Way};
use crate::testing::trust;

/// What goes wrong in one life of the agent's process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doom {
    /// The power fails before a step of the disk.
    AtStep(u32),
    /// At an effect, counted from the start of the process.
    AtEffect { number: u32, when: When, how: How },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Before,
    Half,
    After,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Killed,
    PowerCut,
    /// The effect says that it failed; the process lives on.
    Fails,
    /// The dead man's timer fires, and its guard acts, while the agent is at work.
    TimerFires,
    /// The agent is killed, and the guards of this boot have their turn before it is back.
    KilledAndGuarded,
}

/// All that the process does not own.
#[derive(Clone, Debug)]
pub(super) struct World(Arc<Mutex<Inner>>, Arc<Notify>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) machine: Played,
    disk: LossyDisk,
    /// Whose timer is armed.
    timer: Option<ActivationId>,
    doom: Option<Doom>,
    effects: u32,
    died: Option<How>,
    /// What was gone back from.
    left: Vec<ActivationId>,
    pub(super) reports: Vec<Report>,
    chance: u32,
}

impl World {
    pub(super) fn new(way: Way, panics: bool, chance: u32) -> Self {
        let machine = Played::start(way, panics);
        Self(
            Arc::new(Mutex::new(Inner {
                machine,
                disk: LossyDisk::default(),
                timer: None,
                doom: None,
                effects: 0,
                died: None,
                left: Vec::new(),
                reports: Vec::new(),
                chance: chance | 1,
            })),
            Arc::new(Notify::new()),
        )
    }

    pub(super) fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    async fn die<T>(&self, how: How) -> T {
        self.inner().died = Some(how);
        self.1.notify_one();
        std::future::pending().await
    }

    /// Lives one life of the process; true where the activation came to its end in it.
    pub(super) async fn live(&self, doom: Option<Doom>) -> bool {
        let disk = {
            let mut inner = self.inner();
            (inner.effects, inner.died, inner.doom) = (0, None, doom);
            inner.machine.restart_process();
            let steps = match doom {
                Some(Doom::AtStep(steps)) => Some(steps),
                Some(Doom::AtEffect { .. }) | None => None,
            };
            inner.disk.fail_after(steps);
            inner.disk.clone()
        };
        let Signed { envelope, created, believed } = SIGNED.clone();
        let (_sender, trust) = watch::channel(believed);
        // Nobody assigns anything after this: the loop ends once it is answered.
        let (_, wanted) =
            watch::channel(Some(Assignment { envelope, rollout: "r-1".into(), retry: false }));
        let (journal, found) = HostJournal::open(disk, Path::new("/state")).unwrap();
        assert_eq!(found.loss, Loss::None, "no power cut loses the journal");
        let ports = Ports {
            machine: Hand(self.clone()),
            journal,
            clock: At(created),
            reports: self.clone(),
            tell: self.clone(),
            door: Door { host: trust::host(), closed: None },
            trust,
        };
        let ended = tokio::select! {
            biased;
            () = self.1.notified() => None,
            ended = drive(found.state, ports, wanted) => Some(ended),
        };
        let died = self.inner().died;
        match (ended, died) {
            (Some(Ok(Exit::Closed)), _) => return true,
            (Some(Ok(Exit::HandOver) | Err(Unwritten::Overtaken)), _)
            | (None, Some(How::Killed)) => {}
            (None, Some(How::KilledAndGuarded)) => {
                self.timer_fires().await;
                self.boot_is_over().await;
            }
            (Some(Err(Unwritten::Disk(_))), _) => {
                assert!(self.inner().disk.is_off());
                self.come_up();
            }
            (None, Some(How::PowerCut)) => self.come_up(),
            (None, Some(How::Fails | How::TimerFires) | None) => unreachable!("nobody died"),
        }
        // A guard may have run into the end of the power, too.
        if self.inner().disk.is_off() {
            self.come_up();
        }
        false
    }

    fn come_up(&self) {
        let mut inner = self.inner();
        inner.machine.cut_power();
        inner.lose_what_is_not_synced();
    }

    async fn timer_fires(&self) {
        let Some(activation) = self.inner().timer.take() else { return };
        self.inner().machine.armed = false;
        self.guard(|state| state.fired(&activation)).await;
    }

    async fn boot_is_over(&self) {
        let seen = self.inner().machine.seen();
        self.guard(|state| state.boot_overdue(&seen)).await;
    }

    /// The guard's process: the real loop, until it ends or the machine goes down.
    async fn guard(&self, overdue: impl FnOnce(State) -> Option<State>) {
        let disk = self.inner().disk.clone();
        let (journal, found) = HostJournal::hold(disk, Path::new("/state")).unwrap();
        assert_eq!(found.loss, Loss::None);
        let Some(state) = overdue(found.state) else { return };
        let machine = GuardsHand(self.clone());
        let (gone_down, clock) = (Arc::clone(&self.1), At(Timestamp::default()));
        tokio::select! {
            biased;
            () = gone_down.notified() => {
                if let Some(How::PowerCut) = self.inner().died.take() {
                    self.come_up();
                }
            }
            done = guard::go_back(state, journal, &machine, &clock) => {
                done.unwrap();
            }
        }
    }
}

/// What is assigned, by whom it is believed.
#[derive(Clone)]
struct Signed {
    envelope: Vec<u8>,
    created: Timestamp,
    believed: Believed,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let (envelope, created) = trust::manifest(2);
    let root = verify::pinned_root(&trust::root(1, &[1], &[2], &[1])).unwrap();
    Signed { envelope, created, believed: Believed { at_least: root.version, root } }
});

impl Inner {
    fn lose_what_is_not_synced(&mut self) {
        self.timer = None;
        let mut chance = self.chance;
        self.disk.cut_power(|| next(&mut chance));
        self.chance = chance;
    }
}

/// The agent's hand, to which things happen.
struct Hand(World);

impl Machine for Hand {
    async fn look(&self) -> Seen {
        self.0.inner().machine.seen()
    }

    async fn perform(&self, task: Task<'_>) -> Event {
        let doom = {
            let mut inner = self.0.inner();
            inner.effects += 1;
            match inner.doom {
                Some(Doom::AtEffect { number, when, how }) if number == inner.effects => {
                    Some((when, how))
                }
                Some(Doom::AtEffect { .. } | Doom::AtStep(_)) | None => None,
            }
        };
        let Some((when, how)) = doom else { return self.0.do_it(task, false).await };
        match (when, how) {
            (_, How::TimerFires) => {
                let event = self.0.do_it(task, false).await;
                self.0.timer_fires().await;
                event
            }
            (_, How::Fails) => {
                self.0.do_it(task, matches!(when, When::Half)).await;
                Event::Failed(Fault::new("as chance has it"))
            }
            (When::Before, how) => self.0.die(how).await,
            (When::Half | When::After, how) => {
                self.0.do_it(task, matches!(when, When::Half)).await;
                self.0.die(how).await
            }
        }
    }
}

/// The guard's hand, which nothing happens to but the end of the power.
struct GuardsHand(World);

impl Machine for GuardsHand {
    async fn look(&self) -> Seen {
        self.0.inner().machine.seen()
    }

    async fn perform(&self, task: Task<'_>) -> Event {
        self.0.do_it(task, false).await
    }
}

impl World {
    async fn do_it(&self, task: Task<'_>, half: bool) -> Event {
        if self.inner().disk.is_off() {
            return self.die(How::PowerCut).await;
        }
        let done = self.inner().do_it(task, half);
        match done {
            Some(event) => event,
            // It went down and is up again; with it went whoever was at work.
            None => {
                self.inner().lose_what_is_not_synced();
                self.die(How::Killed).await
            }
        }
    }
}

impl Inner {
    fn do_it(&mut self, task: Task<'_>, half: bool) -> Option<Event> {
        match task {
            Task::Arm(trial) => self.timer = Some(trial.order.activation.clone()),
            Task::Disarm(_) => self.timer = None,
            Task::Try(trial) | Task::Reboot(trial) => {
                assert!(!self.left.contains(&trial.order.activation), "what was left runs again");
            }
            Task::Revert(trial, _) => self.left.push(trial.order.activation.clone()),
            Task::Fetch(_)
            | Task::Unpack(_)
            | Task::Build(_)
            | Task::AwaitWindow(_)
            | Task::Stage(_)
            | Task::Prove(_)
            | Task::Commit(_) => {}
        }
        let done = self.machine.perform(task, half);
        if !self.machine.armed {
            self.timer = None;
        }
        done
    }
}

impl Reports for World {
    async fn deliver(&self, report: &Report) {
        self.inner().reports.push(report.clone());
    }
}

impl Tell for World {
    fn tell(&self, _: Progress) {}
}

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn next(state: &mut u32) -> u32 {
    // xorshift32, Marsaglia 2003.
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}
