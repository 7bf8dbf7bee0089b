//! The gate before a handler that only says that it was reached.

use std::time::Duration;

use floe_proto::id::Fleet;
use http_body::Body as _;
use tokio::sync::{Semaphore, mpsc};
use tower::service_fn;

use super::*;
use crate::enrol::ca::Authority;
use crate::operator::OperatorRole;
use crate::serve::auth;
use crate::store::{AuditQuery, AuditRecord, OperatorCertificate, OperatorRecord};

/// A gate, and who may be seen before it.
struct Scene {
    gate: Gate,
    roster: Roster,
    store: Store,
    authority: Authority,
    fleet: Fleet,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (dir, fleet): (_, Fleet) =
            (tempfile::tempdir().unwrap(), "fossable.org".parse().unwrap());
        let store = Store::open(&dir.path().join("floe.sqlite")).await.unwrap();
        let roster = Roster::open(store.clone(), clock::now()).await.unwrap();
        let authority = Authority::open(dir.path(), &fleet, clock::now()).unwrap();
        let gate = Gate::new(roster.clone(), store.clone());
        Self { gate, roster, store, authority, fleet, _dir: dir }
    }

    /// Who connects with a new certificate for the operator `name`.
    fn certified(&self, name: &str) -> Peer {
        let identity = self.authority.issue_operator(name, clock::now()).unwrap().identity();
        let certificate = identity.chain.first().map(AsRef::as_ref);
        Peer::new(([192, 0, 2, 1], 1).into(), certificate, &self.fleet)
    }

    /// Puts an operator on record, and logs them in.
    async fn operator(&self, name: &str, role: OperatorRole) -> Peer {
        let (peer, now) = (self.certified(name), clock::now());
        let record = OperatorRecord {
            name: name.into(),
            role,
            key: None,
            added: now,
            added_by: "admin".into(),
            last_login: None,
            revoked: None,
        };
        self.roster.add(&record).await.unwrap();
        let speaker = peer.speaker_at(now).unwrap();
        let certificate = OperatorCertificate {
            key: speaker.key,
            operator: name.into(),
            issued: now,
            expires: speaker.expires,
        };
        assert!(self.roster.log_in(certificate, None).await.unwrap());
        peer
    }

    /// Calls `path`; the handler says that the call is about `www`.
    async fn call(&self, peer: &Peer, path: &str) -> Result<Response<Body>, Status> {
        let handler = service_fn(|request: Request<Body>| async {
            auth::about(&tonic::Request::from_http(request), "www");
            Ok(Response::new(Body::empty()))
        });
        let answer = self.gate.layer(handler).call(request(peer, path)).await.unwrap();
        match Status::from_header_map(answer.headers()) {
            None => Ok(answer),
            Some(status) => Err(status),
        }
    }

    async fn log(&self) -> Vec<AuditRecord> {
        let all = AuditQuery { limit: 100, ..AuditQuery::default() };
        self.store.audit_log(&all).await.unwrap()
    }
}

fn request(peer: &Peer, path: &str) -> Request<Body> {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(peer.clone());
    request
}

const LIST: &str = "/floe.v1.Operator/ListHosts";
const START: &str = "/floe.v1.Operator/StartRollout";
const TOKEN: &str = "/floe.v1.Operator/CreateJoinToken";

#[tokio::test]
async fn t086_a_role_reaches_what_it_may_and_a_path_that_is_not_listed_nobody() {
    let scene = Scene::new().await;
    let nobody = Peer::new(([192, 0, 2, 1], 1).into(), None, &scene.fleet);
    let viewer = scene.operator("vic", OperatorRole::Viewer).await;
    let deployer = scene.operator("dan", OperatorRole::Deployer).await;
    let admin = scene.operator("ada", OperatorRole::Admin).await;
    // Of our CA, and never on record.
    let forged = scene.certified("ada");
    for (peer, allowed) in [
        (&nobody, [false, false, false]),
        (&forged, [false, false, false]),
        (&viewer, [true, false, false]),
        (&deployer, [true, true, false]),
        (&admin, [true, true, true]),
    ] {
        for (path, allowed) in [LIST, START, TOKEN].into_iter().zip(allowed) {
            assert_eq!(scene.call(peer, path).await.is_ok(), allowed, "{path} by {peer:?}");
        }
        for path in ["/floe.v1.Operator/Nothing", "/grpc.health.v1.Health/Check", "/"] {
            let refusal = scene.call(peer, path).await.unwrap_err();
            assert_eq!(refusal.code(), Code::Unimplemented, "{path}");
        }
    }
}

#[tokio::test]
async fn what_changes_something_is_written_down_whatever_comes_of_it() {
    let scene = Scene::new().await;
    let viewer = scene.operator("vic", OperatorRole::Viewer).await;
    let admin = scene.operator("ada", OperatorRole::Admin).await;
    scene.call(&admin, LIST).await.unwrap();
    scene.call(&admin, START).await.unwrap();
    scene.call(&viewer, START).await.unwrap_err();
    let log = scene.log().await;
    let said: Vec<_> = log
        .iter()
        .map(|AuditRecord { entry, .. }| {
            [&entry.actor, &entry.role, &entry.action, &entry.target, &entry.outcome]
                .map(String::as_str)
        })
        .collect();
    assert_eq!(
        said,
        [
            ["operator/ada", "admin", "Operator/StartRollout", "www", "ok"],
            ["operator/vic", "viewer", "Operator/StartRollout", "", "permission-denied"],
        ]
    );
    assert!(log.iter().all(|record| record.entry.address == "192.0.2.1"));
}

#[tokio::test]
async fn who_leaves_early_is_written_down_all_the_same() {
    let scene = Scene::new().await;
    let admin = scene.operator("ada", OperatorRole::Admin).await;
    let (reached, mut was_reached) = mpsc::channel(1);
    let go_on = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&go_on);
    let handler = service_fn(move |_: Request<Body>| {
        let (reached, waits) = (reached.clone(), Arc::clone(&waits));
        async move {
            reached.send(()).await.unwrap();
            drop(waits.acquire().await.unwrap());
            Ok(Response::new(Body::empty()))
        }
    });
    let mut call = scene.gate.layer(handler).call(request(&admin, START));
    tokio::select! {
        _ = &mut call => panic!("it waits"),
        found = was_reached.recv() => found.unwrap(),
    }
    drop(call);
    go_on.add_permits(1);
    scene.gate.finish().await;
    assert_eq!(scene.log().await.len(), 1);
}

#[tokio::test]
async fn t082_a_revoked_operator_is_refused_and_their_open_stream_ends() {
    let scene = Scene::new().await;
    scene.operator("ada", OperatorRole::Admin).await;
    let dan = scene.operator("dan", OperatorRole::Deployer).await;
    let handler = service_fn(|_: Request<Body>| async { Ok(Response::new(Body::new(Silent))) });
    let watch = scene.gate.layer(handler).call(request(&dan, LIST)).await.unwrap();
    let mut body = watch.into_body();
    let mut frame =
        std::pin::pin!(std::future::poll_fn(|context| { Pin::new(&mut body).poll_frame(context) }));
    assert!(futures_util::poll!(frame.as_mut()).is_pending());
    scene.roster.revoke("dan", "ada", clock::now()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), frame).await.unwrap();
    let trailers = ended.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::PermissionDenied);
    assert_eq!(scene.call(&dan, LIST).await.unwrap_err().code(), Code::PermissionDenied);
}

/// A stream that is open and has nothing to say.
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Pending
    }
}
