//! Certificates of hosts through the wire: renewed, expired, of a retired issuer.

use rcgen::SigningKey as _;

use super::*;
use crate::store::Store;

/// A machine's key, and the identity that it has by it.
struct Machine {
    key: KeyPair,
    certificate: Vec<u8>,
}

impl Machine {
    fn new(key: KeyPair, certificate: Vec<u8>) -> Self {
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

    async fn renew(&self, machine: &Machine, new: &KeyPair) -> Result<Vec<u8>, Status> {
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
