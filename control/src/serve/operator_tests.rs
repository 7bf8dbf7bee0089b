//! Operators are added, log in, do things, are revoked; and what is left of it in the log.

use floe_proto::login::{self, Login};
use floe_proto::pb::login_client::LoginClient;
use floe_proto::pb::operators_client::OperatorsClient;
use floe_proto::time::Timestamp;

use super::*;
use crate::operator::OperatorRole;
use crate::store::Chain;

/// What somebody says to log in.
struct Said {
    name: &'static str,
    signer: u8,
    fleet: &'static str,
    /// How long ago they signed it, in seconds.
    ago: u64,
    /// Whether they signed for another request.
    other: bool,
}

impl Said {
    fn by(name: &'static str, signer: u8) -> Self {
        Self { name, signer, fleet: "fossable.org", ago: 0, other: false }
    }

    fn request(&self, csr: &[u8]) -> pb::LogInRequest {
        let now = clock::now().as_micros() - i64::try_from(self.ago).unwrap() * 1_000_000;
        let login = Login {
            schema: login::SCHEMA,
            fleet: self.fleet.parse().unwrap(),
            operator: self.name.into(),
            request: Digest::of(if self.other { b"another" } else { csr }),
            created: Timestamp::from_micros(now).whole_seconds(),
        };
        let bytes = login.to_bytes().unwrap();
        pb::LogInRequest {
            operator: self.name.into(),
            certificate_request: csr.to_vec(),
            login_envelope: Envelope::sign(login::TYPE, &bytes, &[&key(self.signer)]).unwrap(),
        }
    }
}

/// A key for a name, so that no two operators share one.
fn seed(name: &str) -> u8 {
    name.bytes().fold(40, u8::wrapping_add)
}

impl Running {
    async fn operators(&self) -> OperatorsClient<Channel> {
        OperatorsClient::new(self.channel(Some(self.admin())).await)
    }

    async fn add(&self, name: &str, role: OperatorRole, signer: u8) -> Result<(), Status> {
        let request = pb::AddOperatorRequest {
            name: name.into(),
            role: role.to_string(),
            login_key: key(signer).public().into(),
        };
        self.operators().await.add(request).await.map(drop)
    }

    async fn log_in(&self, said: &Said) -> Result<Identity, Status> {
        let pair = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&pair).unwrap();
        let request = said.request(csr.der());
        let reply = LoginClient::new(self.channel(None).await).log_in(request).await?.into_inner();
        let chain = reply.chain.into_iter().map(Into::into).collect();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        Ok(Identity { chain, key })
    }

    /// A new operator, logged in.
    pub(super) async fn logged_in(&self, name: &'static str, role: OperatorRole) -> Identity {
        self.add(name, role, seed(name)).await.unwrap();
        self.log_in(&Said::by(name, seed(name))).await.unwrap()
    }

    async fn revoke(&self, name: &str) -> Result<(), Status> {
        let request = pb::RevokeOperatorRequest { name: name.into() };
        self.operators().await.revoke(request).await.map(drop)
    }

    async fn log(&self) -> Vec<pb::AuditRow> {
        let reply = self.operators().await.audit(pb::AuditRequest::default()).await;
        reply.unwrap().into_inner().rows
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t069_a_login_needs_the_operators_key_on_this_request_now() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    running.add("ada", OperatorRole::Deployer, 7).await.unwrap();
    running.add("bob", OperatorRole::Admin, 8).await.unwrap();
    running.log_in(&Said::by("ada", 7)).await.unwrap();
    let refusal = async |said: Said| code(running.log_in(&said).await.map(drop));
    assert_eq!(refusal(Said::by("ada", 8)).await, Code::Unauthenticated);
    let stale = Said { ago: 400, ..Said::by("ada", 7) };
    assert_eq!(refusal(stale).await, Code::Unauthenticated);
    let other_fleet = Said { fleet: "example.org", ..Said::by("ada", 7) };
    assert_eq!(refusal(other_fleet).await, Code::Unauthenticated);
    let other_request = Said { other: true, ..Said::by("ada", 7) };
    assert_eq!(refusal(other_request).await, Code::Unauthenticated);
    // A login that says another name inside than outside.
    let mut swapped = Said::by("ada", 7).request(b"");
    swapped.operator = "bob".into();
    let mut login = LoginClient::new(running.channel(None).await);
    assert_eq!(code(login.log_in(swapped).await), Code::Unauthenticated);
    // Five were too many, even for who would be let in.
    assert_eq!(refusal(Said::by("ada", 7)).await, Code::ResourceExhausted);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t084_no_operator_logs_in_all_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    running.add("ada", OperatorRole::Deployer, 7).await.unwrap();
    for _ in 0..30 {
        running.log_in(&Said::by("ada", 7)).await.unwrap();
    }
    let more = running.log_in(&Said::by("ada", 7)).await.map(drop);
    assert_eq!(code(more), Code::ResourceExhausted);
    // That is hers alone.
    running.logged_in("bob", OperatorRole::Viewer).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t082_a_revoked_operator_is_out_at_once_and_the_last_admin_stays() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    assert_eq!(code(running.revoke("admin").await), Code::FailedPrecondition);
    let dan = running.logged_in("dan", OperatorRole::Deployer).await;
    let begun = running.begin(envelope(1, 2)).await.unwrap();
    running.upload(&begun).await;
    running.finish(&begun.manifest_digest).await.unwrap();
    let mut operator = OperatorClient::new(running.channel(Some(dan)).await);
    let start = pb::StartRolloutRequest { role: "www".into(), serial: 1, ..Default::default() };
    let rollout = operator.start_rollout(start).await.unwrap().into_inner().id;
    let watch = operator.watch_rollout(pb::ShowRolloutRequest { rollout }).await;
    let mut watch = watch.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());

    running.revoke("dan").await.unwrap();
    let ended = timeout(Duration::from_secs(1), watch.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::PermissionDenied);
    let listed = operator.list_hosts(pb::ListHostsRequest::default()).await;
    assert_eq!(code(listed), Code::PermissionDenied);
    let again = running.log_in(&Said::by("dan", seed("dan"))).await;
    assert_eq!(code(again.map(drop)), Code::Unauthenticated);
    // The same name, added anew, is not who had it: the old certificate stays out.
    running.add("dan", OperatorRole::Admin, seed("dan")).await.unwrap();
    let listed = operator.list_hosts(pb::ListHostsRequest::default()).await;
    assert_eq!(code(listed), Code::PermissionDenied);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_added_and_revoked_is_so_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let ada = running.logged_in("ada", OperatorRole::Admin).await;
    let admin = running.admin();
    let mut operators = OperatorsClient::new(running.channel(Some(ada.clone_it())).await);
    operators.revoke(pb::RevokeOperatorRequest { name: "admin".into() }).await.unwrap();
    running.stop().await;

    let running = Running::start(dir.path()).await;
    let list = async |identity| {
        let mut operators = OperatorsClient::new(running.channel(Some(identity)).await);
        operators.list(pb::ListOperatorsRequest::default()).await
    };
    assert_eq!(code(list(admin).await), Code::PermissionDenied);
    let listed = list(ada).await.unwrap().into_inner().operators;
    let names: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.role.as_str())).collect();
    assert_eq!(names, [("ada", "admin")]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_that_changes_something_is_in_the_log_refused_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let vic = running.logged_in("vic", OperatorRole::Viewer).await;
    let mut viewer = OperatorClient::new(running.channel(Some(vic)).await);
    let token = pb::CreateJoinTokenRequest { role: "www".into(), ..Default::default() };
    assert_eq!(code(viewer.create_join_token(token).await), Code::PermissionDenied);
    running.enrol("local-a", &running.token().await).await.unwrap();
    assert_eq!(
        code(running.enrol("local-b", "floe-join-x").await.map(drop)),
        Code::Unauthenticated
    );
    assert_eq!(code(running.begin(envelope(1, 3)).await), Code::FailedPrecondition);

    let rows = running.log().await;
    let said: Vec<_> = rows
        .iter()
        .map(|row| {
            [&row.actor, &row.role, &row.action, &row.target, &row.outcome].map(|s| s.as_str())
        })
        .collect();
    let key_id = key(seed("vic")).public().id();
    let added = format!("vic as viewer, key {key_id}");
    assert_eq!(
        said,
        [
            ["control", "", "trusted", "trust root version 1", "ok"],
            ["control", "", "made", "issuer 1", "ok"],
            ["control", "", "began", "operator/admin", "ok"],
            ["operator/admin", "admin", "Operators/Add", &added, "ok"],
            ["", "", "Login/LogIn", "vic", "ok"],
            ["operator/vic", "viewer", "Operator/CreateJoinToken", "", "permission-denied"],
            ["operator/admin", "admin", "Operator/CreateJoinToken", "www for any host", "ok"],
            ["", "", "Enrolment/Enrol", "local-a", "ok"],
            ["", "", "Enrolment/Enrol", "local-b", "unauthenticated"],
            ["operator/admin", "admin", "Operator/BeginPublication", "", "failed-precondition"],
        ]
    );
    assert!(rows.iter().skip(3).all(|row| row.address == "127.0.0.1" && row.at > 0));
    assert_eq!(rows.last().unwrap().hash.len(), 64);
    assert_ne!(Chain::start().hash.to_string(), rows.last().unwrap().hash);
    running.stop().await;
}

trait CloneIt {
    fn clone_it(&self) -> Self;
}

impl CloneIt for Identity {
    fn clone_it(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}
