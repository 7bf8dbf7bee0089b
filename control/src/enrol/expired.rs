//! A certificate that has expired, and the proof that who shows it holds its key.
//!
//! It is verified as TLS would have verified it while it was good (webpki, at a moment
//! inside its validity), with the issuers that are believed now. Whether the host is
//! revoked and the key still its own is the store's to say.

use std::sync::Arc;
use std::time::Duration;

use floe_proto::id::Fleet;
use floe_proto::time::Timestamp;
use floe_proto::{renewal, transport};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, SignatureScheme};

use super::issuers::Issuers;

/// What somebody shows instead of a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The certificate, DER.
    pub certificate: &'a [u8],
    /// The request for the new key, PKCS#10.
    pub request: &'a [u8],
    /// The signature over [`renewal::message`].
    pub proof: &'a [u8],
}

impl Evidence<'_> {
    /// Checks all of it; `renewable` is for how long after its end a certificate counts.
    pub fn check(
        &self,
        issuers: &Issuers,
        fleet: &Fleet,
        renewable: Duration,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.certificate.len() > MAX_CERTIFICATE {
            return Err(Error::Malformed);
        }
        let (rest, parsed) =
            x509_parser::parse_x509_certificate(self.certificate).map_err(|_| Error::Malformed)?;
        let end = parsed.validity().not_after.timestamp();
        if !rest.is_empty() || issuers.signer_of(self.certificate).is_none() {
            return Err(Error::NotOurs);
        }
        let mut anchors = RootCertStore::empty();
        anchors.add_parsable_certificates(issuers.believed());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), transport::provider())
                .build()
                .map_err(|_| Error::NotOurs)?;
        let inside = u64::try_from(end).map_err(|_| Error::NotOurs)?;
        let inside = UnixTime::since_unix_epoch(Duration::from_secs(inside));
        let leaf = CertificateDer::from(self.certificate);
        verifier.verify_client_cert(&leaf, &[], inside).map_err(|_| Error::NotOurs)?;

        let key = parsed.public_key();
        let message = renewal::message(fleet, self.request);
        let proven = transport::provider()
            .signature_verification_algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| {
                let key = key.subject_public_key.data.as_ref();
                algorithm.verify_signature(key, &message, self.proof).is_ok()
            });
        if !proven {
            return Err(Error::Unproven);
        }
        // Last, so that only who holds the key learns it.
        let end = Timestamp::from_micros(end.saturating_mul(1_000_000));
        if now.since(end) > renewable { Err(Error::TooLate) } else { Ok(()) }
    }
}

const MAX_CERTIFICATE: usize = 4096;

/// Why it does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no certificate at all.
    #[error("this is no certificate")]
    Malformed,
    /// Not a certificate that would ever have been accepted here.
    #[error("this is no certificate of this fleet's CA")]
    NotOurs,
    /// The signature is not by the certificate's key, or not over this request.
    #[error("there is no proof of the certificate's key")]
    Unproven,
    /// It expired too long ago.
    #[error("the certificate expired more than 30 days ago")]
    TooLate,
}

#[cfg(test)]
#[path = "expired_tests.rs"]
mod tests;
