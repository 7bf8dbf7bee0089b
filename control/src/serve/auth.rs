//! Who calls, and who may call what: one table.
//!
//! TLS has proved by now that a certificate is of our CA and that the caller holds
//! its key; this file reads whom it speaks for. A certificate that is not exactly
//! as we issue them speaks for nobody, and neither does one that has expired since:
//! connections and TLS sessions last longer than a handshake.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use floe_proto::digest::Digest;
use floe_proto::id::{Fleet, HostId};
use floe_proto::spiffe::{SpiffeId, Subject};
use floe_proto::time::Timestamp;
use tonic::{Request, Status};
use x509_parser::extensions::GeneralName;

use crate::clock;

/// The services, as far as it matters who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A machine becomes a host.
    Enrolment,
    /// A host's stream.
    HostSession,
    /// What an operator can ask.
    Operator,
}

/// THE table: whether `subject` may call `service`.
fn may_call(subject: Option<&Subject>, service: Service) -> Result<(), Status> {
    match (service, subject) {
        (Service::Enrolment, _)
        | (Service::HostSession, Some(Subject::Host(_)))
        | (Service::Operator, Some(Subject::Operator(_))) => Ok(()),
        (Service::HostSession | Service::Operator, None) => {
            Err(Status::unauthenticated("this needs a valid certificate of the fleet's CA"))
        }
        (Service::HostSession, Some(Subject::Operator(_) | Subject::Control)) => {
            Err(Status::permission_denied("this is for hosts only"))
        }
        (Service::Operator, Some(Subject::Host(_) | Subject::Control)) => {
            Err(Status::permission_denied("this is for operators only"))
        }
    }
}

impl Service {
    /// Lets a request pass, or refuses it by the table; a tonic interceptor.
    pub fn admit(self, request: Request<()>) -> Result<Request<()>, Status> {
        may_call(peer(&request)?.subject_at(clock::now()), self)?;
        Ok(request)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    speaker: Option<Arc<Speaker>>,
}

/// Whom a certificate speaks for.
#[derive(Debug, PartialEq, Eq)]
struct Speaker {
    subject: Subject,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    key: Digest,
    /// From when on it speaks for nobody.
    expires: Timestamp,
}

/// A host that calls, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// SHA-256 of the key that it holds; to be compared with the one on record.
    pub key: Digest,
}

impl Peer {
    /// Reads whom the (already verified) certificate speaks for.
    pub(super) fn new(address: SocketAddr, certificate: Option<&[u8]>, fleet: &Fleet) -> Self {
        let speaker = certificate.and_then(|der| speaker(der, fleet)).map(Arc::new);
        Self { address, speaker }
    }

    /// Whom it spoke for when it connected; `None` for a stranger.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.speaker.as_ref().map(|speaker| &speaker.subject)
    }

    fn subject_at(&self, now: Timestamp) -> Option<&Subject> {
        let speaker = self.speaker.as_ref().filter(|speaker| now < speaker.expires)?;
        Some(&speaker.subject)
    }
}

/// The host that calls. For handlers of [`Service::HostSession`]; whether it is
/// still on record, and with this key, is the store's to say.
pub fn host<T>(request: &Request<T>) -> Result<Host, Status> {
    match peer(request)?.speaker.as_deref() {
        Some(Speaker { subject: Subject::Host(id), key, .. }) => {
            Ok(Host { id: id.clone(), key: *key })
        }
        Some(Speaker { subject: Subject::Operator(_) | Subject::Control, .. }) | None => {
            Err(Status::permission_denied("this is for hosts only"))
        }
    }
}

/// The operator who calls. For handlers of [`Service::Operator`].
pub fn operator<T>(request: &Request<T>) -> Result<String, Status> {
    match peer(request)?.subject() {
        Some(Subject::Operator(name)) => Ok(name.clone()),
        Some(Subject::Host(_) | Subject::Control) | None => {
            Err(Status::permission_denied("this is for operators only"))
        }
    }
}

/// Where the call comes from.
pub fn address<T>(request: &Request<T>) -> Result<IpAddr, Status> {
    Ok(peer(request)?.address.ip())
}

fn peer<T>(request: &Request<T>) -> Result<&Peer, Status> {
    // Every connection of `accept` has one.
    request.extensions().get::<Peer>().ok_or_else(|| Status::internal("the caller is unknown"))
}

/// X.509-SVID, section 5.2: exactly one URI SAN, and it is a SPIFFE id. A client's
/// has no other names, and is of our fleet.
fn speaker(certificate: &[u8], fleet: &Fleet) -> Option<Speaker> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else { return None };
    let id: SpiffeId = uri.parse().ok()?;
    if !rest.is_empty() || id.fleet != *fleet || certificate.is_ca() {
        return None;
    }
    let not_after = certificate.validity().not_after.timestamp();
    Some(Speaker {
        subject: id.subject,
        key: Digest::of(certificate.public_key().raw),
        expires: Timestamp::from_micros(not_after.saturating_mul(1_000_000)),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::enrol::ca::{Authority, HOST_LIFETIME, RequestedKey};

    #[test]
    fn the_table_lets_each_kind_into_its_own_service_only() {
        let host = Subject::Host("local-a".parse().unwrap());
        let operator = Subject::Operator("ada".into());
        let callers = [None, Some(&host), Some(&operator), Some(&Subject::Control)];
        let allowed = |service| callers.map(|caller| may_call(caller, service).is_ok());
        assert_eq!(allowed(Service::Enrolment), [true, true, true, true]);
        assert_eq!(allowed(Service::HostSession), [false, true, false, false]);
        assert_eq!(allowed(Service::Operator), [false, false, true, false]);
    }

    #[test]
    fn who_has_no_certificate_is_told_apart_from_who_has_the_wrong_one() {
        let code = |caller| may_call(caller, Service::Operator).unwrap_err().code();
        assert_eq!(code(None), tonic::Code::Unauthenticated);
        assert_eq!(code(Some(&Subject::Control)), tonic::Code::PermissionDenied);
    }

    #[test]
    fn a_certificate_speaks_for_its_one_id_in_its_own_fleet() {
        let (dir, now) = (tempfile::tempdir().unwrap(), clock::now());
        let fleet: Fleet = "fossable.org".parse().unwrap();
        let authority = Authority::open(dir.path(), &fleet, now).unwrap();
        let identity = authority.issue_operator("ada", now).unwrap().identity();
        let certificate = identity.chain.first().unwrap();
        let ada = Some(Subject::Operator("ada".into()));
        let subject_of = |der: &[u8], fleet: &_| speaker(der, fleet).map(|found| found.subject);
        assert_eq!(subject_of(certificate, &fleet), ada);
        assert_eq!(subject_of(certificate, &"example.org".parse().unwrap()), None);
        assert_eq!(subject_of(authority.root(), &fleet), None);
        assert_eq!(subject_of(b"no certificate", &fleet), None);

        let names = [rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
        let control = authority.issue_control(&names, now).unwrap().identity();
        assert_eq!(subject_of(control.chain.first().unwrap(), &fleet), None);
    }

    #[test]
    fn t085_a_certificate_that_expires_on_an_open_connection_speaks_for_nobody() {
        let (dir, now) = (tempfile::tempdir().unwrap(), clock::now());
        let fleet: Fleet = "fossable.org".parse().unwrap();
        let authority = Authority::open(dir.path(), &fleet, now).unwrap();
        let (pair, id) = (rcgen::KeyPair::generate().unwrap(), "local-a".parse().unwrap());
        let request = rcgen::CertificateParams::default().serialize_request(&pair).unwrap();
        let key = RequestedKey::from_request(request.der()).unwrap();
        let issued = authority.issue_host(&id, &key, now).unwrap();
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), Some(&issued.certificate), &fleet);
        let end = now.after(HOST_LIFETIME);
        let before = Timestamp::from_micros(end.as_micros() - 2_000_000);
        assert!(peer.subject_at(before).is_some());
        assert_eq!(peer.subject_at(end.after(Duration::from_secs(1))), None);

        let mut request = Request::new(());
        request.extensions_mut().insert(peer);
        assert_eq!(host(&request).unwrap(), Host { id, key: key.digest() });
    }
}
