//! The promise of an activation, with the real loop, the real guard and the real journal,
//! over a disk that loses what was not synced. Only the machine is played.
//!
//! The power fails before any step of the disk, before and after any effect, and again
//! while that is recovered from; the agent is killed; the dead man's timer fires while the
//! agent is away and while it is at work. The journal must never be lost, the machine must
//! end where the last report says, and what was gone back from never runs again.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use floe_proto::id::ActivationId;
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;
use floe_proto::verify;
use proptest::prelude::*;
use tokio::sync::{Notify, watch};

use super::guard;
use super::journal::{HostJournal, Loss};
use super::lossy::LossyDisk;
use crate::activation::door::{Believed, Door};
use crate::activation::drive::{Exit, Ports, drive};
use crate::activation::event::{Event, Task};
use crate::activation::played::{Played, new, old};
use crate::activation::ports::{Assignment, Clock, Machine, Progress, Reports, Tell, Unwritten};
use crate::activation::reboot::Reason;
use crate::activation::state::{Fault, Report, Seen, State, Way};
use crate::testing::trust;

/// What goes wrong in one life of the agent's process.
#[derive(Clone, Copy, Debug)]
enum Doom {
    /// The power fails before a step of the disk.
    AtStep(u32),
    /// At an effect, counted from the start of the process.
    AtEffect { number: u32, when: When, how: How },
}

#[derive(Clone, Copy, Debug)]
enum When {
    Before,
    Half,
    After,
}

#[derive(Clone, Copy, Debug)]
enum How {
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
struct World(Arc<Mutex<Inner>>, Arc<Notify>);

#[derive(Debug)]
struct Inner {
    machine: Played,
    disk: LossyDisk,
    /// Whose timer is armed.
    timer: Option<ActivationId>,
    doom: Option<Doom>,
    effects: u32,
    died: Option<How>,
    /// What was gone back from.
    left: Vec<ActivationId>,
    reports: Vec<Report>,
    chance: u32,
}

impl World {
    fn new(way: Way, panics: bool, chance: u32) -> Self {
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

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    async fn die<T>(&self, how: How) -> T {
        self.inner().died = Some(how);
        self.1.notify_one();
        std::future::pending().await
    }

    /// Lives one life of the process; true where the activation came to its end in it.
    async fn live(&self, doom: Option<Doom>) -> bool {
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
        let (_, wanted) = watch::channel(Some(Assignment { envelope, rollout: "r-1".into() }));
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

/// Lives through `dooms`, and then undisturbed to the end; checks the end.
async fn endure(world: &World, dooms: &[Doom]) {
    for doom in dooms {
        if world.live(Some(*doom)).await {
            break;
        }
    }
    let mut lives = 0;
    while !world.live(None).await {
        lives += 1;
        assert!(lives < 20, "never comes to an end: {world:?}");
    }
    let inner = world.inner();
    let is = [&inner.machine.running, &inner.machine.profile, &inner.machine.default];
    let last = inner.reports.last().expect("a report");
    match last.outcome {
        Outcome::Confirmed => assert_eq!(is, [&new(), &new(), &new()], "{dooms:?}"),
        Outcome::Failed | Outcome::RolledBack => {
            assert_eq!(is, [&old(), &old(), &old()], "{dooms:?}: {last:?}");
        }
        Outcome::Superseded | Outcome::Quarantined => panic!("{dooms:?}: {last:?}"),
    }
    assert!(!inner.machine.armed && !inner.machine.chosen, "{dooms:?}: {:?}", inner.machine);
}

fn run(way: Way, panics: bool, chance: u32, dooms: &[Doom]) -> World {
    let world = World::new(way, panics, chance);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(endure(&world, dooms));
    world
}

fn ways() -> [Way; 2] {
    [Way::Switch, Way::Reboot(vec![Reason::Kernel])]
}

#[test]
fn t097_the_power_fails_before_each_step_of_the_disk_and_again_before_each_step_after_that() {
    for way in ways() {
        for first in 0..140 {
            run(way.clone(), false, first + 1, &[Doom::AtStep(first)]);
            for second in 0..12 {
                let dooms = [Doom::AtStep(first), Doom::AtStep(second)];
                run(way.clone(), false, first * 7 + second, &dooms);
            }
        }
    }
}

#[test]
fn t097_each_effect_is_cut_before_in_its_midst_and_after_it() {
    let hows = [How::Killed, How::PowerCut, How::Fails, How::TimerFires, How::KilledAndGuarded];
    for way in ways() {
        for number in 1..=12 {
            for when in [When::Before, When::Half, When::After] {
                for how in hows {
                    for second in hows {
                        let dooms = [
                            Doom::AtEffect { number, when, how },
                            Doom::AtEffect { number: 1, when, how: second },
                        ];
                        run(way.clone(), false, number, &dooms);
                    }
                }
            }
        }
    }
}

fn any_doom() -> impl Strategy<Value = Doom> {
    let when = prop_oneof![Just(When::Before), Just(When::Half), Just(When::After)];
    let how = prop_oneof![
        2 => Just(How::Killed),
        3 => Just(How::PowerCut),
        1 => Just(How::Fails),
        2 => Just(How::TimerFires),
        2 => Just(How::KilledAndGuarded),
    ];
    prop_oneof![
        (0..120u32).prop_map(Doom::AtStep),
        (1..12u32, when, how).prop_map(|(number, when, how)| Doom::AtEffect { number, when, how }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn t101_crash_upon_crash_the_machine_ends_where_it_says(
        by_reboot in any::<bool>(),
        panics in any::<bool>(),
        chance in any::<u32>(),
        dooms in prop::collection::vec(any_doom(), 0..6),
    ) {
        let [switch, reboot] = ways();
        run(if by_reboot { reboot } else { switch }, panics, chance, &dooms);
    }
}
