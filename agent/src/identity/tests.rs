//! Enrolment against a control plane in this process: real TLS, real gRPC.

use std::fs;
use std::sync::{Arc, Mutex};

use floe_proto::certificate::Certificate;
use floe_proto::pb::enrolment_server::{Enrolment, EnrolmentServer};
use floe_proto::pb::{
    EnrolReply, EnrolRequest, RenewExpiredReply, RenewExpiredRequest, enrol_request,
};
use floe_proto::spiffe::Subject;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

use super::{Attestation, Enrolled, Imds, Standing, Store, Terms, obtain};
use crate::testing::{Authority, Metadata, in_time};

#[path = "broken_tests.rs"]
mod broken;
#[path = "clock_tests.rs"]
mod clock;
#[path = "expired_tests.rs"]
mod expired;
#[path = "stranded_tests.rs"]
mod stranded;

#[derive(Clone)]
struct Service {
    authority: Arc<Authority>,
    /// What is answered instead of a certificate, the first at the end.
    failures: Arc<Mutex<Vec<Status>>>,
    role: &'static str,
    /// Whom the document is about.
    instance: &'static str,
    asked: mpsc::UnboundedSender<EnrolRequest>,
    renewed: Arc<Mutex<Vec<RenewExpiredRequest>>>,
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolReply>, Status> {
        let request = request.into_inner();
        let host = match request.host.as_str() {
            "" => self.instance.to_owned(),
            host => host.to_owned(),
        };
        let certificate = self.authority.sign(&request.certificate_request, &host.parse().unwrap());
        let _ = self.asked.send(request);
        match self.failures.lock().unwrap().pop() {
            Some(status) => Err(status),
            None => Ok(Response::new(EnrolReply {
                certificate,
                role: self.role.to_owned(),
                host,
                ..EnrolReply::default()
            })),
        }
    }

    async fn renew_expired(
        &self,
        request: Request<RenewExpiredRequest>,
    ) -> Result<Response<RenewExpiredReply>, Status> {
        if let Some(status) = self.failures.lock().unwrap().pop() {
            return Err(status);
        }
        let request = request.into_inner();
        let old = request.certificate.as_slice();
        let Subject::Host(host) = Certificate::read(old).unwrap().id.subject else { panic!() };
        let certificate = self.authority.sign(&request.certificate_request, &host);
        self.renewed.lock().unwrap().push(request);
        Ok(Response::new(RenewExpiredReply { certificate, issuers: vec![] }))
    }
}

const FLEET: &str = "fossable.org";

/// The instance that the tests run on, and another one.
const ITSELF: &str = "i-0000000000000000a";
const ANOTHER: &str = "i-0000000000000000b";

struct World {
    terms: Terms,
    asked: mpsc::UnboundedReceiver<EnrolRequest>,
    authority: Arc<Authority>,
    renewed: Arc<Mutex<Vec<RenewExpiredRequest>>>,
    state: tempfile::TempDir,
    tasks: JoinSet<()>,
}

async fn world(role: &'static str, failures: Vec<Status>) -> World {
    let state = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::new());
    #[expect(clippy::disallowed_methods, reason = "a test asks a handful of times")]
    let (sender, asked) = mpsc::unbounded_channel();
    let failures = Arc::new(Mutex::new(failures));
    let renewed = Arc::default();
    let service = Service {
        authority: Arc::clone(&authority),
        failures,
        role,
        instance: ITSELF,
        asked: sender,
        renewed: Arc::clone(&renewed),
    };
    let mut tasks = JoinSet::new();
    let control_plane = authority.serve(EnrolmentServer::new(service), &mut tasks).await;
    let terms = Terms {
        fleet: FLEET.parse().unwrap(),
        role: "www.fossable.org".parse().unwrap(),
        attestation: Attestation::Token,
        control_plane,
        ca: vec![authority.ca.clone()],
        state_directory: state.path().to_owned(),
        clock: Arc::new(rustls::time_provider::DefaultTimeProvider),
    };
    World { terms, asked, authority, renewed, state, tasks }
}

impl World {
    /// Leaves an identity on the disk, good until that year.
    fn save(&self, host: &str, year: i32) {
        let (store, host) = (Store::new(self.state.path()), host.parse().unwrap());
        let key = store.key().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let leaf = self.authority.sign_until(request.der(), &host, year);
        store.save(&host, &[leaf.into()]).unwrap();
    }

    fn join_with(&self, token: &str) {
        let text = format!("host = \"local-www-1\"\ntoken = \"{token}\"\n");
        let next = self.state.path().join("join.next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.state.path().join("join.toml")).unwrap();
    }

    /// Puts this machine on EC2, as `instance`.
    async fn on_ec2(&mut self, instance: &'static str) -> Arc<Metadata> {
        let metadata = Metadata::of(instance, b"signed");
        let imds = Imds::at(metadata.serve(&mut self.tasks).await);
        self.terms.attestation = Attestation::AwsIid(imds);
        metadata
    }

    async fn next_document(&mut self) -> EnrolRequest {
        let request = self.asked.recv().await.unwrap();
        let Some(enrol_request::Attestation::AwsIid(attested)) = &request.attestation else {
            panic!("no document");
        };
        assert_eq!(attested.pkcs7, b"signed");
        request
    }

    fn has_join_file(&self) -> bool {
        self.state.path().join("join.toml").exists()
    }

    fn on_disk(&self) -> Option<Enrolled> {
        Store::new(self.state.path()).load().unwrap()
    }

    async fn next_token(&mut self) -> String {
        let request = self.asked.recv().await.unwrap();
        let Some(enrol_request::Attestation::Token(token)) = request.attestation else {
            panic!("no token");
        };
        token
    }
}

/// The public key of a request.
fn key(request: &EnrolRequest) -> Vec<u8> {
    let der = request.certificate_request.as_slice().into();
    let request = rcgen::CertificateSigningRequestParams::from_der(&der).unwrap();
    rcgen::PublicKeyData::der_bytes(&request.public_key).to_vec()
}

#[tokio::test]
async fn a_token_becomes_an_identity_and_is_gone() {
    let mut world = world("www.fossable.org", vec![]).await;
    world.join_with("floe-join-1");
    let enrolled = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(enrolled.host.as_str(), "local-www-1");
    assert_eq!(world.next_token().await, "floe-join-1");
    assert!(!world.has_join_file());

    let again = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(again.identity.chain, enrolled.identity.chain, "nobody was asked again");
}

#[tokio::test]
async fn a_lost_reply_costs_nothing_since_the_key_stays_the_same() {
    let mut world = world("www.fossable.org", vec![Status::unavailable("lost")]).await;
    world.join_with("floe-join-1");
    obtain(&world.terms, Standing::Unknown).await;
    let (first, second) = (world.asked.recv().await.unwrap(), world.asked.recv().await.unwrap());
    assert_eq!(key(&first), key(&second));
}

#[tokio::test]
async fn a_refused_token_is_not_tried_again_but_another_one_is() {
    let mut world = world("www.fossable.org", vec![Status::unauthenticated("used")]).await;
    world.join_with("floe-join-1");
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
    assert_eq!(world.next_token().await, "floe-join-1");
    assert!(world.has_join_file() && world.on_disk().is_none());
    world.join_with("floe-join-2");
    enrolling.join_next().await.unwrap().unwrap();
    assert_eq!(world.next_token().await, "floe-join-2");
    assert!(world.on_disk().is_some());
}

#[tokio::test]
async fn a_key_that_is_refused_for_good_is_not_shown_again() {
    let taken = Status::already_exists("enrolled with another key");
    let mut world = world("www.fossable.org", vec![taken]).await;
    world.join_with("floe-join-1");
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
    let first = world.asked.recv().await.unwrap();
    world.join_with("floe-join-2");
    enrolling.join_next().await.unwrap().unwrap();
    assert_ne!(key(&world.asked.recv().await.unwrap()), key(&first));
}

#[tokio::test]
async fn another_role_on_record_is_refused_and_leaves_no_identity() {
    let mut world = world("db.fossable.org", vec![]).await;
    world.join_with("floe-join-1");
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
    assert_eq!(world.next_token().await, "floe-join-1");
    world.join_with("floe-join-2");
    // With an identity on the disk it would not ask again.
    assert_eq!(world.next_token().await, "floe-join-2");
    enrolling.shutdown().await;
    assert!(world.has_join_file() && world.on_disk().is_none());
}

#[tokio::test]
async fn a_document_becomes_an_identity_and_names_no_host_beside_it() {
    let mut world = world("www.fossable.org", vec![]).await;
    world.on_ec2(ITSELF).await;
    let enrolled = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(enrolled.host.as_str(), ITSELF);
    assert_eq!(world.next_document().await.host, "");
    let again = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(again.identity.chain, enrolled.identity.chain, "nobody was asked again");
}

#[tokio::test]
async fn who_has_to_be_approved_asks_again_with_the_same_key() {
    let waits = Status::failed_precondition("an operator has to approve it");
    let mut world = world("www.fossable.org", vec![waits]).await;
    world.on_ec2(ITSELF).await;
    obtain(&world.terms, Standing::Unknown).await;
    let (first, second) = (world.next_document().await, world.next_document().await);
    assert_eq!(key(&first), key(&second));
}

#[tokio::test]
async fn a_token_for_the_instance_is_a_way_in_as_well() {
    let waits = Status::failed_precondition("an operator has to approve it");
    let mut world = world("www.fossable.org", vec![waits]).await;
    world.on_ec2(ITSELF).await;
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
    world.next_document().await;
    let join = world.state.path().join("join.toml");
    fs::write(&join, format!("host = \"{ITSELF}\"\ntoken = \"floe-join-1\"\n")).unwrap();
    let enrolled = enrolling.join_next().await.unwrap().unwrap();
    assert_eq!(enrolled.host.as_str(), ITSELF);
    assert!(!world.has_join_file());
}

#[tokio::test]
async fn t079_a_copied_disk_enrols_as_itself_with_a_key_of_its_own() {
    let mut world = world("www.fossable.org", vec![]).await;
    let store = Store::new(world.state.path());
    let theirs = store.key().unwrap();
    world.save(ANOTHER, 2999);
    world.on_ec2(ITSELF).await;
    let enrolled = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(enrolled.host.as_str(), ITSELF);
    let asked = world.next_document().await;
    assert_ne!(key(&asked), rcgen::PublicKeyData::der_bytes(&theirs));
    assert!(world.state.path().join("identity.stray/host").exists(), "kept as evidence");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_taken() {
    let mut world = world("www.fossable.org", vec![]).await;
    // The control plane of this test answers for ITSELF whatever it is shown.
    world.on_ec2(ANOTHER).await;
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
    world.next_document().await;
    // It would not ask again with an identity.
    world.next_document().await;
    enrolling.shutdown().await;
    assert!(world.on_disk().is_none());
}

#[tokio::test]
async fn who_is_enrolled_stays_a_host_while_the_metadata_service_is_silent() {
    let mut world = world("www.fossable.org", vec![]).await;
    world.on_ec2(ITSELF).await;
    obtain(&world.terms, Standing::Unknown).await;
    let metadata = world.on_ec2(ITSELF).await;
    let off = "HTTP/1.1 403 Forbidden\r\n\r\n".to_owned();
    metadata.instead.lock().unwrap().push(("/latest/api/token", off));
    assert_eq!(obtain(&world.terms, Standing::Unknown).await.host.as_str(), ITSELF);
}
