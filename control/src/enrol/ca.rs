//! The fleet's CA: a long-lived root that everybody pins, issuers under it
//! ([`super::issuers`]), and the certificates that the newest of those gives.
//!
//! Each certificate has exactly one URI SAN, the SPIFFE id of whom it speaks for,
//! and an empty subject (X.509-SVID, section 2). Hosts and operators get
//! certificates for clients, the control plane alone one for servers. Of a
//! request (CSR) only the public key is used, after its self-signature was
//! checked. The root's key is needed for the next issuer only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use floe_proto::digest::Digest;
use floe_proto::id::{Fleet, HostId};
use floe_proto::spiffe::{SpiffeId, Subject};
use floe_proto::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use super::credentials::{Credentials, written};
use super::issuers::{IssuerNumber, Issuers};
use crate::durable::write_file;

#[path = "ca_error.rs"]
mod error;

pub use error::Error;

/// How long a host's certificate lives, unless the control plane is told otherwise.
pub const HOST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long a login lasts: a day's work.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The fleet's CA.
pub struct Authority {
    fleet: Fleet,
    directory: PathBuf,
    host_lifetime: Duration,
    root_pem: String,
    root: CertificateDer<'static>,
    issuers: watch::Sender<Issuers>,
}

impl Authority {
    /// Reads root and issuers from `directory`, or makes them at the first start.
    pub fn open(directory: &Path, fleet: &Fleet, now: Timestamp) -> Result<Self, Error> {
        let root_path = directory.join("root.pem");
        // A crash between the two files leaves the key, from which the other is made.
        let (root_pem, began) = match read(&root_path)? {
            Some(pem) => (pem, false),
            None => (make_root(directory, fleet, now)?, true),
        };
        let unreadable = || Error::Unreadable { path: root_path.clone() };
        let root = floe_proto::transport::certificates(root_pem.as_bytes())
            .map_err(|_| unreadable())?
            .into_iter()
            .next()
            .ok_or_else(unreadable)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&root).map_err(|_| unreadable())?;
        if let Some(pem) = read(&directory.join("root.key"))?.map(Zeroizing::new)
            && let key = KeyPair::from_pem(&pem).map_err(|_| unreadable())?
            && parsed.public_key().raw != key.subject_public_key_info()
        {
            return Err(unreadable());
        }
        let issuers = Issuers::open(directory, &root, began, fleet, now)?;
        Ok(Self {
            fleet: fleet.clone(),
            directory: directory.to_owned(),
            host_lifetime: HOST_LIFETIME,
            root_pem,
            root,
            issuers: watch::Sender::new(issuers),
        })
    }

    /// The same, with another lifetime for certificates of hosts.
    #[must_use]
    pub fn with_host_lifetime(self, host_lifetime: Duration) -> Self {
        Self { host_lifetime, ..self }
    }

    /// How long a host's certificate lives.
    pub fn host_lifetime(&self) -> Duration {
        self.host_lifetime
    }

    /// The root certificate, as hosts and operators pin it.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root certificate, which those who call the control plane trust.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// When the root expires.
    pub fn root_expires(&self) -> Timestamp {
        let parsed = x509_parser::parse_x509_certificate(&self.root);
        let end = parsed.map_or(0, |(_, root)| root.validity().not_after.timestamp());
        Timestamp::from_micros(end.saturating_mul(1_000_000))
    }

    /// Whether the root's key is there.
    pub fn has_root_key(&self) -> bool {
        self.directory.join("root.key").exists()
    }

    /// Who may sign, as it stands; changes when somebody rotates or retires.
    pub fn issuers(&self) -> watch::Receiver<Issuers> {
        self.issuers.subscribe()
    }

    /// Makes the next issuer. From now on it signs; the others are still believed.
    pub fn rotate(&self, now: Timestamp) -> Result<IssuerNumber, Error> {
        self.change(|issuers| issuers.make_next(&self.directory, &self.root, &self.fleet, now))
    }

    /// Believes an issuer no more. Not the one that signs now.
    pub fn retire(&self, number: IssuerNumber, now: Timestamp) -> Result<(), Error> {
        self.change(|issuers| issuers.retire(&self.directory, number, now))
    }

    /// One at a time, as what is watched is locked meanwhile.
    fn change<T>(&self, change: impl FnOnce(&mut Issuers) -> Result<T, Error>) -> Result<T, Error> {
        let mut outcome = Err(Error::NoIssuer);
        self.issuers.send_if_modified(|issuers| {
            outcome = change(issuers);
            outcome.is_ok()
        });
        outcome
    }

    /// A certificate for a host's key.
    pub fn issue_host(
        &self,
        host: &HostId,
        key: &RequestedKey,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let subject = Subject::Host(host.clone());
        self.issue(subject, &[], &key.public, now, self.host_lifetime)
    }

    /// A certificate for the key of an operator who logged in.
    pub fn issue_login(
        &self,
        name: &str,
        key: &RequestedKey,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let subject = Subject::Operator(name.to_owned());
        self.issue(subject, &[], &key.public, now, LOGIN_LIFETIME)
    }

    /// A new key and certificate for an operator.
    pub fn issue_operator(&self, name: &str, now: Timestamp) -> Result<Credentials, Error> {
        let subject = Subject::Operator(name.to_owned());
        self.issue_with_key(subject, &[], now, OPERATOR_LIFETIME)
    }

    /// A new key and certificate for the control plane, known by `names`: DNS names
    /// and IP addresses.
    pub fn issue_control(&self, names: &[SanType], now: Timestamp) -> Result<Credentials, Error> {
        self.issue_with_key(Subject::Control, names, now, CONTROL_LIFETIME)
    }

    /// Whether `directory` holds credentials, as [`Credentials::write`] leaves them,
    /// of the issuer that signs now, and good until `then` at least.
    pub fn still_good(&self, directory: &Path, then: Timestamp) -> bool {
        let ca = fs::read(directory.join("ca.pem")).unwrap_or_default();
        let issuers = self.issuers.borrow();
        ca == self.root_pem.as_bytes()
            && written(directory).is_some_and(|written| {
                let signer = issuers.signer_of(&written.certificate).map(|signer| signer.number);
                written.expires > then && signer == Some(issuers.newest())
            })
    }

    fn issue_with_key(
        &self,
        subject: Subject,
        names: &[SanType],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Credentials, Error> {
        let key = KeyPair::generate()?;
        let issued = self.issue(subject, names, &key, now, lifetime)?;
        Ok(Credentials::new(issued, key))
    }

    fn issue(
        &self,
        subject: Subject,
        names: &[SanType],
        key: &impl PublicKeyData,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, Error> {
        let issuers = self.issuers.borrow().clone();
        let (current, issuer) = issuers.current()?;
        // Nothing outlives who signed it.
        let lifetime = lifetime.min(current.expires.since(now));
        let serial = random_serial()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        // A fraction of its life, so that its half is where it is thought to be.
        valid_from(&mut params, now, lifetime, BACKDATED.min(lifetime / 24));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match &subject {
            Subject::Host(_) | Subject::Operator(_) => ExtendedKeyUsagePurpose::ClientAuth,
            Subject::Control => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        let id = SpiffeId { fleet: self.fleet.clone(), subject };
        params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
        params.subject_alt_names.extend_from_slice(names);
        let certificate = params.signed_by(key, issuer)?;
        Ok(Issued {
            certificate: certificate.der().clone(),
            issuers: vec![current.certificate.clone()],
            issuer: current.number,
            serial: HEXLOWER.encode(&serial),
            expires: now.after(lifetime),
        })
    }
}

/// A certificate that was just made.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The certificates between it and the root, its issuer's first.
    pub issuers: Vec<CertificateDer<'static>>,
    /// Who signed it.
    pub issuer: IssuerNumber,
    /// Its serial number, in hex.
    pub serial: String,
    /// From when on it is refused.
    pub expires: Timestamp,
}

impl Issued {
    /// The certificate and those between it and the root, as the wire has them.
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        let mut chain = vec![self.certificate.to_vec()];
        chain.extend(self.issuers_der());
        chain
    }

    /// The certificates between it and the root, as the wire has them.
    pub fn issuers_der(&self) -> Vec<Vec<u8>> {
        self.issuers.iter().map(|issuer| issuer.to_vec()).collect()
    }
}

/// A public key whose owner proved that they hold the other half.
#[derive(Debug)]
pub struct RequestedKey {
    public: SubjectPublicKeyInfo,
    digest: Digest,
}

impl RequestedKey {
    /// Takes the key, and nothing else, out of a PKCS#10 request (RFC 2986): its
    /// subject, names and extensions are not looked at.
    pub fn from_request(der: &[u8]) -> Result<Self, Error> {
        if der.len() > MAX_REQUEST {
            return Err(Error::Request("it is longer than 4 KiB"));
        }
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|_| Error::Request("it is no PKCS#10 request"))?;
        if !rest.is_empty() {
            return Err(Error::Request("something follows it"));
        }
        request
            .verify_signature()
            .map_err(|_| Error::Request("it is not signed by the key that it names"))?;
        let spki = request.certification_request_info.subject_pki.raw;
        let public = SubjectPublicKeyInfo::from_der(spki)
            .map_err(|_| Error::Request("its key is of an unknown kind"))?;
        let strong =
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
        if !strong.contains(&public.algorithm()) {
            return Err(Error::Request("its key is neither P-256, P-384 nor Ed25519"));
        }
        // Of the bytes that go into the certificate, with which it is compared later.
        Ok(Self { digest: Digest::of(&public.subject_public_key_info()), public })
    }

    /// SHA-256 of the key (SubjectPublicKeyInfo).
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Makes the root's certificate, and its key where there is none.
fn make_root(directory: &Path, fleet: &Fleet, now: Timestamp) -> Result<String, Error> {
    let (key_path, root_path) = (directory.join("root.key"), directory.join("root.pem"));
    let key = match read(&key_path)?.map(Zeroizing::new) {
        Some(pem) => KeyPair::from_pem(&pem).map_err(|_| Error::Unreadable { path: key_path })?,
        None => {
            let key = KeyPair::generate()?;
            let pem = Zeroizing::new(key.serialize_pem());
            write_file(&key_path, pem.as_bytes(), 0o600)
                .map_err(|source| Error::Io { path: key_path, source })?;
            key
        }
    };
    let pem = root_params(fleet, now)?.self_signed(&key)?.pem();
    write_file(&root_path, pem.as_bytes(), 0o644)
        .map_err(|source| Error::Io { path: root_path, source })?;
    Ok(pem)
}

fn root_params(fleet: &Fleet, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("floe CA of {fleet}"));
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
    valid_from(&mut params, now, ROOT_LIFETIME, BACKDATED);
    // Room for one issuer below, so that rotation needs no new root.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

pub(super) fn valid_from(
    params: &mut CertificateParams,
    now: Timestamp,
    lifetime: Duration,
    backdated: Duration,
) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + now.since(Timestamp::from_micros(0));
    params.not_before = now - backdated;
    params.not_after = now + lifetime;
}

/// 127 random bits: a positive number (RFC 5280, section 4.1.2.2).
pub(super) fn random_serial() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_| Error::NoRandomness)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// One block of PEM (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// For machines whose clock is a little behind.
pub(super) const BACKDATED: Duration = Duration::from_secs(3600);
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
const OPERATOR_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
const CONTROL_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const MAX_REQUEST: usize = 4096;

#[cfg(test)]
#[path = "ca_tests.rs"]
mod tests;
