//! A certificate and its key that were both made here: an operator's, or the control
//! plane's own. A host's key never is.

use std::fs;
use std::path::Path;

use floe_proto::digest::Digest;
use floe_proto::time::Timestamp;
use floe_proto::transport::{self, Identity};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::ca::{Authority, Error, Issued, pem};
use crate::durable::write_file;

/// A certificate and its key.
pub struct Credentials {
    issued: Issued,
    key: KeyPair,
}

impl Credentials {
    pub(super) fn new(issued: Issued, key: KeyPair) -> Self {
        Self { issued, key }
    }

    /// From when on it is refused.
    pub fn expires(&self) -> Timestamp {
        self.issued.expires
    }

    /// For a TLS configuration.
    pub fn identity(&self) -> Identity {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let mut chain = vec![self.issued.certificate.clone()];
        chain.extend_from_slice(&self.issued.issuers);
        Identity { chain, key }
    }

    /// Writes `ca.pem`, `cert.pem` (with the issuers below the certificate) and
    /// `key.pem` (0600) into `directory`.
    pub fn write(&self, directory: &Path, authority: &Authority) -> Result<(), Error> {
        let mut chain = pem("CERTIFICATE", &self.issued.certificate);
        chain.extend(self.issued.issuers.iter().map(|issuer| pem("CERTIFICATE", issuer)));
        let key = Zeroizing::new(self.key.serialize_pem());
        // The certificate last: it says that the three are whole.
        for (name, text, mode) in [
            ("ca.pem", authority.root_pem(), 0o644),
            ("key.pem", key.as_str(), 0o600),
            ("cert.pem", &chain, 0o644),
        ] {
            let path = directory.join(name);
            write_file(&path, text.as_bytes(), mode)
                .map_err(|source| Error::Io { path, source })?;
        }
        Ok(())
    }
}

/// A certificate of [`Credentials`] that lies in a directory.
pub struct Written {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// When it expires.
    pub expires: Timestamp,
}

/// The certificate in `directory`, as [`Credentials::write`] leaves it.
pub fn written(directory: &Path) -> Option<Written> {
    let chain = fs::read(directory.join("cert.pem")).ok()?;
    let chain = transport::certificates(&chain).ok()?;
    let certificate = chain.into_iter().next()?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&certificate).ok()?;
    let seconds = leaf.validity().not_after.timestamp();
    let expires = Timestamp::from_micros(seconds.saturating_mul(1_000_000));
    let key = Digest::of(leaf.public_key().raw);
    Some(Written { certificate, key, expires })
}
