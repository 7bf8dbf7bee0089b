//! The fleet's CA: a long-lived root, and the certificates that it gives.
//!
//! Each certificate has exactly one URI SAN, the SPIFFE id of whom it speaks for,
//! and an empty subject (X.509-SVID, section 2). Hosts and operators get
//! certificates for clients, the control plane alone one for servers. Of a
//! request (CSR) only the public key is used, after its self-signature was
//! checked. Renewal and intermediates are not here yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use floe_proto::digest::Digest;
use floe_proto::id::{Fleet, HostId};
use floe_proto::spiffe::{SpiffeId, Subject};
use floe_proto::time::Timestamp;
use floe_proto::transport::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::durable::write_file;

/// How long a host's certificate lives.
pub const HOST_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a login lasts: a day's work.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The fleet's CA.
pub struct Authority {
    fleet: Fleet,
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
    root: CertificateDer<'static>,
}

impl Authority {
    /// Reads root key and certificate from `directory`, or makes them at the first
    /// start.
    pub fn open(directory: &Path, fleet: &Fleet, now: Timestamp) -> Result<Self, Error> {
        let (key_path, root_path) = (directory.join("root.key"), directory.join("root.pem"));
        let key = match read(&key_path)? {
            Some(pem) => {
                KeyPair::from_pem(&pem).map_err(|_| Error::Unreadable { path: key_path })?
            }
            None => {
                let key = KeyPair::generate()?;
                let pem = Zeroizing::new(key.serialize_pem());
                write_file(&key_path, pem.as_bytes(), 0o600)
                    .map_err(|source| Error::Io { path: key_path, source })?;
                key
            }
        };
        // A crash between the two files leaves the key, from which the other is made.
        let root_pem = match read(&root_path)? {
            Some(pem) => pem,
            None => {
                let pem = root_params(fleet, now)?.self_signed(&key)?.pem();
                write_file(&root_path, pem.as_bytes(), 0o644)
                    .map_err(|source| Error::Io { path: root_path.clone(), source })?;
                pem
            }
        };
        let unreadable = || Error::Unreadable { path: root_path.clone() };
        let root = floe_proto::transport::certificates(root_pem.as_bytes())
            .map_err(|_| unreadable())?
            .into_iter()
            .next()
            .ok_or_else(unreadable)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&root).map_err(|_| unreadable())?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(unreadable());
        }
        let issuer = Issuer::from_ca_cert_der(&root, key)?;
        Ok(Self { fleet: fleet.clone(), issuer, root_pem, root })
    }

    /// The root certificate, as hosts and operators pin it.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root certificate, for verifying clients.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// A certificate for a host's key.
    pub fn issue_host(
        &self,
        host: &HostId,
        key: &RequestedKey,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let subject = Subject::Host(host.clone());
        self.issue(subject, &[], &key.public, now, HOST_LIFETIME)
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
        self.issue_with_key(Subject::Operator(name.to_owned()), &[], now)
    }

    /// A new key and certificate for the control plane, known by `names`: DNS names
    /// and IP addresses.
    pub fn issue_control(&self, names: &[SanType], now: Timestamp) -> Result<Credentials, Error> {
        self.issue_with_key(Subject::Control, names, now)
    }

    /// Whether `directory` holds credentials, as [`Credentials::write`] leaves them,
    /// of this CA that are good until `then` at least.
    pub fn still_good(&self, directory: &Path, then: Timestamp) -> bool {
        let ca = fs::read(directory.join("ca.pem")).unwrap_or_default();
        ca == self.root_pem.as_bytes() && written(directory).is_some_and(|(_, end)| end > then)
    }

    fn issue_with_key(
        &self,
        subject: Subject,
        names: &[SanType],
        now: Timestamp,
    ) -> Result<Credentials, Error> {
        let key = KeyPair::generate()?;
        let issued = self.issue(subject, names, &key, now, CREDENTIALS_LIFETIME)?;
        Ok(Credentials { issued, key })
    }

    fn issue(
        &self,
        subject: Subject,
        names: &[SanType],
        key: &impl PublicKeyData,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, Error> {
        let serial = random_serial()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        valid_from(&mut params, now, lifetime);
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
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.der().clone(),
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
    /// Its serial number, in hex.
    pub serial: String,
    /// From when on it is refused.
    pub expires: Timestamp,
}

/// A certificate and its key, both made here.
pub struct Credentials {
    issued: Issued,
    key: KeyPair,
}

impl Credentials {
    /// For a TLS configuration.
    pub fn identity(&self) -> Identity {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        Identity { chain: vec![self.issued.certificate.clone()], key }
    }

    /// Writes `ca.pem`, `cert.pem` and `key.pem` (0600) into `directory`.
    pub fn write(&self, directory: &Path, authority: &Authority) -> Result<(), Error> {
        let certificate = pem("CERTIFICATE", &self.issued.certificate);
        let key = Zeroizing::new(self.key.serialize_pem());
        // The certificate last: it says that the three are whole.
        for (name, text, mode) in [
            ("ca.pem", authority.root_pem(), 0o644),
            ("key.pem", key.as_str(), 0o600),
            ("cert.pem", &certificate, 0o644),
        ] {
            let path = directory.join(name);
            write_file(&path, text.as_bytes(), mode)
                .map_err(|source| Error::Io { path, source })?;
        }
        Ok(())
    }
}

/// Of the certificate in `directory`, as [`Credentials::write`] leaves it: SHA-256 of
/// its public key (SubjectPublicKeyInfo), and when it expires.
pub fn written(directory: &Path) -> Option<(Digest, Timestamp)> {
    let chain = floe_proto::transport::certificates(&fs::read(directory.join("cert.pem")).ok()?);
    let chain = chain.ok()?;
    let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    let seconds = leaf.validity().not_after.timestamp();
    let expires = Timestamp::from_micros(seconds.saturating_mul(1_000_000));
    Some((Digest::of(leaf.public_key().raw), expires))
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

fn root_params(fleet: &Fleet, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("floe CA of {fleet}"));
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
    valid_from(&mut params, now, ROOT_LIFETIME);
    // Room for one intermediate, so that rotation needs no new root.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn valid_from(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + now.since(Timestamp::from_micros(0));
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
}

/// 127 random bits: a positive number (RFC 5280, section 4.1.2.2).
fn random_serial() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_| Error::NoRandomness)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
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
const BACKDATED: Duration = Duration::from_secs(3600);
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
const CREDENTIALS_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
const MAX_REQUEST: usize = 4096;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine's request cannot be used.
    #[error("the certificate request cannot be used: {0}")]
    Request(&'static str),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Issue(#[from] rcgen::Error),
    /// A file of the CA could not be read or written.
    #[error("could not use `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the CA does not hold what it should.
    #[error("`{}` does not hold the CA that this data directory was made with", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Request(_) => "let the agent make a new key, or update it",
            Self::Issue(_) | Self::NoRandomness => "try again; if it stays, look at the log",
            Self::Io { .. } => "look at the permissions and the free space of the data directory",
            Self::Unreadable { .. } => {
                "restore the data directory's `ca` from a backup: hosts trust no other CA"
            }
        }
    }
}

#[cfg(test)]
#[path = "ca_tests.rs"]
mod tests;
