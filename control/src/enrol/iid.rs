//! Instance identity documents: what AWS signed about a machine.
//!
//! [`Certificates::open`] is the one way to a [`Document`]: the certificate is looked up
//! by the issuer and serial that the signature names, the signature verified, the content
//! that was verified parsed, and its region compared with the certificate's. Nothing is
//! read of a document before it is known to be signed, and there is no other copy of it.
//!
//! The table has AWS's RSA-2048 certificates of every Region (`aws-rsa2048.pem`); the
//! configuration can add more. Whether a machine may enrol is not decided here.

use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use serde::Deserialize;
use x509_parser::pem::Pem;
use x509_parser::prelude::parse_x509_certificate;
use x509_parser::public_key::PublicKey;

use super::instance::{Account, ImageId, Region};
use super::pkcs7;

/// The certificates whose signatures count, by Region.
#[derive(Clone, Debug)]
pub struct Certificates {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    region: Region,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    public_key: Vec<u8>,
}

/// What a document says, as far as it matters. Only [`Certificates::open`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whose instance it is.
    pub account: Account,
    /// Where it runs.
    pub region: Region,
    /// Which it is; the host's id.
    pub instance: HostId,
    /// What it was launched from.
    pub image: ImageId,
    /// When it was launched, or started after a stop.
    pub pending: Timestamp,
}

impl Certificates {
    /// AWS's own.
    ///
    /// # Errors
    ///
    /// None for the table as it is in this program; a test sees to it.
    pub fn bundled() -> Result<Self, Error> {
        let mut certificates = Self { entries: Vec::new() };
        let mut blocks = AWS.split("\n# region: ");
        blocks.next();
        for block in blocks {
            let (region, pem) = block.split_once('\n').ok_or(Error::NoCertificate)?;
            let region = region.parse().map_err(|_| Error::NoCertificate)?;
            certificates.trust(&region, pem.as_bytes())?;
        }
        Ok(certificates)
    }

    /// Believes the certificates in `pem` about instances in `region`, too.
    ///
    /// # Errors
    ///
    /// [`Error::NoCertificate`] where there is none, and [`Error::Weak`].
    pub fn trust(&mut self, region: &Region, pem: &[u8]) -> Result<(), Error> {
        let before = self.entries.len();
        for block in Pem::iter_from_buffer(pem) {
            let block = block.map_err(|_| Error::NoCertificate)?;
            let (rest, certificate) =
                parse_x509_certificate(&block.contents).map_err(|_| Error::NoCertificate)?;
            let key = certificate.public_key();
            // Vault and others took the metadata service's RSA-1024 and DSA forms, too.
            let strong = matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= 2048);
            if block.label != "CERTIFICATE" || !rest.is_empty() {
                return Err(Error::NoCertificate);
            }
            if !strong {
                return Err(Error::Weak);
            }
            self.entries.push(Entry {
                region: region.clone(),
                issuer: certificate.issuer().as_raw().to_vec(),
                serial: certificate.raw_serial().to_vec(),
                public_key: key.raw.to_vec(),
            });
        }
        if self.entries.len() == before {
            return Err(Error::NoCertificate);
        }
        Ok(())
    }

    /// Whether a document of `region` could be verified at all.
    pub fn know(&self, region: &Region) -> bool {
        self.entries.iter().any(|entry| entry.region == *region)
    }

    /// The document inside of `pkcs7`, if AWS signed it.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`], [`Error::UnknownSigner`], [`Error::OtherRegion`] and
    /// [`Error::Document`].
    pub fn open(&self, pkcs7: &[u8]) -> Result<Document, Error> {
        let signed = pkcs7::parse(pkcs7)?;
        let (issuer, serial) = signed.signer();
        let mut named = self
            .entries
            .iter()
            .filter(|entry| entry.issuer == issuer && entry.serial == serial)
            .peekable();
        let entry = *named.peek().ok_or(Error::UnknownSigner)?;
        // One certificate may stand for several Regions, but two keys never for one name.
        let regions: Vec<&Region> = named
            .filter(|other| other.public_key == entry.public_key)
            .map(|other| &other.region)
            .collect();
        let signer = pkcs7::Signer {
            issuer: &entry.issuer,
            serial: &entry.serial,
            public_key: &entry.public_key,
        };
        let content = signed.verify(&signer)?;
        let document = Document::parse(&content)?;
        if !regions.contains(&&document.region) {
            return Err(Error::OtherRegion { region: document.region });
        }
        Ok(document)
    }
}

/// The fields as AWS names them ("Retrieve the instance identity document" in the EC2
/// user guide). AWS may add some; none of these may be there twice.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    account_id: String,
    image_id: String,
    instance_id: String,
    pending_time: String,
    region: String,
    version: String,
}

impl Document {
    fn parse(content: &pkcs7::Content) -> Result<Self, Error> {
        let fields: Fields = serde_json::from_slice(content.bytes())?;
        if fields.version != KNOWN_VERSION {
            return Err(Error::Version { version: fields.version.chars().take(80).collect() });
        }
        let instance: HostId = fields.instance_id.parse().map_err(invalid)?;
        if !instance.as_str().starts_with("i-") {
            return Err(Error::Value("the instance id is none of EC2's".into()));
        }
        Ok(Self {
            account: fields.account_id.parse().map_err(invalid)?,
            region: fields.region.parse().map_err(invalid)?,
            instance,
            image: fields.image_id.parse().map_err(invalid)?,
            pending: fields.pending_time.parse().map_err(invalid)?,
        })
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Value(error.into())
}

const AWS: &str = include_str!("aws-rsa2048.pem");
const KNOWN_VERSION: &str = "2017-09-30";

/// Why a document is not believed, or a certificate not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signature does not hold, or is not of the form that AWS makes.
    #[error(transparent)]
    Signature(#[from] pkcs7::Error),
    /// Signed by a certificate that is not in the table.
    #[error("the document is signed by a certificate that is not known here")]
    UnknownSigner,
    /// Signed by the certificate of another Region.
    #[error("the document of `{region}` is signed by another Region's certificate")]
    OtherRegion {
        /// What the document says.
        region: Region,
    },
    /// The content is no such document.
    #[error("the signed content is no instance identity document")]
    Document(#[from] serde_json::Error),
    /// One of its values is none.
    #[error("a value in the instance identity document makes no sense")]
    Value(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Of a later form.
    #[error("the instance identity document has version `{version}`, which is not known here")]
    Version {
        /// What it says.
        version: String,
    },
    /// Not a certificate in PEM.
    #[error("there is no certificate in PEM, or something beside certificates")]
    NoCertificate,
    /// The certificate's key is too weak.
    #[error("the certificate has no RSA key of at least 2048 bits")]
    Weak,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Signature(_) | Self::Document(_) | Self::Value(_) | Self::Version { .. } => {
                "take the document from /latest/dynamic/instance-identity/rsa2048; if it is, update floe"
            }
            Self::UnknownSigner | Self::OtherRegion { .. } => {
                "add the Region's RSA-2048 certificate to [[aws.certificates]] if AWS publishes a new one"
            }
            Self::NoCertificate | Self::Weak => {
                "take the Region's RSA-2048 certificate from AWS's page, in PEM"
            }
        }
    }
}

#[cfg(test)]
#[path = "iid_tests.rs"]
mod tests;
