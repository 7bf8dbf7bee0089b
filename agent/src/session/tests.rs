//! The session against a control plane in this process: real TLS, real gRPC.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_proto::id::ActivationId;
use floe_proto::pb;
use floe_proto::pb::from_agent::Message as Said;
use floe_proto::pb::host_session_server::{HostSession, HostSessionServer};
use floe_proto::pb::to_agent::Message as Heard;
use floe_proto::report::{Outcome, Phase};
use floe_proto::time::Timestamp;
use floe_proto::transport;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Handle, open};
use crate::activation::door::Believed;
use crate::activation::ports::{
    Connection as _, Locate as _, News, Progress, Reports as _, Tell as _,
};
use crate::activation::state::{Named, Report};
use crate::identity::Line as _;
use crate::secrets::{Secrets, Where};
use crate::testing::{Authority, in_time, trust};
use crate::trust::Roots;

pub(super) fn id(text: &str) -> ActivationId {
    text.parse().unwrap()
}

fn named() -> Named {
    Named {
        epoch: floe_proto::id::Epoch::default(),
        serial: floe_proto::id::Serial::FIRST,
        digest: floe_proto::digest::Digest::of(b"manifest"),
    }
}

fn progress(news: News) -> Progress {
    Progress {
        activation: id("a-1"),
        manifest: named(),
        phase: Phase::Building,
        at: Timestamp::default(),
        news,
    }
}

pub(super) fn entered(detail: &str) -> Progress {
    progress(News::Entered(detail.to_owned()))
}

pub(super) fn wrote(lines: Vec<String>) -> Progress {
    progress(News::Wrote(lines))
}

pub(super) fn report(activation: &str) -> Report {
    Report {
        activation: id(activation),
        manifest: Some(named()),
        outcome: Outcome::Confirmed,
        reason: String::new(),
        running: None,
        at: Timestamp::default(),
        unchanged: false,
        build: Duration::from_millis(7),
    }
}

/// One stream, as the control plane has it.
struct Stream {
    said: Streaming<pb::FromAgent>,
    hear: mpsc::Sender<Result<pb::ToAgent, Status>>,
}

impl Stream {
    async fn say(&self, message: Heard) {
        self.hear.send(Ok(pb::ToAgent { message: Some(message) })).await.unwrap();
    }

    async fn welcome(&self) {
        self.say(Heard::Welcome(pb::Welcome { heartbeat_seconds: 60 })).await;
    }

    async fn assign(&self, envelope: &str) {
        self.assign_for("r-1", envelope).await;
    }

    async fn assign_for(&self, rollout: &str, envelope: &str) {
        let (manifest_envelope, rollout) = (envelope.as_bytes().to_vec(), rollout.to_owned());
        self.say(Heard::Assignment(pb::Assignment { manifest_envelope, rollout, retry: false }))
            .await;
    }

    async fn offer(&self, root_envelope: Vec<u8>) {
        self.say(Heard::TrustRoot(pb::TrustRoot { root_envelope })).await;
    }

    async fn hears(&mut self) -> Said {
        self.said.message().await.unwrap().unwrap().message.unwrap()
    }
}

#[derive(Clone)]
struct Service {
    streams: mpsc::Sender<Stream>,
}

#[tonic::async_trait]
impl HostSession for Service {
    type OpenStream = ReceiverStream<Result<pb::ToAgent, Status>>;

    async fn open(
        &self,
        request: Request<Streaming<pb::FromAgent>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let (hear, heard) = mpsc::channel(8);
        let _ = self.streams.send(Stream { said: request.into_inner(), hear }).await;
        Ok(Response::new(ReceiverStream::new(heard)))
    }

    async fn locate_payload(
        &self,
        request: Request<pb::LocatePayloadRequest>,
    ) -> Result<Response<pb::LocatePayloadReply>, Status> {
        let url = format!("https://objects/{}", request.into_inner().payload_digest);
        Ok(Response::new(pb::LocatePayloadReply { url }))
    }

    async fn renew(
        &self,
        _: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewReply>, Status> {
        Err(Status::unimplemented("nobody here renews"))
    }
}

/// A control plane, and an agent's session with it.
struct World {
    streams: mpsc::Receiver<Stream>,
    handle: Handle,
    hellos: Arc<Mutex<u32>>,
    believed: watch::Receiver<Believed>,
    renewed: watch::Sender<Arc<ClientConfig>>,
    session: AbortHandle,
    _state: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

async fn world() -> World {
    let authority = Authority::new();
    let (sender, streams) = mpsc::channel(8);
    let mut tasks = JoinSet::new();
    let service = HostSessionServer::new(Service { streams: sender });
    let url = authority.serve(service, &mut tasks).await;
    let ca = std::slice::from_ref(&authority.ca);
    let fleet = "fossable.org".parse().unwrap();
    let tls = transport::client_config(ca, &fleet, Some(authority.issue("agent"))).unwrap();
    let state = tempfile::tempdir().unwrap();
    let roots = Roots::begin(state.path(), &fleet, &trust::root(1, &[1], &[2], &[1])).unwrap();
    let believed = roots.believed();
    let at = Where {
        state: state.path().to_owned(),
        place: state.path().join("place"),
        untold: state.path().join("untold"),
        instance: state.path().join("instance"),
    };
    let clock = Timestamp::default;
    let secrets = Secrets::new(at, fleet, "www".parse().unwrap(), believed.clone(), clock);
    let (session, handle) = open(roots, Arc::new(secrets), watch::channel(None).1);
    let (renewed, shown) = watch::channel(Arc::new(tls));
    let hellos = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&hellos);
    let session = tasks.spawn(async move {
        let hello = move || {
            let mut hellos = counter.lock().unwrap();
            *hellos += 1;
            pb::Hello { running: format!("hello {hellos}"), ..Default::default() }
        };
        session.keep(&url, shown, hello).await;
    });
    World { streams, handle, hellos, believed, renewed, session, _state: state, _tasks: tasks }
}

#[tokio::test]
async fn what_became_of_secrets_is_said_and_they_come_before_what_is_assigned() {
    let mut world = world().await;
    let mut stream = world.streams.recv().await.unwrap();
    let Said::Hello(hello) = stream.hears().await else { panic!("a hello comes first") };
    assert_eq!((hello.sealing_key.len(), hello.secrets), (32, None));
    stream.welcome().await;
    stream.say(Heard::Secrets(pb::Secrets { sealed: b"junk".to_vec() })).await;
    stream.assign("envelope").await;
    let Said::SecretsPlaced(placed) = stream.hears().await else { panic!("they were offered") };
    assert_eq!(placed.held, None);
    assert!(placed.problem.contains("not enrolled"), "{}", placed.problem);
    let mut wanted = world.handle.assignments();
    in_time(wanted.wait_for(Option::is_some)).await.unwrap();
    world.session.abort();
}

#[tokio::test]
async fn the_session_is_connected_once_it_was_welcomed_and_no_longer() {
    let mut world = world().await;
    let mut stream = world.streams.recv().await.unwrap();
    assert!(matches!(stream.hears().await, Said::Hello(hello) if hello.running == "hello 1"));
    assert!(!world.handle.is_connected(), "nobody has said welcome yet");
    stream.welcome().await;
    world.handle.connected().await;
    assert!(world.handle.is_connected());

    let digest = floe_proto::digest::Digest::of(b"payload");
    let url = world.handle.locate(digest).await.unwrap();
    assert_eq!(url, format!("https://objects/{digest}"));

    drop(stream);
    let mut stream = world.streams.recv().await.unwrap();
    assert!(!world.handle.is_connected(), "the old stream proves nothing");
    assert!(matches!(stream.hears().await, Said::Hello(hello) if hello.running == "hello 2"));
    assert_eq!(*world.hellos.lock().unwrap(), 2);
    world.session.abort();
}

#[tokio::test]
async fn only_the_newest_assignment_is_seen_and_the_same_one_is_no_news() {
    let mut world = world().await;
    let mut wanted = world.handle.assignments();
    let mut stream = world.streams.recv().await.unwrap();
    stream.hears().await;
    stream.welcome().await;
    for envelope in ["one", "two", "three"] {
        stream.assign(envelope).await;
    }
    let newest = |wanted: &Option<crate::activation::ports::Assignment>| {
        wanted.as_ref().is_some_and(|assignment| assignment.envelope == b"three")
    };
    wanted.wait_for(newest).await.unwrap();
    wanted.mark_unchanged();

    drop(stream);
    let mut stream = world.streams.recv().await.unwrap();
    stream.hears().await;
    stream.welcome().await;
    stream.assign("three").await;
    // What comes after it shows that it was read.
    stream.say(Heard::ReportReceived(pb::ReportReceived { activation: "a-9".into() })).await;
    stream.assign("four").await;
    wanted.changed().await.unwrap();
    assert_eq!(wanted.borrow_and_update().as_ref().unwrap().envelope, b"four");
}

#[tokio::test]
async fn an_assignment_for_what_is_no_rollout_is_left_aside() {
    let mut world = world().await;
    let mut wanted = world.handle.assignments();
    let mut stream = world.streams.recv().await.unwrap();
    stream.hears().await;
    stream.welcome().await;
    stream.assign_for("r-7", "good").await;
    in_time(wanted.changed()).await.unwrap();
    wanted.mark_unchanged();
    for rollout in ["", "7", "r-7\u{1b}[2J", &"r-7".repeat(100_000)] {
        stream.assign_for(rollout, "bad").await;
    }
    // What comes after them shows that they were read.
    stream.say(Heard::RenewCertificate(pb::RenewCertificate { within_seconds: 9 })).await;
    let mut told = world.handle.told();
    in_time(told.wait_for(Option::is_some)).await.unwrap();
    assert!(!wanted.has_changed().unwrap());
}

#[tokio::test]
async fn a_report_is_sent_again_on_every_stream_until_it_is_acknowledged() {
    let mut world = world().await;
    let handle = world.handle.clone();
    let mut delivery = JoinSet::new();
    delivery.spawn(async move { handle.deliver(&report("a-1")).await });
    for _ in 0..2 {
        let mut stream = world.streams.recv().await.unwrap();
        stream.hears().await;
        stream.welcome().await;
        let Said::Report(report) = stream.hears().await else { panic!("no report") };
        assert_eq!((report.activation.as_str(), report.build_ms), ("a-1", 7));
        // The stream breaks before it is acknowledged.
    }
    let mut stream = world.streams.recv().await.unwrap();
    stream.hears().await;
    stream.welcome().await;
    assert!(matches!(stream.hears().await, Said::Report(_)));
    assert!(delivery.try_join_next().is_none(), "nobody has acknowledged it");
    stream.say(Heard::ReportReceived(pb::ReportReceived { activation: "a-1".into() })).await;
    delivery.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_told_last_arrives_before_the_process_ends() {
    let mut world = world().await;
    let mut stream = world.streams.recv().await.unwrap();
    stream.hears().await;
    stream.welcome().await;
    world.handle.connected().await;
    world.handle.tell(entered("handing over"));
    let reading = async {
        assert!(matches!(stream.hears().await, Said::Progress(p) if p.detail == "handing over"));
        assert!(stream.said.message().await.unwrap().is_none(), "the agent ended the stream");
        drop(stream);
    };
    tokio::join!(world.handle.close(), reading);
    assert!(!world.handle.is_connected());
}

/// Version `number`, signed as the one before it demands.
fn version(number: u32) -> Vec<u8> {
    trust::root(number, &[1], &[2], &[1])
}

#[tokio::test]
async fn t016_a_trust_root_is_in_force_before_what_comes_after_it() {
    let mut world = world().await;
    let mut wanted = world.handle.assignments();
    let mut stream = world.streams.recv().await.unwrap();
    assert!(matches!(stream.hears().await, Said::Hello(hello) if hello.root_version == 1));
    stream.welcome().await;
    stream.offer(version(3)).await;
    stream.offer(b"no envelope".to_vec()).await;
    stream.offer(version(2)).await;
    stream.assign("judged by version 2").await;
    wanted.changed().await.unwrap();
    assert_eq!(world.believed.borrow().root.version, 2);

    drop(stream);
    let mut stream = world.streams.recv().await.unwrap();
    assert!(matches!(stream.hears().await, Said::Hello(hello) if hello.root_version == 2));
}

#[tokio::test]
async fn t015_a_long_chain_is_walked_in_pieces() {
    let mut world = world().await;
    let mut at = 1;
    for end in [65, 129, 150] {
        let mut stream = world.streams.recv().await.unwrap();
        assert!(matches!(stream.hears().await, Said::Hello(hello) if hello.root_version == at));
        stream.welcome().await;
        // What is too much for one stream may find it closed.
        for number in at + 1..=150.min(end + 5) {
            let root = pb::TrustRoot { root_envelope: version(number) };
            let _ =
                stream.hear.send(Ok(pb::ToAgent { message: Some(Heard::TrustRoot(root)) })).await;
        }
        let reached = world.believed.wait_for(|believed| believed.root.version == end);
        drop(in_time(reached).await.unwrap());
        if end < 150 {
            assert!(
                stream.said.message().await.is_ok_and(|m| m.is_none()) || stream.hear.is_closed()
            );
        }
        at = end;
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_at_once_and_cuts_nobody_off() {
    let mut world = world().await;
    let mut first = world.streams.recv().await.unwrap();
    first.hears().await;
    first.welcome().await;
    world.handle.connected().await;
    let renewed = Arc::clone(&world.renewed.borrow());
    world.renewed.send_replace(renewed);
    let mut second = world.streams.recv().await.unwrap();
    assert!(matches!(second.hears().await, Said::Hello(hello) if hello.running == "hello 2"));
    assert!(world.handle.is_connected(), "by the stream of before, until this one is open");
    second.welcome().await;
    second.say(Heard::RenewCertificate(pb::RenewCertificate { within_seconds: 9 })).await;
    let mut told = world.handle.told();
    told.wait_for(|within| within == &Some(Duration::from_secs(9))).await.unwrap();
    assert_eq!(*world.handle.taken().borrow(), Some(true));
    drop(second.hear.send(Err(Status::permission_denied("revoked"))).await);
    world.handle.taken().wait_for(|taken| taken == &Some(false)).await.unwrap();
}
