//! The one form of PKCS#7 that is read here: what EC2's metadata service sends at
//! `/latest/dynamic/instance-identity/rsa2048`. Everything else is refused.
//!
//! The form (CMS SignedData, RFC 5652 section 5, in BER, X.690), at most 16 KiB, no
//! byte before or after it:
//!
//! ```text
//! SEQUENCE { OID signedData, [0] { SEQUENCE {           definite or indefinite length
//!   INTEGER 1,
//!   SET { AlgorithmIdentifier sha256 },
//!   SEQUENCE { OID data, [0] { OCTET STRING } },        whole, or in at most 64 chunks
//!                                                       no certificates, no CRLs
//!   SET { SEQUENCE {                                    exactly one signer; DER from here on
//!     INTEGER 1, SEQUENCE { issuer, serial },           of the certificate that we pin
//!     AlgorithmIdentifier sha256,
//!     [0] { signed attributes },                        contentType = data and messageDigest
//!                                                       once each; others may be there
//!     AlgorithmIdentifier rsaEncryption | sha256WithRSAEncryption, with NULL
//!     OCTET STRING } } } } }                            PKCS #1 v1.5; no unsigned attributes
//! ```
//!
//! An AlgorithmIdentifier of sha256 has NULL or no parameters (RFC 5754, section 2).
//! Lengths are minimal, tags exactly these. What can be found out without the content
//! is issuer and serial, to look the certificate up; the content comes out of
//! [`SignedData::verify`] alone, so nobody can use what was not signed (SPIRE's bug of
//! 1.14.5), and a certificate that travels along counts for nothing (AWS's documented
//! `openssl smime -noverify` takes the attacker's). The wrapper is malleable: a hash of
//! these bytes is no replay key.
//!
//! This file stands alone (`aws-lc-rs`, `sha2`, `thiserror`), so that it can be fuzzed
//! as it is. It makes no promise about the content, nor about who the key belongs to.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

/// The longest that is looked at, in bytes; AWS sends about 1,100.
pub const MAX_BYTES: usize = 16 * 1024;

/// A well-formed SignedData, of which nothing is believed yet.
#[derive(Clone, Debug)]
pub struct SignedData<'a> {
    issuer: &'a [u8],
    serial: &'a [u8],
    content: Vec<u8>,
    attributes: &'a [u8],
    message_digest: &'a [u8],
    signature: &'a [u8],
}

/// Whose signature counts: what is needed of a certificate that we pin.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// Its issuer, a DER Name.
    pub issuer: &'a [u8],
    /// Its serial number, the contents of the DER INTEGER.
    pub serial: &'a [u8],
    /// Its RSA key of at least 2048 bits, a DER SubjectPublicKeyInfo.
    pub public_key: &'a [u8],
}

/// Content that was signed; only [`SignedData::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(Vec<u8>);

impl Content {
    /// The bytes that were signed.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads one SignedData. Nothing of it is verified.
///
/// # Errors
///
/// [`Error::TooLong`] and [`Error::Malformed`], which says what was not as it should be.
pub fn parse(bytes: &[u8]) -> Result<SignedData<'_>, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLong { length: bytes.len() });
    }
    let mut reader = Reader { bytes, at: 0, end: bytes.len() };
    let content_info = reader.enter(SEQUENCE)?;
    reader.exactly(OID, OID_SIGNED_DATA, "not a SignedData")?;
    let explicit = reader.enter(CONTEXT_0)?;
    let signed_data = reader.enter(SEQUENCE)?;
    reader.exactly(INTEGER, &[1], "another version of SignedData")?;
    let digest_algorithms = reader.enter(SET)?;
    reader.sha256()?;
    reader.leave(&digest_algorithms, "more than one digest algorithm")?;
    let content = reader.content()?;
    let signer_infos = reader.enter_or(SET, "certificates or CRLs travel along")?;
    let signer = reader.signer_info(content)?;
    reader.leave(&signer_infos, "more than one signer")?;
    reader.leave(&signed_data, "something follows the signers")?;
    reader.leave(&explicit, "something follows the SignedData")?;
    reader.leave(&content_info, "something follows the SignedData")?;
    if reader.at != bytes.len() {
        return Err(Error::Malformed("something follows it"));
    }
    Ok(signer)
}

impl SignedData<'_> {
    /// Issuer (DER Name) and serial number (contents of the INTEGER) of the certificate
    /// that is said to have signed, to look it up.
    pub fn signer(&self) -> (&[u8], &[u8]) {
        (self.issuer, self.serial)
    }

    /// The content, if `signer` signed it.
    ///
    /// # Errors
    ///
    /// [`Error::OtherSigner`], [`Error::OtherContent`] and [`Error::Signature`].
    pub fn verify(self, signer: &Signer<'_>) -> Result<Content, Error> {
        if (self.issuer, self.serial) != (signer.issuer, signer.serial) {
            return Err(Error::OtherSigner);
        }
        if Sha256::digest(&self.content).as_slice() != self.message_digest {
            return Err(Error::OtherContent);
        }
        // RFC 5652, section 5.4: signed is the SET, not the [0] that is sent.
        let mut message = self.attributes.to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = SET;
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, signer.public_key)
            .verify(&message, self.signature)
            .map_err(|_| Error::Signature)?;
        Ok(Content(self.content))
    }
}

/// A cursor that never leaves `bytes[..end]`. It knows no recursion: the form above has
/// a fixed depth.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

/// A constructed value that was entered.
struct Frame {
    /// Where it ends; `None` where end-of-contents octets say so.
    end: Option<usize>,
    outer: usize,
}

impl Frame {
    fn definite(self) -> Result<Self, Error> {
        match self.end {
            Some(_) => Ok(self),
            None => Err(Error::Malformed("a signed part has no definite length")),
        }
    }
}

impl<'a> Reader<'a> {
    /// SEQUENCE { OID data, [0] { OCTET STRING } }.
    fn content(&mut self) -> Result<Vec<u8>, Error> {
        let encapsulated = self.enter(SEQUENCE)?;
        self.exactly(OID, OID_DATA, "its content is of another type")?;
        let explicit = self.enter_or(CONTEXT_0, "its content is elsewhere")?;
        let mut content = Vec::new();
        if self.peek() == Some(OCTET_STRING) {
            content.extend_from_slice(self.take(OCTET_STRING)?);
        } else {
            let chunks = self.enter(CHUNKED_OCTET_STRING)?;
            let mut count = 0;
            while !self.is_over(&chunks) {
                count += 1;
                if count > MAX_CHUNKS {
                    return Err(Error::Malformed("its content is in too many chunks"));
                }
                content.extend_from_slice(self.take(OCTET_STRING)?);
            }
            self.leave(&chunks, "its content does not end where it should")?;
        }
        self.leave(&explicit, "something follows the content")?;
        self.leave(&encapsulated, "something follows the content")?;
        Ok(content)
    }

    fn signer_info(&mut self, content: Vec<u8>) -> Result<SignedData<'a>, Error> {
        let signer_info = self.enter(SEQUENCE)?.definite()?;
        self.exactly(INTEGER, &[1], "its signer is not named by issuer and serial")?;
        let identifier = self.enter(SEQUENCE)?.definite()?;
        let issuer = self.whole(SEQUENCE)?;
        let serial = self.take(INTEGER)?;
        self.leave(&identifier, "something follows the signer's serial")?;
        self.sha256()?;
        let start = self.at;
        let signed = self.enter_or(CONTEXT_0, "it has no signed attributes")?.definite()?;
        let message_digest = self.attributes(&signed)?;
        self.leave(&signed, "its attributes do not end where they should")?;
        let attributes = self.bytes.get(start..self.at).unwrap_or_default();
        let algorithm = self.whole(SEQUENCE)?;
        if ![RSA_ENCRYPTION, SHA256_WITH_RSA].contains(&algorithm) {
            return Err(Error::Malformed(
                "it is signed by another algorithm than RSA with SHA-256",
            ));
        }
        let signature = self.take(OCTET_STRING)?;
        self.leave(&signer_info, "something follows the signature")?;
        Ok(SignedData { issuer, serial, content, attributes, message_digest, signature })
    }

    /// Attributes until the end of `frame`; the message digest comes out.
    fn attributes(&mut self, frame: &Frame) -> Result<&'a [u8], Error> {
        let (mut content_type, mut message_digest) = (None, None);
        while !self.is_over(frame) {
            let attribute = self.enter(SEQUENCE)?.definite()?;
            let kind = self.take(OID)?;
            let values = self.enter(SET)?.definite()?;
            let again = if kind == OID_CONTENT_TYPE {
                content_type.replace(self.take(OID)?).is_some()
            } else if kind == OID_MESSAGE_DIGEST {
                message_digest.replace(self.take(OCTET_STRING)?).is_some()
            } else {
                // RFC 6211: where it is said which algorithms were used, it is these.
                let value = self.any()?;
                kind == OID_ALGORITHM_PROTECTION && !ALGORITHM_PROTECTIONS.contains(&value)
            };
            if again {
                return Err(Error::Malformed("an attribute is there twice, or contradicts"));
            }
            self.leave(&values, "an attribute has two values")?;
            self.leave(&attribute, "something follows an attribute's values")?;
        }
        if content_type != Some(OID_DATA) {
            return Err(Error::Malformed("its signed content type is missing, or another"));
        }
        message_digest.ok_or(Error::Malformed("its message digest is missing"))
    }

    fn sha256(&mut self) -> Result<(), Error> {
        if [SHA256, SHA256_WITHOUT_PARAMETERS].contains(&self.whole(SEQUENCE)?) {
            Ok(())
        } else {
            Err(Error::Malformed("it is digested by another algorithm than SHA-256"))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied().filter(|_| self.at < self.end)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.peek().ok_or(Error::Malformed("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    /// Tag and length; `None` for the indefinite form. A definite length lies within
    /// what surrounds it.
    fn header(&mut self, tag: u8, otherwise: &'static str) -> Result<Option<usize>, Error> {
        if self.byte()? != tag {
            return Err(Error::Malformed(otherwise));
        }
        let length = match self.byte()? {
            short @ 0..=0x7f => usize::from(short),
            0x80 => return Ok(None),
            0x81 => match usize::from(self.byte()?) {
                length @ 0x80.. => length,
                _ => return Err(Error::Malformed("a length is longer than it need be")),
            },
            0x82 => match usize::from(self.byte()?) << 8 | usize::from(self.byte()?) {
                length @ 0x100.. => length,
                _ => return Err(Error::Malformed("a length is longer than it need be")),
            },
            _ => return Err(Error::Malformed("a length is beyond all bounds")),
        };
        if length > self.end - self.at {
            return Err(Error::Malformed("it ends too early"));
        }
        Ok(Some(length))
    }

    fn enter(&mut self, tag: u8) -> Result<Frame, Error> {
        self.enter_or(tag, "a part is missing or of another type")
    }

    fn enter_or(&mut self, tag: u8, otherwise: &'static str) -> Result<Frame, Error> {
        let outer = self.end;
        let end = self.header(tag, otherwise)?.map(|length| self.at + length);
        self.end = end.unwrap_or(outer);
        Ok(Frame { end, outer })
    }

    fn is_over(&self, frame: &Frame) -> bool {
        match frame.end {
            Some(end) => self.at >= end,
            None => self.peek() == Some(0),
        }
    }

    fn leave(&mut self, frame: &Frame, otherwise: &'static str) -> Result<(), Error> {
        if frame.end.is_none() && (self.byte()?, self.byte()?) != (0, 0) {
            return Err(Error::Malformed(otherwise));
        }
        if frame.end.is_some_and(|end| end != self.at) {
            return Err(Error::Malformed(otherwise));
        }
        self.end = frame.outer;
        Ok(())
    }

    /// The contents of a value of definite length.
    fn take(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        let length = self.header(tag, "a part is missing or of another type")?;
        let length = length.ok_or(Error::Malformed("a part has no definite length"))?;
        let contents = self.bytes.get(self.at..self.at + length).unwrap_or_default();
        self.at += length;
        Ok(contents)
    }

    /// A value of definite length, with its tag and length.
    fn whole(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        let start = self.at;
        self.take(tag)?;
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    /// The same, whatever its (one byte) tag is.
    fn any(&mut self) -> Result<&'a [u8], Error> {
        match self.peek() {
            Some(tag) if tag & 0x1f != 0x1f => self.whole(tag),
            Some(_) | None => Err(Error::Malformed("an attribute has no value")),
        }
    }

    fn exactly(&mut self, tag: u8, value: &[u8], otherwise: &'static str) -> Result<(), Error> {
        if self.take(tag)? == value { Ok(()) } else { Err(Error::Malformed(otherwise)) }
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const CHUNKED_OCTET_STRING: u8 = 0x24;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const MAX_CHUNKS: usize = 64;

const OID_SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const OID_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const OID_CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const OID_MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const OID_ALGORITHM_PROTECTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x34";
const SHA256: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
const SHA256_WITHOUT_PARAMETERS: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const SHA256_WITH_RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
/// CMSAlgorithmProtection { sha256, [1] sha256WithRSAEncryption or rsaEncryption }.
const ALGORITHM_PROTECTIONS: [&[u8]; 2] = [
    b"\x30\x1e\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
      \xa1\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
    b"\x30\x1e\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
      \xa1\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
];

/// Why the content is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than anything that AWS sends.
    #[error("the signed document has {length} bytes, more than the {MAX_BYTES} allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not of the one form.
    #[error("the signed document is not as AWS makes them: {0}")]
    Malformed(&'static str),
    /// It names another certificate.
    #[error("the signed document names another certificate as its signer")]
    OtherSigner,
    /// Signed is the digest of something else.
    #[error("the signature is of another document")]
    OtherContent,
    /// The signature is not by the certificate's key.
    #[error("the document is not signed by the key of the certificate that it names")]
    Signature,
}

#[cfg(test)]
#[path = "pkcs7_tests.rs"]
pub(super) mod tests;
