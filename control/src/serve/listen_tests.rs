//! A whole control plane on loopback, spoken to as operators and machines do.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use floe_proto::digest::Digest;
use floe_proto::envelope::Envelope;
use floe_proto::id::Epoch;
use floe_proto::manifest::{self, Activation, Health, Kind, Manifest, Mode, Payload, Source};
use floe_proto::pb::enrolment_client::EnrolmentClient;
use floe_proto::pb::host_session_client::HostSessionClient;
use floe_proto::pb::operator_client::OperatorClient;
use floe_proto::pb::{self, enrol_request::Attestation};
use floe_proto::reboot::Reboot;
use floe_proto::transport::{self, Identity};
use floe_proto::version::AgentVersion;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::*;
use crate::trust::testing::{key, root, signed};

#[path = "arrival_tests.rs"]
mod arrivals;
#[path = "caller_tests.rs"]
mod callers;
#[path = "hostile_tests.rs"]
mod hostile;
#[path = "operator_tests.rs"]
mod operators;
#[path = "trust_tests.rs"]
mod trust;

#[path = "certificate_tests.rs"]
mod certificates;
#[path = "closure_tests.rs"]
mod closures;

const PAYLOAD: &[u8] = b"a payload";

fn trust_root() -> Vec<u8> {
    signed(&root(1, &[1], &[2]), &[1])
}

fn envelope(serial: u64, signer: u8) -> Vec<u8> {
    built_by("ada", serial, signer)
}

fn built_by(name: &str, serial: u64, signer: u8) -> Vec<u8> {
    let serial = serial.try_into().unwrap();
    let manifest = Manifest {
        schema: 1,
        fleet: "fossable.org".parse().unwrap(),
        role: "www".parse().unwrap(),
        epoch: Epoch::new(0),
        serial,
        floor: serial,
        payload: Payload {
            sha256: Digest::of(PAYLOAD),
            length: u64::try_from(PAYLOAD.len()).unwrap().try_into().unwrap(),
        },
        created: clock::now().whole_seconds(),
        expires: clock::now().after(Duration::from_secs(10_000)).whole_seconds(),
        kind: Kind::Configuration,
        system: "x86_64-linux".into(),
        min_agent: AgentVersion::new(0, 1, 0),
        entry: "role/configuration.nix".to_owned().try_into().unwrap(),
        activation: Activation {
            mode: Mode::TestThenCommit,
            deadline_seconds: 90,
            ignore_units: vec![],
            reboot: Reboot::default(),
        },
        health: Health { soak_seconds: 1, checks: vec![] },
        source: Source { revision: None, dirty: false, built_by: name.into() },
    };
    Envelope::sign(manifest::TYPE, &manifest.to_bytes().unwrap(), &[&key(signer)]).unwrap()
}

fn settings(data: &Path) -> ServeConfig {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let config = ServeConfig::new(data.into(), "fossable.org".parse().unwrap(), trust_root());
    ServeConfig { listen: any, objects_listen: any, ..config }
}

/// A running control plane, and how to end it.
struct Running {
    bound: Bound,
    end: oneshot::Sender<()>,
    task: JoinSet<Result<(), Error>>,
}

impl Running {
    async fn start(data: &Path) -> Self {
        Self::start_with(settings(data)).await
    }

    async fn start_with(config: ServeConfig) -> Self {
        let (sender, ready) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let mut task = JoinSet::new();
        task.spawn(serve(config, move |bound| sender.send(bound.clone()).unwrap(), async move {
            ended.await.unwrap()
        }));
        tokio::select! {
            bound = ready => Self { bound: bound.unwrap(), end, task },
            Some(ended) = task.join_next() => panic!("{:?}", ended.unwrap()),
        }
    }

    async fn stop(mut self) {
        self.end.send(()).unwrap();
        self.task.join_next().await.unwrap().unwrap().unwrap();
    }

    fn ca(&self) -> Vec<u8> {
        fs::read(self.bound.operator.join("ca.pem")).unwrap()
    }

    async fn channel(&self, identity: Option<Identity>) -> Channel {
        let ca = transport::certificates(&self.ca()).unwrap();
        let config =
            transport::client_config(&ca, &"fossable.org".parse().unwrap(), identity).unwrap();
        transport::connect(&self.bound.url, config).await.unwrap()
    }

    fn admin(&self) -> Identity {
        let file = |name: &str| fs::read(self.bound.operator.join(name)).unwrap();
        Identity::from_pem(&file("cert.pem"), &file("key.pem")).unwrap()
    }

    async fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::new(self.channel(Some(self.admin())).await)
    }

    async fn token(&self) -> String {
        let request = pb::CreateJoinTokenRequest { role: "www".into(), ..Default::default() };
        self.operator().await.create_join_token(request).await.unwrap().into_inner().token
    }

    async fn enrol(&self, host: &str, token: &str) -> Result<Identity, Status> {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let request = pb::EnrolRequest {
            certificate_request: request.der().to_vec(),
            host: host.into(),
            attestation: Some(Attestation::Token(token.into())),
        };
        let reply = EnrolmentClient::new(self.channel(None).await).enrol(request).await?;
        let reply = reply.into_inner();
        assert_eq!(reply.role, "www");
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Identity { chain: vec![reply.certificate.into()], key })
    }

    async fn begin(&self, envelope: Vec<u8>) -> Result<pb::BeginPublicationReply, Status> {
        let request = pb::BeginPublicationRequest { manifest_envelope: envelope };
        Ok(self.operator().await.begin_publication(request).await?.into_inner())
    }

    async fn finish(&self, manifest_digest: &str) -> Result<(), Status> {
        let request = pb::FinishPublicationRequest { manifest_digest: manifest_digest.to_owned() };
        self.operator().await.finish_publication(request).await.map(drop)
    }

    async fn upload(&self, begun: &pb::BeginPublicationReply) {
        let ca = transport::certificates(&self.ca()).unwrap();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(transport::https_config(&ca).unwrap())
            .build()
            .unwrap();
        let mut request = http.put(&begun.upload_url).body(PAYLOAD);
        for header in &begun.upload_headers {
            request = request.header(&header.name, &header.value);
        }
        assert!(request.send().await.unwrap().status().is_success());
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> Code {
    answer.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_with_a_token_becomes_a_host_and_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let token = running.token().await;
    let identity = running.enrol("local-a", &token).await.unwrap();
    assert_eq!(code(running.enrol("local-b", &token).await.map(drop)), Code::Unauthenticated);
    let other = running.token().await;
    assert_eq!(code(running.enrol("local-a", &other).await.map(drop)), Code::AlreadyExists);

    running.stop().await;
    let running = Running::start(dir.path()).await;
    let listed = running.operator().await.list_hosts(pb::ListHostsRequest::default()).await;
    let hosts = listed.unwrap().into_inner().hosts;
    let shown: Vec<_> = hosts.iter().map(|host| (host.id.as_str(), host.online)).collect();
    assert_eq!(shown, [("local-a", false)]);

    // The stream is open when the control plane goes: it must not hold it up.
    let mut session = HostSessionClient::new(running.channel(Some(identity)).await);
    let (sender, receiver) = mpsc::channel(4);
    let hello = pb::Hello { system: "x86_64-linux".into(), ..Default::default() };
    let hello = pb::FromAgent { message: Some(pb::from_agent::Message::Hello(hello)) };
    sender.send(hello).await.unwrap();
    let stream = session.open(ReceiverStream::new(receiver)).await.unwrap();
    let mut stream = stream.into_inner();
    let welcome = stream.message().await.unwrap().unwrap().message;
    assert!(matches!(welcome, Some(pb::to_agent::Message::Welcome(_))), "{welcome:?}");
    let request = pb::ShowHostRequest { host: "local-a".into() };
    let shown = running.operator().await.show_host(request).await.unwrap().into_inner();
    assert!(shown.host.unwrap().online);
    running.stop().await;
    assert!(stream.message().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_was_signed_and_its_payload_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    assert_eq!(code(running.begin(envelope(1, 3)).await), Code::FailedPrecondition);
    assert_eq!(code(running.begin(b"no envelope".to_vec()).await), Code::FailedPrecondition);

    let signed = envelope(5, 2);
    let begun = running.begin(signed.clone()).await.unwrap();
    assert_eq!(code(running.finish(&begun.manifest_digest).await), Code::FailedPrecondition);
    let newest = || pb::NewestManifestRequest { role: "www".into() };
    let mut operator = running.operator().await;
    assert_eq!(code(operator.newest_manifest(newest()).await), Code::NotFound);
    let start =
        |serial| pb::StartRolloutRequest { role: "www".into(), serial, ..Default::default() };
    assert_eq!(code(operator.start_rollout(start(5)).await), Code::NotFound);

    running.upload(&begun).await;
    running.finish(&begun.manifest_digest).await.unwrap();
    let found = operator.newest_manifest(newest()).await.unwrap().into_inner();
    assert_eq!(found.manifest_envelope, signed);
    // The same signed bytes are the same manifest: that is no conflict.
    assert_eq!(running.begin(signed).await.unwrap().upload_url, "");
    for taken in [envelope(4, 2), built_by("eve", 5, 2)] {
        assert_eq!(code(running.begin(taken).await), Code::AlreadyExists);
    }
    // The payload is there already, so it is not asked for again.
    assert_eq!(running.begin(envelope(6, 2)).await.unwrap().upload_url, "");

    let rollout = operator.start_rollout(start(5)).await.unwrap().into_inner();
    let by_role = pb::ShowRolloutRequest { rollout: "www".into() };
    assert_eq!(operator.show_rollout(by_role).await.unwrap().into_inner().id, rollout.id);
    let nonsense = pb::ShowRolloutRequest { rollout: "no/role".into() };
    assert_eq!(code(operator.show_rollout(nonsense).await), Code::InvalidArgument);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_a_rollout_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let begun = running.begin(envelope(1, 2)).await.unwrap();
    running.upload(&begun).await;
    running.finish(&begun.manifest_digest).await.unwrap();
    let mut operator = running.operator().await;
    let start = pb::StartRolloutRequest { role: "www".into(), serial: 1, ..Default::default() };
    let rollout = operator.start_rollout(start).await.unwrap().into_inner().id;
    let watch = operator.watch_rollout(pb::ShowRolloutRequest { rollout }).await;
    let mut watch = watch.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let begun = tokio::time::Instant::now();
    running.stop().await;
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!matches!(watch.message().await, Ok(Some(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_tokens_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    for _ in 0..5 {
        let answer = running.enrol("local-a", "floe-join-guess").await;
        assert_eq!(code(answer.map(drop)), Code::Unauthenticated);
    }
    let answer = running.enrol("local-a", "floe-join-guess").await;
    assert_eq!(code(answer.map(drop)), Code::ResourceExhausted);
    let token = running.token().await;
    let answer = running.enrol("local-a", &token).await;
    assert_eq!(code(answer.map(drop)), Code::ResourceExhausted);
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = async |config| {
        let error = serve(config, |_| {}, std::future::pending()).await.unwrap_err();
        (error.to_string(), error.advice())
    };
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let (text, advice) = refusal(ServeConfig { listen, ..settings(dir.path()) }).await;
    assert_eq!(text, format!("could not listen on {listen} for gRPC: the port is in use"));
    assert!(advice.contains("--listen"));

    let everywhere = ([0, 0, 0, 0], 0).into();
    let (_, advice) = refusal(ServeConfig { listen: everywhere, ..settings(dir.path()) }).await;
    assert!(advice.contains("--public-url"));
    let public_url = Some("http://localhost".to_owned());
    let (text, _) = refusal(ServeConfig { public_url, ..settings(dir.path()) }).await;
    assert!(text.starts_with("`http://localhost` is no URL"), "{text}");

    let fleet = "example.org".parse().unwrap();
    let (text, _) = refusal(ServeConfig { fleet, ..settings(dir.path()) }).await;
    assert_eq!(text, "the trust root is of the fleet `fossable.org`, not of `example.org`");

    let running = Running::start(dir.path()).await;
    let (text, _) = refusal(settings(dir.path())).await;
    assert!(text.ends_with("is in use by another floe"), "{text}");
    running.stop().await;
    fs::write(dir.path().join("version"), "7\n").unwrap();
    let (text, _) = refusal(settings(dir.path())).await;
    assert!(text.contains("data directory of a newer version (7;"), "{text}");
}
