//! Enrolment against a control plane in this process: real TLS, real gRPC.

use std::fs;
use std::sync::{Arc, Mutex};

use floe_proto::pb::enrolment_server::{Enrolment, EnrolmentServer};
use floe_proto::pb::{
    EnrolReply, EnrolRequest, RenewExpiredReply, RenewExpiredRequest, enrol_request,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

use super::{Enrolled, Store, Terms, obtain};
use crate::testing::Authority;

#[derive(Clone)]
struct Service {
    authority: Arc<Authority>,
    /// What is answered instead of a certificate, the first at the end.
    failures: Arc<Mutex<Vec<Status>>>,
    role: &'static str,
    asked: mpsc::UnboundedSender<EnrolRequest>,
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolReply>, Status> {
        let request = request.into_inner();
        let certificate = self.authority.sign(&request.certificate_request);
        let _ = self.asked.send(request);
        match self.failures.lock().unwrap().pop() {
            Some(status) => Err(status),
            None => Ok(Response::new(EnrolReply {
                certificate,
                role: self.role.to_owned(),
                ..EnrolReply::default()
            })),
        }
    }

    async fn renew_expired(
        &self,
        _: Request<RenewExpiredRequest>,
    ) -> Result<Response<RenewExpiredReply>, Status> {
        Err(Status::unimplemented("nobody here renews"))
    }
}

struct World {
    terms: Terms,
    asked: mpsc::UnboundedReceiver<EnrolRequest>,
    state: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

async fn world(role: &'static str, failures: Vec<Status>) -> World {
    let state = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::new());
    #[expect(clippy::disallowed_methods, reason = "a test asks a handful of times")]
    let (sender, asked) = mpsc::unbounded_channel();
    let failures = Arc::new(Mutex::new(failures));
    let service = Service { authority: Arc::clone(&authority), failures, role, asked: sender };
    let mut tasks = JoinSet::new();
    let control_plane = authority.serve(EnrolmentServer::new(service), &mut tasks).await;
    let terms = Terms {
        role: "www.fossable.org".parse().unwrap(),
        control_plane,
        ca: vec![authority.ca.clone()],
        state_directory: state.path().to_owned(),
    };
    World { terms, asked, state, _tasks: tasks }
}

impl World {
    fn join_with(&self, token: &str) {
        let text = format!("host = \"local-www-1\"\ntoken = \"{token}\"\n");
        let next = self.state.path().join("join.next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.state.path().join("join.toml")).unwrap();
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

#[tokio::test]
async fn a_token_becomes_an_identity_and_is_gone() {
    let mut world = world("www.fossable.org", vec![]).await;
    world.join_with("floe-join-1");
    let enrolled = obtain(&world.terms).await;
    assert_eq!(enrolled.host.as_str(), "local-www-1");
    assert_eq!(world.next_token().await, "floe-join-1");
    assert!(!world.has_join_file());

    let again = obtain(&world.terms).await;
    assert_eq!(again.identity.chain, enrolled.identity.chain, "nobody was asked again");
}

#[tokio::test]
async fn a_lost_reply_costs_nothing_since_the_key_stays_the_same() {
    let mut world = world("www.fossable.org", vec![Status::unavailable("lost")]).await;
    world.join_with("floe-join-1");
    obtain(&world.terms).await;
    let (first, second) = (world.asked.recv().await.unwrap(), world.asked.recv().await.unwrap());
    let key = |request: &EnrolRequest| {
        let der = request.certificate_request.as_slice().into();
        let request = rcgen::CertificateSigningRequestParams::from_der(&der).unwrap();
        rcgen::PublicKeyData::der_bytes(&request.public_key).to_vec()
    };
    assert_eq!(key(&first), key(&second));
}

#[tokio::test]
async fn a_refused_token_is_not_tried_again_but_another_one_is() {
    let mut world = world("www.fossable.org", vec![Status::unauthenticated("used")]).await;
    world.join_with("floe-join-1");
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms).await });
    assert_eq!(world.next_token().await, "floe-join-1");
    assert!(world.has_join_file() && world.on_disk().is_none());
    world.join_with("floe-join-2");
    enrolling.join_next().await.unwrap().unwrap();
    assert_eq!(world.next_token().await, "floe-join-2");
    assert!(world.on_disk().is_some());
}

#[tokio::test]
async fn another_role_on_record_is_refused_and_leaves_no_identity() {
    let mut world = world("db.fossable.org", vec![]).await;
    world.join_with("floe-join-1");
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms).await });
    assert_eq!(world.next_token().await, "floe-join-1");
    world.join_with("floe-join-2");
    // With an identity on the disk it would not ask again.
    assert_eq!(world.next_token().await, "floe-join-2");
    enrolling.shutdown().await;
    assert!(world.has_join_file() && world.on_disk().is_none());
}
