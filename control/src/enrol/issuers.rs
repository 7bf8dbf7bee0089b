//! The CA certificates under the fleet's root: who signs now, who signed before, and
//! whom nobody believes any more.
//!
//! ```text
//! root.pem, root.key (may be taken offline) ─▶ issuer-1 ─▶ issuer-2 ─▶ …    one signs, the newest;
//!                                               retired     current         all but the retired are believed
//! ```
//!
//! Hosts pin the root alone, so a rotation is nothing to them. Whoever judges a
//! certificate asks here ([`Issuers::signer_of`]): a chain up to the root is not enough,
//! as the root vouches for a retired issuer too. Nothing here decides when.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use floe_proto::id::Fleet;
use floe_proto::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::ca::{BACKDATED, Error, pem, random_serial, read, valid_from};
use crate::durable::write_file;

/// Which issuer, in the order in which they were made. 0 is the root itself, which
/// signed before there were others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerNumber(u32);

impl IssuerNumber {
    /// The root, as an issuer.
    pub const ROOT: Self = Self(0);

    /// As the wire and the database have it.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for IssuerNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One CA certificate.
#[derive(Clone)]
pub struct Known {
    /// Which.
    pub number: IssuerNumber,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// From when on nothing that it signed is good.
    pub expires: Timestamp,
    /// When it began to sign.
    pub made: Timestamp,
    /// When it was retired; `None` while it is believed.
    pub retired: Option<Timestamp>,
    /// Comes when it is retired: connections of its certificates end then.
    pub cut: CancellationToken,
    key: Option<Arc<Issuer<'static, KeyPair>>>,
}

/// All of them, as they stand. Cheap to clone.
#[derive(Clone)]
pub struct Issuers {
    known: BTreeMap<IssuerNumber, Known>,
}

impl Issuers {
    /// Reads what lies in `directory`, and makes the first issuer where there is none.
    /// `began` says that `root` was made by this call's caller just now: then nothing
    /// was ever signed by it directly.
    pub(super) fn open(
        directory: &Path,
        root: &CertificateDer<'static>,
        began: bool,
        fleet: &Fleet,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut issuers = Self { known: BTreeMap::new() };
        for number in numbers(directory)? {
            issuers.known.insert(number, Known::read(directory, number)?);
        }
        if issuers.known.is_empty() {
            if !began {
                // Of an older version, whose certificates are still about.
                let path = file(directory, IssuerNumber::ROOT, "pem");
                write_file(&path, pem("CERTIFICATE", root).as_bytes(), 0o644)
                    .map_err(|source| Error::Io { path, source })?;
                let known = Known::read(directory, IssuerNumber::ROOT)?;
                issuers.known.insert(known.number, known);
            }
            issuers.make_next(directory, root, fleet, now)?;
        }
        // The key of the newest may be lost, or the directory a part of one.
        let (current, _) = issuers.current()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(root).map_err(|_| Error::NoIssuer)?;
        let theirs = x509_parser::parse_x509_certificate(&current.certificate);
        if !theirs.is_ok_and(|(_, it)| it.verify_signature(Some(parsed.public_key())).is_ok()) {
            return Err(Error::Unreadable { path: file(directory, current.number, "pem") });
        }
        // Nothing outlives who signed it: once the newest has expired, nobody could log in
        // to have another one made.
        let (number, expires) = (current.number, current.expires);
        if expires.since(now) < LAST_DAYS {
            match issuers.make_next(directory, root, fleet, now) {
                Ok(next) => info!(issuer = %next, "issuer {number} expires at {expires}: rotated"),
                Err(Error::NoRootKey { path }) => {
                    let path = path.display();
                    warn!("issuer {number} expires at {expires}: put the root's key at `{path}`");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(issuers)
    }

    /// Who signs now, and their key.
    pub(super) fn current(&self) -> Result<(&Known, &Issuer<'static, KeyPair>), Error> {
        let newest = self.known.values().next_back().filter(|newest| newest.retired.is_none());
        let newest = newest.ok_or(Error::NoIssuer)?;
        Ok((newest, newest.key.as_deref().ok_or(Error::NoIssuer)?))
    }

    /// All, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Who is believed: what TLS is told.
    pub fn believed(&self) -> Vec<CertificateDer<'static>> {
        let believed = self.known.values().filter(|known| known.retired.is_none());
        believed.map(|known| known.certificate.clone()).collect()
    }

    /// The number of who signs now.
    pub fn newest(&self) -> IssuerNumber {
        self.known.keys().next_back().copied().unwrap_or_default()
    }

    /// The believed issuer whose key signed this very certificate.
    pub fn signer_of(&self, certificate: &[u8]) -> Option<&Known> {
        let (_, leaf) = x509_parser::parse_x509_certificate(certificate).ok()?;
        self.known.values().rev().filter(|known| known.retired.is_none()).find(|known| {
            x509_parser::parse_x509_certificate(&known.certificate).is_ok_and(|(_, issuer)| {
                leaf.issuer().as_raw() == issuer.subject().as_raw()
                    && leaf.verify_signature(Some(issuer.public_key())).is_ok()
            })
        })
    }

    /// Makes the next issuer, which signs from now on. Needs the root's key.
    pub(super) fn make_next(
        &mut self,
        directory: &Path,
        root: &CertificateDer<'static>,
        fleet: &Fleet,
        now: Timestamp,
    ) -> Result<IssuerNumber, Error> {
        let path = directory.join("root.key");
        let root_key = read(&path)?.map(Zeroizing::new);
        let root_key = root_key.ok_or_else(|| Error::NoRootKey { path: path.clone() })?;
        let root_key = KeyPair::from_pem(&root_key).map_err(|_| Error::Unreadable { path })?;
        let signer = Issuer::from_ca_cert_der(root, root_key)?;

        let number = IssuerNumber(self.newest().0.saturating_add(1));
        let key = KeyPair::generate()?;
        let params = params(fleet, number, now)?;
        let certificate = params.signed_by(&key, &signer)?;
        let key = Zeroizing::new(key.serialize_pem());
        // The certificate last: a key without one is no issuer, and is written over.
        for (kind, text, mode) in
            [("key", key.as_str(), 0o600), ("pem", &pem("CERTIFICATE", certificate.der()), 0o644)]
        {
            let path = file(directory, number, kind);
            write_file(&path, text.as_bytes(), mode)
                .map_err(|source| Error::Io { path, source })?;
        }
        self.known.insert(number, Known::read(directory, number)?);
        Ok(number)
    }

    /// Believes `number` no more, forgets its key, and cuts the connections of its
    /// certificates.
    pub(super) fn retire(
        &mut self,
        directory: &Path,
        number: IssuerNumber,
        now: Timestamp,
    ) -> Result<(), Error> {
        if number == self.newest() {
            return Err(Error::Current { number });
        }
        let known = self.known.get_mut(&number).ok_or(Error::Unknown { number })?;
        if known.retired.is_none() {
            let path = file(directory, number, "retired");
            write_file(&path, format!("{now}\n").as_bytes(), 0o644)
                .map_err(|source| Error::Io { path, source })?;
            known.retired = Some(now);
            known.key = None;
        }
        known.cut.cancel();
        let path = file(directory, number, "key");
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Known {
    fn read(directory: &Path, number: IssuerNumber) -> Result<Self, Error> {
        let path = file(directory, number, "pem");
        let unreadable = || Error::Unreadable { path: path.clone() };
        let text = read(&path)?.ok_or_else(unreadable)?;
        let certificate = floe_proto::transport::certificates(text.as_bytes())
            .map_err(|_| unreadable())?
            .into_iter()
            .next()
            .ok_or_else(unreadable)?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|_| unreadable())?;
        let at = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000))
        };
        let (from, expires) = (at(parsed.validity().not_before), at(parsed.validity().not_after));
        let made = from.after(BACKDATED);
        // Whatever the file says, it is there.
        let retired = read(&file(directory, number, "retired"))?;
        let retired = retired.map(|text| text.trim().parse().unwrap_or_default());
        let key_path = file(directory, number, "key");
        let key = match read(&key_path)?.map(Zeroizing::new) {
            Some(text) if retired.is_none() => {
                let wrong = || Error::Unreadable { path: key_path.clone() };
                let key = KeyPair::from_pem(&text).map_err(|_| wrong())?;
                if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
                    return Err(wrong());
                }
                Some(Arc::new(Issuer::from_ca_cert_der(&certificate, key)?))
            }
            Some(_) | None => None,
        };
        let cut = CancellationToken::new();
        Ok(Self { number, certificate, expires, made, retired, cut, key })
    }
}

fn params(fleet: &Fleet, number: IssuerNumber, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // A name of its own each: by it the issuer of a certificate is found.
    params.distinguished_name.push(DnType::CommonName, format!("floe CA {number} of {fleet}"));
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
    valid_from(&mut params, now, ISSUER_LIFETIME, BACKDATED);
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn numbers(directory: &Path) -> Result<Vec<IssuerNumber>, Error> {
    let io = |source| Error::Io { path: directory.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("issuer-"));
        let number = number.and_then(|name| name.strip_suffix(".pem"));
        numbers.extend(number.and_then(|number| number.parse().ok()).map(IssuerNumber));
    }
    Ok(numbers)
}

fn file(directory: &Path, number: IssuerNumber, kind: &str) -> PathBuf {
    directory.join(format!("issuer-{number}.{kind}"))
}

/// Long, as a rotation is an operator's to begin; what it signs lives for a day.
const ISSUER_LIFETIME: Duration = Duration::from_secs(5 * 365 * 24 * 3600);

/// How long before its end the newest issuer is followed by another one at a start.
const LAST_DAYS: Duration = Duration::from_secs(90 * 24 * 3600);

#[cfg(test)]
#[path = "issuers_tests.rs"]
mod tests;
