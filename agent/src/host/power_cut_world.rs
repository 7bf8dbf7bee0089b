//! A world in which the agent dies and the power fails as a test has it: the real loop, guard
//! and journal over a disk that loses what was not synced, and a played machine.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use floe_proto::admit::Floors;
use floe_proto::id::ActivationId;
use floe_proto::time::Timestamp;
use floe_proto::verify;
use tokio::sync::{Notify, watch};

use super::doom::{Doing, Doom, How, When};
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

/// All that the process does not own.
#[derive(Clone, Debug)]
pub(super) struct World(Arc<Mutex<Inner>>, Arc<Notify>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) machine: Played,
    disk: LossyDisk,
    /// Whose timer is armed.
    timer: Option<ActivationId>,
    dooms: Vec<Doom>,
    effects: u32,
    died: Option<How>,
    /// What was gone back from.
    left: Vec<ActivationId>,
    /// How often the new system was switched to.
    pub(super) switches: u32,
    pub(super) reports: Vec<Report>,
    /// How far the clock is ahead, every other time that it is looked at.
    pub(super) jump: Duration,
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
                dooms: Vec::new(),
                effects: 0,
                died: None,
                left: Vec::new(),
                switches: 0,
                reports: Vec::new(),
                jump: Duration::ZERO,
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

    /// What is to go wrong from now on, each once.
    pub(super) fn doom(&self, dooms: &[Doom]) {
        let mut inner = self.inner();
        inner.dooms = dooms.to_vec();
        inner.disk.fail_after(dooms.iter().find_map(|doom| match doom {
            Doom::AtStep(steps) => Some(*steps),
            Doom::AtEffect { .. } | Doom::In(..) => None,
        }));
    }

    /// Lives on, life after life, until the activation has come to its end.
    pub(super) async fn live_to_the_end(&self) {
        let mut lives = 0;
        while !self.live().await {
            lives += 1;
            assert!(lives < 20, "never comes to an end: {self:?}");
        }
    }

    /// What the host never goes below, as its disk says.
    pub(super) fn floors(&self) -> Floors {
        let disk = self.inner().disk.clone();
        HostJournal::open(disk, Path::new("/state")).unwrap().1.state.floors
    }

    /// Lives one life of the process; true where the activation came to its end in it.
    pub(super) async fn live(&self) -> bool {
        let disk = {
            let mut inner = self.inner();
            (inner.effects, inner.died) = (0, None);
            inner.machine.restart_process();
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
            clock: Jumping(created, self.clone(), AtomicBool::default()),
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
    fn take_doom(&mut self, doing: Doing) -> Option<(When, How)> {
        let at = self.dooms.iter().position(|doom| doom.at(self.effects, doing).is_some())?;
        self.dooms.remove(at).at(self.effects, doing)
    }

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
            inner.take_doom(task.into())
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
        self.switches += u32::from(matches!(task, Task::Try(_)));
        let done = self.machine.perform(task, half);
        if !self.machine.armed {
            self.timer = None;
        }
        done
    }
}

impl Reports for World {
    async fn deliver(&self, report: &Report) {
        let doom = self.inner().take_doom(Doing::Report);
        match doom {
            Some((_, How::TimerFires)) => self.timer_fires().await,
            Some((When::Before, how)) => return self.die(how).await,
            Some((When::Half | When::After, _)) | None => {}
        }
        self.inner().reports.push(report.clone());
        match doom {
            Some((_, How::TimerFires)) | None => {}
            Some((_, how)) => self.die(how).await,
        }
    }
}

impl Tell for World {
    fn tell(&self, _: Progress) {}
}

/// A clock that is set again and again.
struct Jumping(Timestamp, World, AtomicBool);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let Self(now, world, is_ahead) = self;
        let jump = world.inner().jump;
        if is_ahead.fetch_not(Ordering::Relaxed) { *now } else { now.after(jump) }
    }
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
