//! Who calls, and who may call what: one table.
//!
//! TLS has proved by now that a certificate is of our CA and that the caller holds
//! its key; this file reads whom it speaks for. A certificate that is not exactly
//! as we issue them speaks for nobody.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use floe_proto::id::{Fleet, HostId};
use floe_proto::spiffe::{SpiffeId, Subject};
use tonic::{Request, Status};
use x509_parser::extensions::GeneralName;

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
            Err(Status::unauthenticated("this needs a certificate of the fleet's CA"))
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
        let peer = peer(&request)?;
        may_call(peer.subject(), self)?;
        Ok(request)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    subject: Option<Arc<Subject>>,
}

impl Peer {
    /// Reads whom the (already verified) certificate speaks for.
    pub(super) fn new(address: SocketAddr, certificate: Option<&[u8]>, fleet: &Fleet) -> Self {
        let subject = certificate.and_then(|der| subject_of(der, fleet)).map(Arc::new);
        Self { address, subject }
    }

    fn subject(&self) -> Option<&Subject> {
        self.subject.as_deref()
    }
}

/// The host that calls. For handlers of [`Service::HostSession`]; whether it is
/// still on record is the store's to say.
pub fn host<T>(request: &Request<T>) -> Result<HostId, Status> {
    match peer(request)?.subject() {
        Some(Subject::Host(id)) => Ok(id.clone()),
        Some(Subject::Operator(_) | Subject::Control) | None => {
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
fn subject_of(certificate: &[u8], fleet: &Fleet) -> Option<Subject> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else { return None };
    let id: SpiffeId = uri.parse().ok()?;
    (rest.is_empty() && id.fleet == *fleet && !certificate.is_ca()).then_some(id.subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::enrol::ca::Authority;

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
        assert_eq!(subject_of(certificate, &fleet), ada);
        assert_eq!(subject_of(certificate, &"example.org".parse().unwrap()), None);
        assert_eq!(subject_of(authority.root(), &fleet), None);
        assert_eq!(subject_of(b"no certificate", &fleet), None);

        let names = [rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
        let control = authority.issue_control(&names, now).unwrap().identity();
        assert_eq!(subject_of(control.chain.first().unwrap(), &fleet), None);
    }
}
