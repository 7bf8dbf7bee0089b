//! What an X.509 certificate says: whom it speaks for, by which key, and how long.
//!
//! X.509-SVID, section 2 and 4.1: exactly one URI SAN, a SPIFFE id, and no CA. Nothing is
//! verified here: that it is of a CA and that the other end holds its key is TLS's to say.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use crate::digest::Digest;
use crate::spiffe::SpiffeId;
use crate::time::Timestamp;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it speaks for.
    pub id: SpiffeId,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Reads a certificate, DER.
    ///
    /// # Errors
    ///
    /// [`Error`] for everything that speaks for nobody, or for more than one.
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        let (rest, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| Error::Malformed)?;
        if !rest.is_empty() {
            return Err(Error::Malformed);
        }
        if certificate.is_ca() {
            return Err(Error::Authority);
        }
        let names = certificate.subject_alternative_name().map_err(|_| Error::Malformed)?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let mut ids = names
            .iter()
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
        let (Some(id), None) = (ids.next(), ids.next()) else { return Err(Error::Speaker) };
        let at = |seconds: i64| Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        Ok(Self {
            id: id.parse().map_err(|_| Error::Speaker)?,
            key: Digest::of(certificate.public_key().raw),
            not_before: at(certificate.validity().not_before.timestamp()),
            not_after: at(certificate.validity().not_after.timestamp()),
        })
    }
}

/// Takes certificates apart that stand one after the other, DER, the leaf first.
///
/// # Errors
///
/// [`Error::Malformed`] where there is none, something else, or more than [`MAX_CHAIN`].
pub fn chain(der: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let (mut chain, mut rest) = (Vec::new(), der);
    while chain.is_empty() || !rest.is_empty() {
        let (next, _) = x509_parser::parse_x509_certificate(rest).map_err(|_| Error::Malformed)?;
        let one = rest.get(..rest.len().saturating_sub(next.len())).unwrap_or_default();
        chain.push(CertificateDer::from(one.to_vec()));
        rest = next;
        if chain.len() > MAX_CHAIN {
            return Err(Error::Malformed);
        }
    }
    Ok(chain)
}

/// The longest chain that is read; ours have three certificates at most.
pub const MAX_CHAIN: usize = 8;

/// Why a certificate speaks for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("it is no certificate")]
    Malformed,
    /// It issues others.
    #[error("it is the certificate of a CA")]
    Authority,
    /// None, or more than one.
    #[error("it does not have exactly one SPIFFE id of floe's")]
    Speaker,
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PublicKeyData as _, SanType};

    use super::*;

    fn made(id: &str, change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, KeyPair) {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.subject_alt_names.push(SanType::URI(id.try_into().unwrap()));
        change(&mut params);
        (params.self_signed(&key).unwrap().der().to_vec(), key)
    }

    #[test]
    fn a_certificate_says_for_whom_by_which_key_and_how_long() {
        let (der, key) = made("spiffe://fossable.org/host/local-a", |params| {
            params.not_before = rcgen::date_time_ymd(2026, 11, 22);
            params.not_after = rcgen::date_time_ymd(2026, 11, 23);
        });
        let found = Certificate::read(&der).unwrap();
        assert_eq!(found.id.to_string(), "spiffe://fossable.org/host/local-a");
        assert_eq!(found.key, Digest::of(&key.subject_public_key_info()));
        assert_eq!(found.not_before.to_string(), "2026-11-22T00:00:00Z");
        assert_eq!(found.not_after.to_string(), "2026-11-23T00:00:00Z");
    }

    #[test]
    fn a_chain_is_one_certificate_after_the_other() {
        let (one, _) = made("spiffe://fossable.org/control", |_| ());
        let (two, _) = made("spiffe://fossable.org/host/local-a", |_| ());
        let both = [one.clone(), two];
        assert_eq!(chain(&both.concat()).unwrap(), both.map(CertificateDer::from));
        assert_eq!(chain(&[one.as_slice(), b"rest"].concat()), Err(Error::Malformed));
        assert_eq!(chain(&one[1..]), Err(Error::Malformed));
        assert_eq!(chain(b""), Err(Error::Malformed));
        assert_eq!(chain(&one.repeat(MAX_CHAIN + 1)), Err(Error::Malformed));
    }

    #[test]
    fn t085_a_ca_and_what_is_no_certificate_speak_for_nobody() {
        let (ca, _) = made("spiffe://fossable.org/control", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        });
        assert_eq!(Certificate::read(&ca), Err(Error::Authority));
        let (mut der, _) = made("spiffe://fossable.org/control", |_| ());
        der.push(0);
        assert_eq!(Certificate::read(&der), Err(Error::Malformed));
        assert_eq!(Certificate::read(b""), Err(Error::Malformed));
    }
}
