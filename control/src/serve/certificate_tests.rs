//! Certificates of hosts through the wire: renewed, expired, revoked, of a retired
//! issuer.

use rcgen::SigningKey as _;

use super::*;
use floe_proto::pb::authority_client::AuthorityClient;
use tonic::Streaming;

use crate::store::Store;

#[path = "theft_tests.rs"]
mod thefts;

/// A machine's key, and the identity that it has by it.
pub(super) struct Machine {
    key: KeyPair,
    certificate: Vec<u8>,
}

impl Machine {
    pub(super) fn new(key: KeyPair, certificate: Vec<u8>) -> Self {
        Self { key, certificate }
    }

    fn identity(&self) -> Identity {
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        Identity { chain: vec![self.certificate.clone().into()], key }
    }
}

fn request(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

impl Running {
    async fn machine(&self, host: &str) -> Machine {
        let key = KeyPair::generate().unwrap();
        let request = pb::EnrolRequest {
            certificate_request: request(&key),
            host: host.into(),
            attestation: Some(Attestation::Token(self.token().await)),
        };
        let reply = EnrolmentClient::new(self.channel(None).await).enrol(request).await.unwrap();
        let reply = reply.into_inner();
        assert_eq!(reply.issuers.len(), 1);
        Machine::new(key, reply.certificate)
    }

    pub(super) async fn renew(&self, machine: &Machine, new: &KeyPair) -> Result<Vec<u8>, Status> {
        let mut session = HostSessionClient::new(self.channel(Some(machine.identity())).await);
        let asked = pb::RenewRequest { certificate_request: request(new) };
        Ok(session.renew(asked).await?.into_inner().certificate)
    }

    async fn renew_expired(&self, machine: &Machine, new: &KeyPair) -> Result<Vec<u8>, Status> {
        let certificate_request = request(new);
        let fleet = "fossable.org".parse().unwrap();
        let message = floe_proto::renewal::message(&fleet, &certificate_request);
        let asked = pb::RenewExpiredRequest {
            certificate: machine.certificate.clone(),
            issuers: Vec::new(),
            certificate_request,
            proof: machine.key.sign(&message).unwrap(),
        };
        let mut enrolment = EnrolmentClient::new(self.channel(None).await);
        Ok(enrolment.renew_expired(asked).await?.into_inner().certificate)
    }

    /// Any call of a host that says whether it is listened to.
    async fn is_heard(&self, machine: &Machine) -> Result<(), Status> {
        let mut session = HostSessionClient::new(self.channel(Some(machine.identity())).await);
        let payload_digest = Digest::of(PAYLOAD).to_string();
        let answer = session.locate_payload(pb::LocatePayloadRequest { payload_digest }).await;
        match answer.map_err(|status| (status.code(), status)) {
            Ok(_) | Err((Code::NotFound, _)) => Ok(()),
            Err((_, status)) => Err(status),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_key_is_listened_to_until_the_new_one_was_used() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let first = running.machine("local-a").await;
    let second = KeyPair::generate().unwrap();
    assert_eq!(code(running.renew(&first, &first.key).await), Code::InvalidArgument);
    let lost = running.renew(&first, &second).await.unwrap();
    running.is_heard(&first).await.unwrap();
    let certificate = running.renew(&first, &second).await.unwrap();
    assert_ne!(lost, certificate);
    for certificate in [lost, certificate] {
        let second = KeyPair::from_pem(&second.serialize_pem()).unwrap();
        running.is_heard(&Machine::new(second, certificate)).await.unwrap();
    }
    assert_eq!(code(running.is_heard(&first).await), Code::PermissionDenied);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t081_an_expired_certificate_renews_by_its_key_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    // Expired as soon as it is there.
    let config = ServeConfig { host_lifetime: Duration::ZERO, ..settings(dir.path()) };
    let running = Running::start_with(config).await;
    let old = running.machine("local-a").await;
    let new = KeyPair::generate().unwrap();
    let thief = Machine::new(KeyPair::generate().unwrap(), old.certificate.clone());
    assert_eq!(code(running.renew_expired(&thief, &new).await), Code::Unauthenticated);
    let certificate = running.renew_expired(&old, &new).await.unwrap();
    // The reply may be lost here as well.
    running.renew_expired(&old, &new).await.unwrap();
    running.renew_expired(&Machine::new(new, certificate), &thief.key).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t080_a_stolen_key_that_comes_back_is_refused_and_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let machine = running.machine("local-a").await;
    let (thief, host) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    running.renew(&machine, &thief).await.unwrap();
    assert_eq!(code(running.renew(&machine, &host).await), Code::PermissionDenied);
    running.stop().await;
    let store = Store::open(&dir.path().join("floe.sqlite")).await.unwrap();
    let record = store.host(&"local-a".parse().unwrap()).await.unwrap().unwrap();
    assert!(record.standing.conflict.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t077_a_renewal_takes_the_key_of_a_request_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let machine = running.machine("local-a").await;
    let new = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["evil.example.org".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let greedy = params.serialize_request(&new).unwrap();
    let mut session = HostSessionClient::new(running.channel(Some(machine.identity())).await);
    let asked = pb::RenewRequest { certificate_request: greedy.der().to_vec() };
    let renewed = session.renew(asked).await.unwrap().into_inner().certificate;
    let (_, parsed) = x509_parser::parse_x509_certificate(&renewed).unwrap();
    assert!(!parsed.is_ca());
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    let names: Vec<_> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["URI(spiffe://fossable.org/host/local-a)"]);
    let mut unproven = greedy.der().to_vec();
    *unproven.last_mut().unwrap() ^= 1;
    let asked = pb::RenewRequest { certificate_request: unproven };
    assert_eq!(code(session.renew(asked).await), Code::InvalidArgument);
    running.stop().await;
}

impl Running {
    async fn authority(&self) -> AuthorityClient<Channel> {
        AuthorityClient::new(self.channel(Some(self.admin())).await)
    }

    /// A host's open stream, after the welcome.
    pub(super) async fn session(&self, machine: &Machine, process: &str) -> Open {
        self.try_session(machine, process).await.unwrap()
    }

    async fn try_session(&self, machine: &Machine, process: &str) -> Result<Open, Status> {
        let mut session = HostSessionClient::new(self.channel(Some(machine.identity())).await);
        let (says, receiver) = mpsc::channel(4);
        let hello = pb::Hello { process: process.into(), ..Default::default() };
        let hello = pb::FromAgent { message: Some(pb::from_agent::Message::Hello(hello)) };
        says.send(hello).await.unwrap();
        let hears = session.open(ReceiverStream::new(receiver)).await?.into_inner();
        let mut open = Open { hears, _says: says };
        assert!(matches!(open.hear().await, Ok(pb::to_agent::Message::Welcome(_))));
        Ok(open)
    }

    async fn shown(&self, host: &str) -> pb::Host {
        let request = pb::ShowHostRequest { host: host.into() };
        self.operator().await.show_host(request).await.unwrap().into_inner().host.unwrap()
    }
}

pub(super) struct Open {
    hears: Streaming<pb::ToAgent>,
    _says: mpsc::Sender<pb::FromAgent>,
}

impl Open {
    pub(super) async fn hear(&mut self) -> Result<pb::to_agent::Message, Status> {
        let heard = timeout(Duration::from_secs(5), self.hears.message()).await;
        Ok(heard.expect("it is told at once")?.unwrap().message.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t082_a_revoked_host_is_cut_within_a_second_and_refused_ever_after() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let machine = running.machine("local-a").await;
    let mut open = running.session(&machine, "").await;
    let revoke = || pb::RevokeHostRequest { host: "local-a".into(), reason: "stolen".into() };
    running.authority().await.revoke_host(revoke()).await.unwrap();
    let cut = timeout(Duration::from_secs(1), open.hears.message()).await.unwrap();
    assert_eq!(cut.unwrap_err().code(), Code::PermissionDenied);

    assert_eq!(code(running.is_heard(&machine).await), Code::PermissionDenied);
    let new = KeyPair::generate().unwrap();
    assert_eq!(code(running.renew(&machine, &new).await), Code::PermissionDenied);
    assert_eq!(code(running.renew_expired(&machine, &new).await), Code::PermissionDenied);
    let shown = running.shown("local-a").await;
    assert!(shown.revoked > 0 && !shown.online);
    assert_eq!(shown.revoked_reason, "stolen");
    // A second time is no other time.
    let again = running.authority().await.revoke_host(revoke()).await.unwrap().into_inner();
    assert_eq!(again.revoked, shown.revoked);
    let nobody = pb::RevokeHostRequest { host: "local-b".into(), reason: String::new() };
    assert_eq!(code(running.authority().await.revoke_host(nobody).await), Code::NotFound);

    // A token for any host does not let it back, one for exactly this host does.
    let any = running.token().await;
    assert_eq!(code(running.enrol("local-a", &any).await.map(drop)), Code::AlreadyExists);
    let request = pb::CreateJoinTokenRequest {
        role: "www".into(),
        host: "local-a".into(),
        ..Default::default()
    };
    let exact = running.operator().await.create_join_token(request).await.unwrap();
    running.enrol("local-a", &exact.into_inner().token).await.unwrap();
    assert_eq!(running.shown("local-a").await.revoked, 0);
    assert_eq!(code(running.is_heard(&machine).await), Code::PermissionDenied);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_host_is_lost_by_a_rotation_and_a_retired_issuer_is_believed_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let old = running.machine("local-a").await;
    let mut open = running.session(&old, "").await;
    let mut authority = running.authority().await;
    let rotate = pb::RotateIssuerRequest { within_seconds: 7 };
    let rotated = authority.rotate_issuer(rotate).await.unwrap().into_inner();
    assert_eq!((rotated.number, rotated.told), (2, 1));
    let told = pb::to_agent::Message::RenewCertificate(pb::RenewCertificate { within_seconds: 7 });
    assert_eq!(open.hear().await.unwrap(), told);
    // Who comes later with such a certificate is told as well.
    let mut late = running.session(&old, "").await;
    assert_eq!(late.hear().await.unwrap(), told);

    let retire = |force| pb::RetireIssuerRequest { number: 1, force };
    let refused = authority.retire_issuer(retire(false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().starts_with("1 hosts"), "{}", refused.message());
    let current = pb::RetireIssuerRequest { number: 2, force: true };
    assert_eq!(code(authority.retire_issuer(current).await), Code::FailedPrecondition);

    let key = KeyPair::generate().unwrap();
    let certificate = running.renew(&old, &key).await.unwrap();
    let new = Machine::new(key, certificate);
    let mut open = running.session(&new, "").await;
    let shown = authority.show_authority(pb::ShowAuthorityRequest {}).await.unwrap().into_inner();
    let hosts: Vec<_> = shown.issuers.iter().map(|it| (it.number, it.current, it.hosts)).collect();
    assert_eq!(hosts, [(1, false, 0), (2, true, 1)]);
    // With the admin's new certificate, as the connection of the old one is cut.
    let retired = running.authority().await.retire_issuer(retire(false)).await;
    assert_eq!(retired.unwrap().into_inner().lost, 0);
    running.is_heard(&new).await.unwrap();
    assert!(authority.show_authority(pb::ShowAuthorityRequest {}).await.is_err());
    assert!(running.try_heard(&old).await.is_err());
    let other = KeyPair::generate().unwrap();
    assert_eq!(code(running.renew_expired(&old, &other).await), Code::Unauthenticated);
    // Nothing happened to the stream of who renewed in time.
    assert!(timeout(Duration::from_millis(100), open.hears.message()).await.is_err());
    running.stop().await;
}

impl Running {
    async fn try_heard(&self, machine: &Machine) -> Result<(), String> {
        let channel = self.try_channel(Some(machine.identity())).await;
        let mut session = HostSessionClient::new(channel.map_err(|error| error.to_string())?);
        let asked = pb::LocatePayloadRequest { payload_digest: Digest::of(PAYLOAD).to_string() };
        match session.locate_payload(asked).await {
            Err(status) if status.code() != Code::NotFound => Err(status.to_string()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t134_two_machines_with_one_identity_are_on_record_until_somebody_looks() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let machine = running.machine("local-a").await;
    let first = running.session(&machine, "one").await;
    let _second = running.session(&machine, "two").await;
    drop(first);
    let _back = running.session(&machine, "one").await;
    let conflict = async |running: &Running| {
        for _ in 0..100 {
            let shown = running.shown("local-a").await;
            if shown.conflict > 0 {
                return shown.conflict_reason;
            }
        }
        panic!("the conflict is on record")
    };
    assert!(conflict(&running).await.contains("take turns"));
    running.stop().await;

    let running = Running::start(dir.path()).await;
    conflict(&running).await;
    let resolve = || pb::ResolveHostRequest { host: "local-a".into() };
    running.authority().await.resolve_host(resolve()).await.unwrap();
    assert_eq!(running.shown("local-a").await.conflict, 0);
    let nothing = running.authority().await.resolve_host(resolve()).await;
    assert_eq!(code(nothing), Code::FailedPrecondition);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t085_a_stream_does_not_outlive_the_certificate_that_opened_it() {
    let dir = tempfile::tempdir().unwrap();
    let lifetime = Duration::from_secs(3);
    let config = ServeConfig { host_lifetime: lifetime, ..settings(dir.path()) };
    let running = Running::start_with(config).await;
    let machine = running.machine("local-a").await;
    let mut open = running.session(&machine, "").await;
    let ended = timeout(lifetime + Duration::from_secs(3), open.hears.message()).await;
    assert!(ended.expect("it ends").is_err());
    running.stop().await;
}
