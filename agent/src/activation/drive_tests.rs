//! The loop against a machine that is played: what a new trust root does to it.

use std::sync::{Arc, Mutex};

use floe_proto::report::Outcome;
use floe_proto::verify;
use futures_util::FutureExt as _;

use super::*;
use crate::activation::event::Task;
use crate::activation::played::{new, old, trial};
use crate::activation::state::{BootId, Report, Seen, Uptime};
use crate::testing::{in_time, trust};

/// While it does `during`, the trust root changes.
struct Changing {
    during: fn(Task<'_>) -> bool,
    next: Believed,
    trust: watch::Sender<Believed>,
    done: Arc<Mutex<Vec<&'static str>>>,
}

impl Machine for Changing {
    async fn look(&self) -> Seen {
        Seen { running: None, profile: None, boot: BootId("boot".into()), at: Uptime::default() }
    }

    async fn perform(&self, task: Task<'_>) -> Event {
        if (self.during)(task) {
            self.trust.send_replace(self.next.clone());
        }
        let (name, event) = match task {
            Task::Fetch(_) => ("fetch", Event::Fetched),
            Task::Unpack(_) => ("unpack", Event::Unpacked),
            Task::Build(_)
            | Task::AwaitWindow(_)
            | Task::Stage(_)
            | Task::Reboot(_)
            | Task::Arm(_)
            | Task::Try(_)
            | Task::Prove(_)
            | Task::Disarm(_)
            | Task::Commit(_)
            | Task::Revert(..) => {
                ("another", Event::Failed(Fault::new("the played machine builds nothing")))
            }
        };
        self.done.lock().unwrap().push(name);
        event
    }
}

struct Nowhere;

impl Journal for Nowhere {
    async fn write(&mut self, _: &State) -> Result<(), Unwritten> {
        Ok(())
    }
}

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Ends the loop with the first report.
struct First(Mutex<Option<watch::Sender<Option<Assignment>>>>, Arc<Mutex<Vec<Report>>>);

impl Reports for First {
    async fn deliver(&self, report: &Report) {
        self.1.lock().unwrap().push(report.clone());
        self.0.lock().unwrap().take();
    }
}

impl Tell for First {
    fn tell(&self, _: Progress) {}
}

fn believed(version: u32, release: &[u8]) -> Believed {
    let root = verify::pinned_root(&trust::root(version, &[1], release, &[1])).unwrap();
    Believed { at_least: version, root }
}

/// What the machine did, and why the activation failed.
async fn played(next: Believed, during: fn(Task<'_>) -> bool) -> (Vec<&'static str>, String) {
    let (envelope, created) = trust::manifest(2);
    let (sender, trust) = watch::channel(believed(1, &[2, 3]));
    let (assign, wanted) =
        watch::channel(Some(Assignment { envelope, rollout: "r".into(), retry: false }));
    let (done, reports) = (Arc::default(), Arc::default());
    let ports = Ports {
        machine: Changing { during, next, trust: sender, done: Arc::clone(&done) },
        journal: Nowhere,
        clock: At(created),
        reports: First(Mutex::new(Some(assign)), Arc::clone(&reports)),
        tell: First(Mutex::new(None), Arc::default()),
        door: Door { host: trust::host(), closed: None },
        trust,
    };
    assert_eq!(drive(State::default(), ports, wanted).await.unwrap(), Exit::Closed);
    let why = reports.lock().unwrap().first().unwrap().reason.clone();
    let done = done.lock().unwrap().clone();
    (done, why)
}

/// A machine that somebody has suspended until `awake`.
struct Asleep(Changing, watch::Receiver<bool>);

impl Machine for Asleep {
    async fn look(&self) -> Seen {
        self.0.look().await
    }

    async fn perform(&self, task: Task<'_>) -> Event {
        self.0.perform(task).await
    }

    async fn unsuspended(&self) {
        self.1.clone().wait_for(|awake| *awake).await.unwrap();
    }
}

#[tokio::test]
async fn while_the_machine_is_suspended_nothing_is_begun() {
    let (envelope, created) = trust::manifest(2);
    let (sender, trust) = watch::channel(believed(1, &[2]));
    let assignment = Assignment { envelope, rollout: "r".into(), retry: false };
    let (assign, wanted) = watch::channel(Some(assignment));
    let (awake, asleep) = watch::channel(false);
    let (done, reports) = (Arc::default(), Arc::default());
    let changing = Changing {
        during: |_| false,
        next: believed(1, &[2]),
        trust: sender,
        done: Arc::clone(&done),
    };
    let ports = Ports {
        machine: Asleep(changing, asleep),
        journal: Nowhere,
        clock: At(created),
        reports: First(Mutex::new(Some(assign)), Arc::clone(&reports)),
        tell: First(Mutex::new(None), Arc::default()),
        door: Door { host: trust::host(), closed: None },
        trust,
    };
    let mut driving = std::pin::pin!(drive(State::default(), ports, wanted));
    for _ in 0..3 {
        assert!((&mut driving).now_or_never().is_none());
    }
    assert!(done.lock().unwrap().is_empty());
    awake.send_replace(true);
    // What was assigned before may not be wanted any more: the next process asks anew.
    assert_eq!(in_time(driving).await.unwrap(), Exit::HandOver);
    assert!(done.lock().unwrap().is_empty() && reports.lock().unwrap().is_empty());
}

#[tokio::test]
async fn t016_what_was_being_made_ends_where_its_key_is_revoked() {
    let revoked = believed(2, &[3]);
    let (done, why) = played(revoked.clone(), |task| matches!(task, Task::Fetch(_))).await;
    assert_eq!(done, ["fetch"]);
    assert!(why.contains("release keys"), "{why}");
    // While it was built as well: it is not tried.
    let (done, why) = played(revoked, |task| matches!(task, Task::Unpack(_))).await;
    assert_eq!(done, ["fetch", "unpack"]);
    assert!(why.contains("release keys"), "{why}");
}

#[tokio::test]
async fn a_trust_root_that_still_believes_its_key_disturbs_nothing() {
    let (done, why) = played(believed(2, &[2]), |task| matches!(task, Task::Fetch(_))).await;
    assert_eq!(done, ["fetch", "unpack", "another"]);
    assert!(why.contains("builds nothing"), "{why}");
}

/// A machine whose new system proves itself for ever, and can be left.
struct Proving(watch::Sender<Believed>, Believed);

impl Machine for Proving {
    async fn look(&self) -> Seen {
        Seen { running: Some(new()), profile: Some(old()), ..seen() }
    }

    async fn perform(&self, task: Task<'_>) -> Event {
        match task {
            Task::Prove(_) => {
                self.0.send_replace(self.1.clone());
                std::future::pending().await
            }
            Task::Revert(..) => Event::Reverted(old()),
            Task::Fetch(_)
            | Task::Unpack(_)
            | Task::Build(_)
            | Task::AwaitWindow(_)
            | Task::Stage(_)
            | Task::Reboot(_)
            | Task::Arm(_)
            | Task::Try(_)
            | Task::Disarm(_)
            | Task::Commit(_) => panic!("{task:?}"),
        }
    }
}

fn seen() -> Seen {
    Seen { running: None, profile: None, boot: BootId("1".into()), at: Uptime::default() }
}

/// Remembers what was written last.
struct Last(Arc<Mutex<State>>);

impl Journal for Last {
    async fn write(&mut self, state: &State) -> Result<(), Unwritten> {
        *self.0.lock().unwrap() = state.clone();
        Ok(())
    }
}

#[tokio::test]
async fn t016_what_is_on_trial_is_left_at_once_where_its_key_is_revoked() {
    let (envelope, created) = trust::manifest(2);
    let mut trial = trial();
    trial.order.envelope = String::from_utf8(envelope).unwrap();
    let (sender, trust) = watch::channel(believed(1, &[2, 3]));
    let (_assign, wanted) = watch::channel(None);
    let last = Arc::default();
    let ports = Ports {
        machine: Proving(sender, believed(2, &[3])),
        journal: Last(Arc::clone(&last)),
        clock: At(created),
        reports: First(Mutex::new(None), Arc::default()),
        tell: First(Mutex::new(None), Arc::default()),
        door: Door { host: trust::host(), closed: None },
        trust,
    };
    let state = State { phase: Phase::Probation(trial), ..State::default() };
    let ended = in_time(drive(state, ports, wanted)).await;
    assert_eq!(ended.unwrap(), Exit::HandOver);
    let settled = last.lock().unwrap().settled.clone().unwrap();
    assert_eq!(settled.report.outcome, Outcome::RolledBack);
    assert!(settled.report.reason.contains("release keys"), "{}", settled.report.reason);
}
