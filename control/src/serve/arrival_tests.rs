//! An instance of EC2 enrols, or does not: the whole way, with a played AWS.

use floe_proto::pb::admission_client::AdmissionClient;

use super::certificates::Machine;
use super::*;
use crate::enrol::attest::{AwsConfig, Metadata, Policy};
use crate::enrol::played::{AWS, Ec2Api, described, document};

const A: &str = "i-0aaaaaaaaaaaaaaaa";
const B: &str = "i-0bbbbbbbbbbbbbbbb";
const IMAGE: &str = "ami-0123456789abcdef0";

/// A control plane that enrols instances, and the AWS that it asks.
struct Played {
    running: Running,
    api: Ec2Api,
    _dir: tempfile::TempDir,
}

impl Played {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = Ec2Api::start().await;
        let file = dir.path().join("aws.pem");
        fs::write(&file, &AWS.pem).unwrap();
        let region: crate::enrol::instance::Region = "eu-central-1".parse().unwrap();
        let aws = AwsConfig {
            policy: Policy {
                accounts: ["123456789012".parse().unwrap()].into(),
                regions: [region.clone()].into(),
                metadata: Metadata::Guarded,
            },
            certificates: vec![(region, file)],
            endpoint: Some(api.endpoint()),
        };
        let config = ServeConfig { aws, ..settings(&dir.path().join("data")) };
        Self { running: Running::start_with(config).await, api, _dir: dir }
    }

    async fn admission(&self) -> AdmissionClient<Channel> {
        AdmissionClient::new(self.running.channel(Some(self.running.admin())).await)
    }

    async fn image_is(&self, role: &str) {
        let request =
            pb::AddImageRequest { id: IMAGE.into(), role: role.into(), ..Default::default() };
        self.admission().await.add_image(request).await.unwrap();
    }

    /// AWS knows `instance`, which was launched now.
    fn launched(&self, instance: &str) -> Vec<u8> {
        let now = clock::now().whole_seconds();
        self.api.say(200, described(instance, now));
        AWS.sign(&document(instance, &now.to_string()))
    }

    async fn ask(&self, pkcs7: &[u8], key: &KeyPair, host: &str) -> Result<pb::EnrolReply, Status> {
        let request = CertificateParams::default().serialize_request(key).unwrap();
        let request = pb::EnrolRequest {
            certificate_request: request.der().to_vec(),
            host: host.into(),
            attestation: Some(Attestation::AwsIid(pb::AwsIid { pkcs7: pkcs7.to_vec() })),
        };
        let mut client = EnrolmentClient::new(self.running.channel(None).await);
        Ok(client.enrol(request).await?.into_inner())
    }

    async fn decide(&self, host: &str, role: &str) -> Result<pb::PendingHost, Status> {
        let request =
            pb::DecideRequest { host: host.into(), key: String::new(), role: role.into() };
        Ok(self.admission().await.approve_host(request).await?.into_inner())
    }
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t066_t072_t076_an_instance_enrols_once_with_its_images_role() {
    let fleet = Played::start().await;
    fleet.image_is("www").await;
    let (blob, first) = (fleet.launched(A), key());
    // What it says about itself gives it nothing.
    assert_eq!(code(fleet.ask(&blob, &first, "local-db").await), Code::InvalidArgument);
    let reply = fleet.ask(&blob, &first, "").await.unwrap();
    assert_eq!((reply.host.as_str(), reply.role.as_str()), (A, "www"));
    assert!(!reply.issuers.is_empty());

    // The same document, with another key: an operator decides, and once.
    let second = key();
    assert_eq!(code(fleet.ask(&blob, &second, A).await), Code::FailedPrecondition);
    let pending = fleet.admission().await.list_pending(pb::ListPendingRequest {}).await;
    let pending = pending.unwrap().into_inner().hosts;
    assert_eq!((pending.len(), pending[0].host.as_str(), pending[0].role.as_str()), (1, A, "www"));
    fleet.decide(A, "").await.unwrap();
    assert_eq!(fleet.ask(&blob, &second, A).await.unwrap().role, "www");
    assert_eq!(code(fleet.decide(A, "").await), Code::NotFound);
    assert_eq!(code(fleet.ask(&blob, &first, A).await), Code::FailedPrecondition);
    fleet.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t061_t062_t067_who_is_not_believed_is_not_even_kept() {
    let fleet = Played::start().await;
    let stranger = crate::enrol::played::Aws::new();
    let forged = stranger.sign(&document(A, &clock::now().whole_seconds().to_string()));
    assert_eq!(code(fleet.ask(&forged, &key(), A).await), Code::Unauthenticated);
    let ahead = clock::now().after(Duration::from_secs(120)).whole_seconds();
    let ahead = AWS.sign(&document(A, &ahead.to_string()));
    assert_eq!(code(fleet.ask(&ahead, &key(), A).await), Code::PermissionDenied);
    let other = fleet.launched(B);
    let blob = fleet.launched(A);
    assert_eq!(code(fleet.ask(&other, &key(), B).await), Code::PermissionDenied);
    let pending = fleet.admission().await.list_pending(pb::ListPendingRequest {}).await;
    assert!(pending.unwrap().into_inner().hosts.is_empty());

    // An honest one whose image nobody put on record waits for a role.
    assert_eq!(code(fleet.ask(&blob, &key(), "").await), Code::FailedPrecondition);
    assert_eq!(code(fleet.decide(A, "").await), Code::FailedPrecondition);
    assert_eq!(fleet.decide(A, "db").await.unwrap().role, "db");
    fleet.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t075_while_aws_cannot_be_asked_everybody_may_try_again() {
    let fleet = Played::start().await;
    fleet.image_is("www").await;
    let (blob, key) = (fleet.launched(A), key());
    fleet.api.fail(503, "RequestLimitExceeded");
    assert_eq!(code(fleet.ask(&blob, &key, "").await), Code::Unavailable);
    let hosts = fleet.running.operator().await.list_hosts(pb::ListHostsRequest::default()).await;
    assert!(hosts.unwrap().into_inner().hosts.is_empty());
    let blob = fleet.launched(A);
    fleet.ask(&blob, &key, "").await.unwrap();
    fleet.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t084_an_instance_that_waits_does_not_ask_all_the_time_nor_in_its_neighbours_place() {
    let fleet = Played::start().await;
    fleet.image_is("www").await;
    let (neighbour, key) = (fleet.launched(B), key());
    let blob = fleet.launched(A);
    fleet.ask(&blob, &key, "").await.unwrap();
    let questions = fleet.api.questions();
    let other = KeyPair::generate().unwrap();
    for _ in 0..10 {
        assert_eq!(code(fleet.ask(&blob, &other, "").await), Code::FailedPrecondition);
    }
    assert_eq!(code(fleet.ask(&blob, &other, "").await), Code::ResourceExhausted);
    assert_eq!(fleet.api.questions(), questions + 10);
    // What one is refused with a genuine document is no attack of its address.
    assert_eq!(code(fleet.ask(&neighbour, &key, "").await), Code::PermissionDenied);
    fleet.launched(B);
    fleet.ask(&neighbour, &key, "").await.unwrap();
    fleet.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t084_an_answer_that_was_lost_is_not_given_for_ever() {
    let fleet = Played::start().await;
    fleet.image_is("www").await;
    let (blob, key) = (fleet.launched(A), key());
    for _ in 0..11 {
        fleet.ask(&blob, &key, "").await.unwrap();
    }
    assert_eq!(code(fleet.ask(&blob, &key, "").await), Code::ResourceExhausted);
    fleet.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_accounts_no_instance_enrols() {
    let dir = tempfile::tempdir().unwrap();
    let (running, api) = (Running::start(dir.path()).await, Ec2Api::start().await);
    let fleet = Played { running, api, _dir: dir };
    let blob = fleet.launched(A);
    assert_eq!(code(fleet.ask(&blob, &key(), "").await), Code::PermissionDenied);
    fleet.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t080_who_is_let_in_anew_has_left_its_conflict_behind() {
    let fleet = Played::start().await;
    let running = &fleet.running;
    fleet.image_is("www").await;
    let (blob, first) = (fleet.launched(A), key());
    let reply = fleet.ask(&blob, &first, "").await.unwrap();
    let machine = Machine::new(first, reply.certificate);
    running.renew(&machine, &key()).await.unwrap();
    assert_eq!(code(running.renew(&machine, &key()).await), Code::PermissionDenied);

    let second = key();
    assert_eq!(code(fleet.ask(&blob, &second, A).await), Code::FailedPrecondition);
    fleet.decide(A, "").await.unwrap();
    let reply = fleet.ask(&blob, &second, A).await.unwrap();
    let mut open = running.session(&Machine::new(second, reply.certificate), "").await;
    let begun = running.begin(envelope(1, 2)).await.unwrap();
    running.upload(&begun).await;
    running.finish(&begun.manifest_digest).await.unwrap();
    let start = pb::StartRolloutRequest { role: "www".into(), serial: 1, ..Default::default() };
    running.operator().await.start_rollout(start).await.unwrap();
    assert!(matches!(open.hear().await, Ok(pb::to_agent::Message::Assignment(_))));
    fleet.running.stop().await;
}
