//! One host's stream, with the real rollouts and the real store behind it.

use std::sync::Arc;

use floe_proto::digest::Digest;
use floe_proto::sealed::OpeningKey;
use floe_proto::time::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::rollout::Drive;
use crate::rollout::ports::Trust;
use crate::rollout::state::{Rollout, State};
use crate::store::{ManifestRecord, Store};
use crate::trust::testing::{root, signed};

type Inbound = ReceiverStream<Result<pb::FromAgent, Status>>;
type Answers = Pin<Box<dyn Stream<Item = Result<pb::ToAgent, Status>> + Send>>;

struct World {
    sessions: Sessions,
    rollouts: Rollouts<Store>,
    roots: Roots,
    store: Store,
    sealed: Sealed<Store>,
    _tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

/// An agent's end of a stream.
struct Agent {
    says: mpsc::Sender<Result<pb::FromAgent, Status>>,
    hears: Answers,
}

/// Believes every manifest.
struct Credulous;

impl Trust for Credulous {
    fn version(&self) -> u32 {
        1
    }

    fn objection(&self, _: &[u8], _: Option<Timestamp>) -> Option<String> {
        None
    }

    async fn changed(&mut self) {
        std::future::pending().await
    }
}

impl World {
    /// The next version of the trust root, signed by key 1.
    async fn publish_root(&self, version: u32) -> Vec<u8> {
        let envelope = signed(&root(version, &[1], &[2]), &[1]);
        let (publisher, now) = ("ada".to_owned(), crate::clock::now());
        self.roots.publish(&self.store, envelope.clone(), publisher, now).await.unwrap();
        envelope
    }

    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("floe.sqlite")).await.unwrap();
        let sessions = Sessions::new(crate::clock::now);
        let fleet = "fossable.org".parse().unwrap();
        let file = signed(&root(1, &[1], &[2]), &[1]);
        let roots = Roots::open(&store, &fleet, &file, crate::clock::now()).await.unwrap();
        let (rollouts, drive) =
            Drive::new(store.clone(), sessions.clone(), Credulous, crate::clock::now);
        let mut tasks = JoinSet::new();
        tasks.spawn(drive.run(CancellationToken::new()));
        let record = ManifestRecord {
            digest: Digest::of(b"manifest"),
            role: "www".parse().unwrap(),
            epoch: Epoch::default(),
            serial: Serial::FIRST,
            envelope: b"envelope".to_vec(),
            payload: Digest::of(b"payload"),
            payload_length: 7,
            publisher: "ada".into(),
            begun: crate::clock::now(),
            published: None,
        };
        store.begin_publication(&record).await.unwrap();
        store.finish_publication(&record.digest, crate::clock::now()).await.unwrap();
        let escrow = OpeningKey::generate().unwrap();
        let sealed = Sealed::new(store.clone(), fleet, Some(escrow));
        Self { sessions, rollouts, roots, store, sealed, _tasks: tasks, _dir: dir }
    }

    fn parts(&self) -> Parts<Store> {
        Parts {
            sessions: self.sessions.clone(),
            rollouts: self.rollouts.clone(),
            roots: self.roots.clone(),
            sealed: self.sealed.clone(),
        }
    }

    fn open(&self, host: &str) -> Agent {
        let (says, inbound) = mpsc::channel(16);
        let conversation: Conversation<Inbound, Store> = Conversation::new(
            host.parse().unwrap(),
            "www".parse().unwrap(),
            ReceiverStream::new(inbound),
            self.parts(),
            crate::clock::now,
        );
        Agent { says, hears: Box::pin(conversation.answers()) }
    }

    async fn connect(&self, host: &str, confirmed: Option<pb::Confirmed>) -> Agent {
        let agent_version = "0.1.0\u{1b}".into();
        self.greet(host, pb::Hello { confirmed, agent_version, ..Default::default() }).await
    }

    async fn greet(&self, host: &str, hello: pb::Hello) -> Agent {
        let mut agent = self.open(host);
        agent.say(from_agent::Message::Hello(hello)).await;
        assert!(matches!(agent.hear().await, Ok(to_agent::Message::Welcome(_))));
        agent
    }

    async fn roll_out(&self) -> Arc<Rollout> {
        let role = "www".parse().unwrap();
        self.rollouts.start(role, Epoch::default(), Serial::FIRST, false).await.unwrap()
    }
}

impl Agent {
    async fn say(&self, message: from_agent::Message) {
        self.says.send(Ok(pb::FromAgent { message: Some(message) })).await.unwrap();
    }

    async fn hear(&mut self) -> Result<to_agent::Message, Status> {
        self.hears.next().await.unwrap().map(|answer| answer.message.unwrap())
    }

    async fn report(&self, outcome: pb::Outcome) {
        let report = pb::Report {
            activation: "x-1".into(),
            serial: 1,
            manifest_digest: Digest::of(b"manifest").to_string(),
            outcome: outcome.into(),
            reason: "nginx\u{1b}[2J".into(),
            running: "/nix/store/new".into(),
            ..Default::default()
        };
        self.say(from_agent::Message::Report(report)).await;
    }
}

fn confirmed() -> pb::Confirmed {
    pb::Confirmed {
        epoch: 0,
        serial: 1,
        manifest_digest: Digest::of(b"manifest").to_string(),
        reverted: false,
    }
}

#[tokio::test]
async fn an_order_goes_out_and_its_report_is_acknowledged_once_it_is_stored() {
    let world = World::start().await;
    let mut agent = world.connect("local-a", None).await;
    let rollout = world.roll_out().await;
    let Ok(to_agent::Message::Assignment(assignment)) = agent.hear().await else {
        panic!("an assignment was due")
    };
    assert_eq!(assignment.manifest_envelope, b"envelope");
    assert_eq!(assignment.rollout, rollout.id.to_string());

    agent.report(pb::Outcome::Confirmed).await;
    let received = pb::ReportReceived { activation: "x-1".into() };
    assert_eq!(agent.hear().await.unwrap(), to_agent::Message::ReportReceived(received));
    let host = "local-a".parse().unwrap();
    let stored = world.store.activations(&host, 1).await.unwrap().remove(0);
    assert_eq!(stored.outcome, Some(Outcome::Confirmed));
    assert_eq!(stored.reason, "nginx\\u{1b}[2J", "what drives a terminal is written out");
    let presence = world.sessions.presence(&host).unwrap();
    assert_eq!(presence.confirmed.unwrap().serial, Serial::FIRST);
    assert_eq!(
        (presence.running.as_str(), presence.agent_version.as_str()),
        ("/nix/store/new", "0.1.0\\u{1b}")
    );
    assert_eq!(world.rollouts.show(&rollout.id).await.unwrap().unwrap().state, State::Done);
}

#[tokio::test]
async fn a_host_that_reconnects_is_told_again_until_it_has_answered() {
    let world = World::start().await;
    let mut agent = world.connect("local-a", None).await;
    world.roll_out().await;
    assert!(matches!(agent.hear().await, Ok(to_agent::Message::Assignment(_))));
    drop(agent);
    let mut agent = world.connect("local-a", None).await;
    assert!(matches!(agent.hear().await, Ok(to_agent::Message::Assignment(_))));
}

#[tokio::test]
async fn a_host_is_never_sent_what_it_has_confirmed() {
    let world = World::start().await;
    let mut agent = world.connect("local-a", Some(confirmed())).await;
    let rollout = world.roll_out().await;
    assert_eq!(rollout.state, State::Done, "{:?}", rollout.reasons);
    // What it hears next is the answer to its report, and no assignment before it.
    agent.report(pb::Outcome::Confirmed).await;
    assert!(matches!(agent.hear().await, Ok(to_agent::Message::ReportReceived(_))));
}

#[tokio::test]
async fn a_host_is_brought_to_the_newest_trust_root_before_it_is_told_anything() {
    let world = World::start().await;
    let second = world.publish_root(2).await;
    let third = world.publish_root(3).await;
    world.roll_out().await;
    let is_root = |heard: Result<to_agent::Message, Status>, envelope: &[u8]| {
        let root = pb::TrustRoot { root_envelope: envelope.to_vec() };
        assert_eq!(heard.unwrap(), to_agent::Message::TrustRoot(root));
    };
    let mut pinned = world.connect("local-a", None).await;
    is_root(pinned.hear().await, &second);
    is_root(pinned.hear().await, &third);
    assert!(matches!(pinned.hear().await, Ok(to_agent::Message::Assignment(_))));

    // One that believes the second gets the third only, and later ones as they come.
    let hello = pb::Hello { root_version: 2, ..Default::default() };
    let mut newer = world.greet("local-b", hello).await;
    is_root(newer.hear().await, &third);
    let waits = tokio::join!(newer.hear(), world.publish_root(4));
    is_root(waits.0, &waits.1);
    is_root(pinned.hear().await, &waits.1);

    // What no message can mend does not end the conversation.
    let hello = pb::Hello { root_version: 9, ..Default::default() };
    let ahead = world.greet("local-c", hello).await;
    drop(ahead);
}

#[tokio::test]
async fn a_newer_stream_ends_the_older_with_aborted() {
    let world = World::start().await;
    let mut older = world.connect("local-a", None).await;
    let _newer = world.connect("local-a", None).await;
    assert_eq!(older.hear().await.unwrap_err().code(), Code::Aborted);
    assert!(older.hears.next().await.is_none());
}

#[tokio::test]
async fn who_does_not_begin_with_a_hello_is_refused() {
    let world = World::start().await;
    let mut agent = world.open("local-a");
    agent.say(from_agent::Message::Heartbeat(pb::Heartbeat { suspended: None })).await;
    assert_eq!(agent.hear().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_host_that_is_silent_is_gone() {
    let world = World::start().await;
    let host: HostId = "local-a".parse().unwrap();
    let (says, inbound) = mpsc::channel(1);
    let mut conversation: Conversation<Inbound, Store> = Conversation::new(
        host.clone(),
        "www".parse().unwrap(),
        ReceiverStream::new(inbound),
        world.parts(),
        crate::clock::now,
    );
    conversation.silence = Duration::from_millis(20);
    let mut agent = Agent { says, hears: Box::pin(conversation.answers()) };
    agent.say(from_agent::Message::Hello(pb::Hello::default())).await;
    assert!(matches!(agent.hear().await, Ok(to_agent::Message::Welcome(_))));
    assert!(world.sessions.presence(&host).unwrap().online);
    assert_eq!(agent.hear().await.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(!world.sessions.presence(&host).unwrap().online);
}

#[tokio::test]
async fn t087_a_host_speaks_for_itself_only() {
    let world = World::start().await;
    let mut ours = world.connect("local-a", None).await;
    let mut thief = world.connect("local-b", None).await;
    let rollout = world.roll_out().await;
    assert!(matches!(ours.hear().await, Ok(to_agent::Message::Assignment(_))));
    // The canary's manifest, under the name that its activation has.
    thief.report(pb::Outcome::RolledBack).await;
    assert!(matches!(thief.hear().await, Ok(to_agent::Message::ReportReceived(_))));
    let (a, b) = ("local-a".parse().unwrap(), "local-b".parse().unwrap());
    let shown = world.rollouts.show(&rollout.id).await.unwrap().unwrap();
    assert!(shown.hosts[&a].standing.is_at_work(), "{:?}", shown.hosts);
    // It was not told, so not even its own standing follows from that.
    assert!(!shown.hosts[&b].standing.has_ended(), "{:?}", shown.hosts);
    ours.report(pb::Outcome::Confirmed).await;
    assert!(matches!(ours.hear().await, Ok(to_agent::Message::ReportReceived(_))));
    let outcome = |activation: Option<crate::store::Activation>| activation.unwrap().outcome;
    let id = "x-1".parse().unwrap();
    let found = outcome(world.store.activation(&a, &id).await.unwrap());
    assert_eq!(found, Some(Outcome::Confirmed));
    let found = outcome(world.store.activation(&b, &id).await.unwrap());
    assert_eq!(found, Some(Outcome::RolledBack));
}

#[tokio::test]
async fn t095_who_talks_faster_than_it_is_stored_has_to_wait() {
    let mut world = World::start().await;
    // Nobody takes anything in from now on.
    let (rollouts, _drive) =
        Drive::new(world.store.clone(), world.sessions.clone(), Credulous, crate::clock::now);
    world.rollouts = rollouts;
    let mut agent = world.connect("local-a", None).await;
    let output = pb::Output { activation: "x-1".into(), ..Default::default() };
    let output = pb::FromAgent { message: Some(from_agent::Message::Output(output)) };
    let mut taken = 0;
    while agent.says.try_send(Ok(output.clone())).is_ok() {
        taken += 1;
        assert!(futures_util::poll!(agent.hears.next()).is_pending());
    }
    // What waits in the stream itself is the transport's to bound.
    assert_eq!(taken, UNSTORED + 16);
}

#[tokio::test]
async fn t082_who_was_ended_is_not_told_what_still_waited_for_it() {
    let world = World::start().await;
    let mut agent = world.connect("local-a", None).await;
    // It does not read meanwhile.
    world.publish_root(2).await;
    world.roll_out().await;
    world.sessions.end(&"local-a".parse().unwrap(), Status::permission_denied("revoked"));
    assert_eq!(agent.hear().await.unwrap_err().code(), Code::PermissionDenied);
    assert!(agent.hears.next().await.is_none());
}

#[path = "conversation_secret_tests.rs"]
mod secrets;
