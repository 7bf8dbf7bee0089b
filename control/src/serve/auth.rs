//! Who calls. What they may call is in [`super::table`].
//!
//! TLS has proved by now that a certificate is of our CA and that the caller holds
//! its key; this file reads whom it speaks for. A certificate that is not exactly
//! as we issue them speaks for nobody, and neither does one that has expired since:
//! connections and TLS sessions last longer than a handshake.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::{Fleet, HostId};
use floe_proto::spiffe::{SpiffeId, Subject};
use floe_proto::time::Timestamp;
use tonic::{Request, Status};
use x509_parser::extensions::GeneralName;

use crate::operator::OperatorRole;

/// Who calls, as far as it matters for what they may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// No certificate that speaks for anybody.
    Nobody,
    /// A host.
    Host(HostId),
    /// An operator.
    Operator {
        /// Their name.
        name: String,
        /// Their role; `None` where the certificate is not on record as theirs.
        role: Option<OperatorRole>,
    },
    /// The control plane, which calls nobody.
    Control,
}

impl Caller {
    /// For the audit log; empty for nobody.
    pub(super) fn actor(&self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Host(id) => format!("host/{id}"),
            Self::Operator { name, .. } => format!("operator/{name}"),
            Self::Control => "control".to_owned(),
        }
    }

    /// An operator's role, for the audit log; else empty.
    pub(super) fn role(&self) -> &'static str {
        match self {
            Self::Operator { role: Some(role), .. } => role.as_str(),
            Self::Operator { role: None, .. } | Self::Nobody | Self::Host(_) | Self::Control => "",
        }
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
pub(super) struct Speaker {
    /// Who.
    pub(super) subject: Subject,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub(super) key: Digest,
    /// From when on it speaks for nobody.
    pub(super) expires: Timestamp,
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

    /// One that speaks for whom a test says.
    #[cfg(test)]
    pub(super) fn played(address: IpAddr, speaker: Option<Speaker>) -> Self {
        Self { address: SocketAddr::new(address, 1), speaker: speaker.map(Arc::new) }
    }

    /// Whom it spoke for when it connected; `None` for a stranger.
    pub(super) fn spoke(&self) -> Option<&Speaker> {
        self.speaker.as_deref()
    }

    /// Whom it speaks for now; `None` for a stranger, and once it has expired.
    pub(super) fn speaker_at(&self, now: Timestamp) -> Option<&Arc<Speaker>> {
        self.speaker.as_ref().filter(|speaker| now < speaker.expires)
    }

    /// For how long its certificate is good still; `None` for a stranger.
    pub(super) fn left(&self, now: Timestamp) -> Option<Duration> {
        self.speaker.as_ref().map(|speaker| speaker.expires.since(now))
    }

    /// Where it connected from.
    pub(super) fn address(&self) -> IpAddr {
        self.address.ip()
    }
}

/// The host that calls. For handlers of what hosts may call; whether it is still on
/// record, and with this key, is the store's to say.
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

/// The host that a certificate speaks for which was verified elsewhere than in a
/// handshake.
pub fn host_of(certificate: &[u8], fleet: &Fleet) -> Option<Host> {
    match speaker(certificate, fleet)? {
        Speaker { subject: Subject::Host(id), key, .. } => Some(Host { id, key }),
        Speaker { subject: Subject::Operator(_) | Subject::Control, .. } => None,
    }
}

/// The operator who calls. For handlers of what operators may call.
pub fn operator<T>(request: &Request<T>) -> Result<String, Status> {
    match peer(request)?.speaker.as_deref() {
        Some(Speaker { subject: Subject::Operator(name), .. }) => Ok(name.clone()),
        Some(Speaker { subject: Subject::Host(_) | Subject::Control, .. }) | None => {
            Err(Status::permission_denied("this is for operators only"))
        }
    }
}

/// Where the call comes from.
pub fn address<T>(request: &Request<T>) -> Result<IpAddr, Status> {
    Ok(peer(request)?.address())
}

/// Says what a call is about, for the audit log: a role, a host, a serial. The first
/// word stands. Where the request is taken apart before that is known, [`topic`].
pub fn about<T>(request: &Request<T>, what: impl Display) {
    topic(request).is(what);
}

/// Where to say later what a call is about.
pub fn topic<T>(request: &Request<T>) -> Topic {
    request.extensions().get::<Topic>().cloned().unwrap_or_default()
}

/// What one call is about, for the audit log.
#[derive(Clone, Debug, Default)]
pub struct Topic(Arc<OnceLock<String>>);

impl Topic {
    /// Says it.
    pub fn is(&self, what: impl Display) {
        let _ = self.0.set(what.to_string());
    }

    /// What was said.
    pub(super) fn text(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }
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
    use super::*;
    use crate::clock;
    use crate::enrol::ca::{Authority, HOST_LIFETIME, RequestedKey};

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
        assert!(peer.speaker_at(before).is_some());
        assert_eq!(peer.speaker_at(end.after(Duration::from_secs(1))), None);

        let mut request = Request::new(());
        request.extensions_mut().insert(peer);
        assert_eq!(host(&request).unwrap(), Host { id, key: key.digest() });
    }
}
