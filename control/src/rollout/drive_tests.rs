//! The owner of rollouts, with a real store and played hosts.

use std::sync::Mutex;

use floe_proto::digest::Digest;
use floe_proto::id::{Epoch, Serial};
use floe_proto::report::{Outcome, Phase};
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::rollout::state::{Heard, Report, Rollout, Standing, State};
use crate::store::{ManifestRecord, Store};
use floe_proto::time::Timestamp;

#[path = "roles_tests.rs"]
mod roles;

/// Hosts that are connected because the test says so.
#[derive(Clone, Default)]
struct Played(Arc<Stage>);

#[derive(Default)]
struct Stage {
    here: Mutex<BTreeMap<HostId, Here>>,
    changed: Notify,
    orders: watch::Sender<BTreeMap<HostId, Option<Order>>>,
}

impl Hosts for Played {
    fn here(&self) -> BTreeMap<HostId, Here> {
        self.0.here.lock().unwrap().clone()
    }

    async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn order(&self, host: &HostId, order: Option<Order>) {
        self.0.orders.send_modify(|orders| {
            orders.insert(host.clone(), order);
        });
    }
}

/// A trust root that believes everything but what the test names.
#[derive(Clone)]
struct Doubted(watch::Receiver<Doubt>);

#[derive(Clone, Default)]
struct Doubt {
    version: u32,
    envelopes: Vec<u8>,
}

impl Trust for Doubted {
    fn version(&self) -> u32 {
        self.0.borrow().version
    }

    fn objection(&self, envelope: &[u8], _: Option<Timestamp>) -> Option<String> {
        let doubted = self.0.borrow().envelopes.contains(&envelope[0]);
        doubted.then(|| "the trust root does not believe it".to_owned())
    }

    async fn changed(&mut self) {
        self.0.changed().await.unwrap();
    }
}

impl Played {
    fn connect(&self, name: &str, stream: u64) {
        self.connect_as(name, role(), stream);
    }

    fn connect_as(&self, name: &str, role: Role, stream: u64) {
        let here = Here { role, confirmed: None, suspended: None, held: false, stream };
        self.0.here.lock().unwrap().insert(host(name), here);
        self.0.changed.notify_one();
    }

    /// Waits until `name` is told to run something.
    async fn told(&self, name: &str) -> Order {
        let mut orders = self.0.orders.subscribe();
        let told = orders.wait_for(|orders| matches!(orders.get(&host(name)), Some(Some(_))));
        told.await.unwrap()[&host(name)].clone().unwrap()
    }

    fn was_told(&self, name: &str) -> bool {
        matches!(self.0.orders.borrow().get(&host(name)), Some(Some(_)))
    }
}

struct World {
    store: Store,
    hosts: Played,
    doubt: watch::Sender<Doubt>,
    rollouts: Rollouts<Store>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl World {
    async fn start(store: Store) -> Self {
        let (hosts, stop) = (Played::default(), CancellationToken::new());
        let (doubt, doubted) = watch::channel(Doubt::default());
        let (rollouts, mut drive) = Drive::new(store.clone(), hosts.clone(), Doubted(doubted), now);
        drive.recall().await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(drive.run(stop.clone()));
        Self { store, hosts, doubt, rollouts, tasks, stop }
    }

    /// The control plane is killed, and another starts on the same records.
    async fn restart(mut self) -> Self {
        self.stop.cancel();
        self.tasks.join_next().await;
        Self::start(self.store).await
    }

    async fn publish(&self, serial: u64) {
        self.publish_for(role(), manifest(serial), serial).await;
    }

    async fn publish_for(&self, role: Role, digest: Digest, serial: u64) {
        let record = ManifestRecord {
            digest,
            role,
            epoch: Epoch::default(),
            serial: serial.try_into().unwrap(),
            envelope: vec![u8::try_from(serial).unwrap()],
            payload: Digest::of(b"payload"),
            payload_length: 7,
            publisher: "ada".into(),
            begun: now(),
            published: None,
        };
        self.store.begin_publication(&record).await.unwrap();
        self.store.finish_publication(&record.digest, now()).await.unwrap();
    }

    /// The next version of the trust root believes these serials no more.
    fn doubts(&self, serials: &[u8]) {
        self.doubt.send_modify(|doubt| {
            doubt.version += 1;
            doubt.envelopes = serials.to_vec();
        });
    }

    async fn roll_out(&self, serial: u64) -> Arc<Rollout> {
        let serial: Serial = serial.try_into().unwrap();
        self.rollouts.start(role(), Epoch::default(), serial, false).await.unwrap()
    }

    async fn says(&self, name: &str, activation: &str, said: Said) -> bool {
        // As what it is connected.
        let (host, activation) = (host(name), activation.parse().unwrap());
        let here = self.hosts.here().remove(&host);
        let role = here.map_or_else(role, |here| here.role);
        let heard = Heard { host, role, activation, at: now(), said };
        self.rollouts.hear(heard).await.unwrap().await.is_ok()
    }

    async fn ends(&self, name: &str, activation: &str, serial: u64, outcome: Outcome) {
        let about = Some((Epoch::default(), serial.try_into().unwrap()));
        let report = Report {
            about,
            manifest: Some(manifest(serial)),
            outcome,
            reason: "because".into(),
            running: String::new(),
            unchanged: false,
            build_ms: 3,
        };
        assert!(self.says(name, activation, Said::Ended(report)).await, "stored");
    }

    async fn standing(&self, id: &RolloutId, name: &str) -> Standing {
        self.rollouts.show(id).await.unwrap().unwrap().hosts[&host(name)].standing
    }
}

fn now() -> Timestamp {
    crate::clock::now()
}

fn role() -> Role {
    "www".parse().unwrap()
}

fn host(name: &str) -> HostId {
    format!("local-{name}").parse().unwrap()
}

fn manifest(serial: u64) -> Digest {
    Digest::of(&serial.to_be_bytes())
}

async fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(&dir.path().join("floe.sqlite")).await.unwrap(), dir)
}

#[tokio::test]
async fn a_rollout_goes_from_the_canary_to_the_rest_and_is_watched() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.hosts.connect("a", 1);
    world.hosts.connect("b", 2);
    let rollout = world.roll_out(1).await;
    let mut watched = Box::pin(world.rollouts.watch(&rollout.id).await.unwrap().unwrap());

    let order = world.hosts.told("a").await;
    assert_eq!((order.assignment.rollout, &*order.envelope), (rollout.id.clone(), &[1][..]));
    assert!(!world.hosts.was_told("b"));
    world.ends("a", "x-1", 1, Outcome::Confirmed).await;
    world.hosts.told("b").await;
    assert!(!world.hosts.was_told("a"), "what has ended is not told again");
    world.ends("b", "x-1", 1, Outcome::Confirmed).await;

    let mut last = None;
    while let Some(seen) = watched.next().await {
        last = Some(seen);
    }
    assert_eq!(last.unwrap().state, State::Done);
    assert_eq!(world.rollouts.newest(&role()).unwrap().state, State::Done);
    assert!(!world.rollouts.assignment(&host("a")).unwrap().pending);
}

#[tokio::test]
async fn a_control_plane_that_is_restarted_in_the_middle_goes_on() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.hosts.connect("a", 1);
    world.hosts.connect("b", 2);
    let id = world.roll_out(1).await.id.clone();
    world.hosts.told("a").await;
    let said = Said::Entered {
        about: (Epoch::default(), Serial::FIRST),
        phase: Phase::Building,
        detail: String::new(),
    };
    world.says("a", "x-1", said).await;

    let world = world.restart().await;
    assert_eq!(world.standing(&id, "a").await, Standing::Activating(Phase::Building));
    world.hosts.connect("b", 1);
    world.hosts.connect("a", 2);
    assert_eq!(&*world.hosts.told("a").await.envelope, [1]);
    assert!(!world.hosts.was_told("b"), "the canary is still the canary");
    world.ends("a", "x-1", 1, Outcome::Confirmed).await;
    world.hosts.told("b").await;

    let world = world.restart().await;
    world.ends("b", "x-1", 1, Outcome::Confirmed).await;
    assert_eq!(world.rollouts.show(&id).await.unwrap().unwrap().state, State::Done);
}

#[tokio::test]
async fn a_report_that_comes_again_is_acknowledged_and_changes_nothing() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.hosts.connect("a", 1);
    let first = world.roll_out(1).await;
    world.hosts.told("a").await;
    world.ends("a", "x-1", 1, Outcome::Failed).await;
    assert_eq!(world.standing(&first.id, "a").await, Standing::Ended(Outcome::Failed));

    let second = world.roll_out(1).await;
    assert_eq!(world.hosts.told("a").await.assignment.rollout, second.id);
    world.ends("a", "x-1", 1, Outcome::Failed).await;
    assert_eq!(world.standing(&second.id, "a").await, Standing::Assigned, "that was the first");
    world.ends("a", "x-2", 1, Outcome::Confirmed).await;
    assert_eq!(world.standing(&second.id, "a").await, Standing::Ended(Outcome::Confirmed));
}

#[tokio::test]
async fn a_newer_rollout_takes_over_and_the_older_is_kept() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.publish(2).await;
    world.hosts.connect("a", 1);
    let older = world.roll_out(1).await;
    let mut watched = Box::pin(world.rollouts.watch(&older.id).await.unwrap().unwrap());
    let newer = world.roll_out(2).await;
    let mut last = None;
    while let Some(seen) = watched.next().await {
        last = Some(seen);
    }
    assert_eq!(last.unwrap().state, State::Superseded);
    let kept = world.rollouts.show(&older.id).await.unwrap().unwrap();
    assert_eq!(kept.state, State::Superseded);
    assert_eq!(kept.reasons, [format!("rollout `{}` of the same role took over", newer.id)]);
    assert_eq!(&*world.hosts.told("a").await.envelope, [2]);
}

#[tokio::test]
async fn a_host_that_comes_to_the_role_later_gets_what_the_others_run() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    let rollout = world.roll_out(1).await;
    assert_eq!(rollout.reasons, ["no host of role `www` is enrolled yet"]);
    world.hosts.connect("a", 1);
    world.hosts.told("a").await;
    world.ends("a", "x-1", 1, Outcome::Confirmed).await;
    world.hosts.connect("b", 2);
    world.hosts.told("b").await;
}

#[tokio::test]
async fn what_is_not_published_is_not_rolled_out() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    let refused = world.rollouts.start(role(), Epoch::default(), Serial::FIRST, false).await;
    assert!(refused.unwrap_err().to_string().contains("is published"));
}

#[tokio::test]
async fn what_the_trust_root_does_not_believe_is_not_rolled_out() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.doubts(&[1]);
    let refused = world.rollouts.start(role(), Epoch::default(), Serial::FIRST, false).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, super::super::handle::Error::NotBelieved { .. }), "{refused}");
    assert!(world.rollouts.newest(&role()).is_none());
}

#[tokio::test]
async fn a_rollout_that_is_believed_no_more_stops_and_says_why() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    for (stream, name) in ["a", "b"].into_iter().enumerate() {
        world.hosts.connect(name, u64::try_from(stream).unwrap() + 1);
    }
    let rollout = world.roll_out(1).await;
    world.hosts.told("a").await;
    let mut watched = Box::pin(world.rollouts.watch(&rollout.id).await.unwrap().unwrap());
    world.doubts(&[1]);
    let mut last = watched.next().await.unwrap();
    while let Some(seen) = watched.next().await {
        last = seen;
    }
    assert_eq!((last.state, last.ended.is_some()), (State::Stopped, true));
    assert_eq!(last.reasons[0], "the trust root does not believe it");
    assert!(last.reasons[1].contains("`local-a`, `local-b` were not touched"), "{last:?}");
    // The order is taken back from the host that was told and has said nothing.
    let mut orders = world.hosts.0.orders.subscribe();
    orders.wait_for(|orders| orders[&host("a")].is_none()).await.unwrap();

    let world = world.restart().await;
    world.hosts.connect("a", 7);
    world.publish(2).await;
    world.roll_out(2).await;
    assert_eq!(&*world.hosts.told("a").await.envelope, [2]);
    let kept = world.rollouts.show(&rollout.id).await.unwrap().unwrap();
    assert_eq!(kept.withdrawn.as_deref(), Some("the trust root does not believe it"));
}

#[tokio::test]
async fn what_cannot_be_stored_is_neither_acknowledged_nor_done() {
    let (store, _dir) = store().await;
    let mut world = World::start(store).await;
    world.publish(1).await;
    world.hosts.connect("a", 1);
    let rollout = world.roll_out(1).await;
    world.hosts.told("a").await;
    world.store.close().await;
    let lines = Said::Wrote { phase: None, lines: vec!["x".into()] };
    assert!(!world.says("a", "x-1", lines).await);
    assert!(world.rollouts.start(role(), Epoch::default(), Serial::FIRST, false).await.is_err());
    assert_eq!(world.standing(&rollout.id, "a").await, Standing::Assigned);
    world.stop.cancel();
    world.tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn fifty_hosts_that_have_nothing_to_do_are_through_at_once() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    let names: Vec<_> = (0..50).map(|n| format!("n-{n}")).collect();
    for (stream, name) in names.iter().enumerate() {
        world.hosts.connect(name, u64::try_from(stream).unwrap());
    }
    let began = tokio::time::Instant::now();
    let rollout = world.roll_out(1).await;
    let all = names.iter().map(|name| async {
        world.hosts.told(name).await;
        world.ends(name, "x-1", 1, Outcome::Confirmed).await;
    });
    futures_util::future::join_all(all).await;
    let took = began.elapsed();
    assert_eq!(world.rollouts.show(&rollout.id).await.unwrap().unwrap().state, State::Done);
    // The aim is far below; this only catches a change of kind, on any machine.
    assert!(took < Duration::from_secs(5), "{took:?}");
}
