//! DSSE v1 envelopes: bytes that carry their signatures.
//!
//! <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>. What is
//! signed is the pre-authentication encoding of type and payload, so no canonical
//! JSON is needed. This file reads and writes envelopes and counts nothing: who
//! may sign what is decided in [`crate::verify`].
//!
//! Stricter than DSSE, against two readers seeing two things: at most
//! [`MAX_BYTES`] and [`MAX_SIGNATURES`], strict base64. As DSSE demands, both
//! base64 alphabets are accepted and unknown fields of the envelope are ignored.

use data_encoding::{BASE64, BASE64URL};
use serde::{Deserialize, Serialize};

use crate::key::{KeyId, PublicKey, SecretKey};

/// The longest envelope that is read, in bytes (catalogue T005).
pub const MAX_BYTES: usize = 256 * 1024;

/// The most signatures that are looked at (catalogue T011).
pub const MAX_SIGNATURES: usize = 16;

/// Bytes, their type, and signatures over both; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature, and whose it says it is; nobody decides by that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key_id: String,
    bytes: [u8; 64],
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    ///
    /// [`Error`] for what is too long, malformed, or has too many signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::TooLong { length: bytes.len() });
        }
        let json: Json = serde_json::from_slice(bytes)?;
        if json.signatures.len() > MAX_SIGNATURES {
            return Err(Error::TooManySignatures { count: json.signatures.len() });
        }
        let signatures = json
            .signatures
            .iter()
            .map(|signature| {
                let bytes = decode(&signature.sig)?.try_into().map_err(|_| Error::NotASignature)?;
                Ok(Signature { key_id: signature.keyid.clone(), bytes })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { payload_type: json.payload_type, payload: decode(&json.payload)?, signatures })
    }

    /// An envelope that nobody signed yet, for [`Envelope::attach`].
    pub fn unsigned(payload_type: &str, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.to_owned(), payload, signatures: Vec::new() }
    }

    /// Signs `payload` as a document of the kind `payload_type` with every key.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where it cannot be written as JSON, which no text makes
    /// it do.
    pub fn sign(payload_type: &str, payload: &[u8], keys: &[&SecretKey]) -> Result<Vec<u8>, Error> {
        let mut envelope = Self::unsigned(payload_type, payload.to_vec());
        let message = envelope.message();
        for key in keys {
            envelope.attach(&key.public(), key.sign(&message))?;
        }
        envelope.to_bytes()
    }

    /// What a signature is made over, wherever its key lies.
    pub fn message(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }

    /// Adds a key's signature over [`Envelope::message`]. A key that signed already
    /// does not sign twice.
    ///
    /// # Errors
    ///
    /// [`Error::OtherSignature`] for one that is not this key's over this message,
    /// [`Error::TooManySignatures`] where there is no room for one more.
    pub fn attach(&mut self, key: &PublicKey, signature: [u8; 64]) -> Result<(), Error> {
        if !key.verifies(&self.message(), &signature) {
            return Err(Error::OtherSignature { key: key.id() });
        }
        if self.signers(&[*key]).is_empty() {
            self.push(Signature { key_id: key.id().to_string(), bytes: signature })?;
        }
        Ok(())
    }

    /// Takes over the signatures of another envelope around the same bytes, as key
    /// holders return them from their ceremonies. They are not verified here.
    ///
    /// # Errors
    ///
    /// [`Error::OtherPayload`] where the two are around different documents,
    /// [`Error::TooManySignatures`] where there is no room.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if (&self.payload_type, &self.payload) != (&other.payload_type, &other.payload) {
            return Err(Error::OtherPayload);
        }
        for signature in &other.signatures {
            if self.signatures.iter().all(|ours| ours.bytes != signature.bytes) {
                self.push(signature.clone())?;
            }
        }
        Ok(())
    }

    fn push(&mut self, signature: Signature) -> Result<(), Error> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(Error::TooManySignatures {
                count: self.signatures.len().saturating_add(1),
            });
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// The bytes that are sent and stored.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where it cannot be written as JSON, which no text makes
    /// it do.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let signatures = self.signatures.iter().map(|signature| JsonSignature {
            keyid: signature.key_id.clone(),
            sig: BASE64.encode(&signature.bytes),
        });
        Ok(serde_json::to_vec(&Json {
            payload: BASE64.encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: signatures.collect(),
        })?)
    }

    /// Which kind of document the payload says it is.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// Which of `keys` signed it. Each key is there once, however often it signed
    /// and under whatever key id (catalogue T009, T010); key ids are not looked at.
    pub fn signers(&self, keys: &[PublicKey]) -> Vec<PublicKey> {
        let message = self.message();
        let signed = |key: &&PublicKey| {
            self.signatures.iter().any(|signature| key.verifies(&message, &signature.bytes))
        };
        keys.iter().filter(signed).copied().collect()
    }

    /// The payload, for who has counted the signers: [`crate::verify`] alone.
    pub(crate) fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// The payload, before anybody verified it, for showing to people.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }
}

/// `PAE(type, body)` of DSSE: lengths in ASCII decimal, one space between parts.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

/// DSSE: "MUST accept either standard or URL-safe encoding".
fn decode(text: &str) -> Result<Vec<u8>, Error> {
    BASE64
        .decode(text.as_bytes())
        .or_else(|_| BASE64URL.decode(text.as_bytes()))
        .map_err(|_| Error::NotBase64)
}

#[derive(Serialize, Deserialize)]
struct Json {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Serialize, Deserialize)]
struct JsonSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// Why bytes are no envelope.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than any honest envelope.
    #[error("the envelope has {length} bytes, more than the {MAX_BYTES} allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// More signatures than any honest envelope has.
    #[error("the envelope has {count} signatures, more than the {MAX_SIGNATURES} allowed")]
    TooManySignatures {
        /// How many.
        count: usize,
    },
    /// Not JSON of the right form.
    #[error("the envelope is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A field is not base64.
    #[error("a field of the envelope is not base64")]
    NotBase64,
    /// A signature has not the 64 bytes of Ed25519.
    #[error("a signature of the envelope is no Ed25519 signature")]
    NotASignature,
    /// What a signer returned does not verify.
    #[error("this is no signature of the key {key} over the document")]
    OtherSignature {
        /// The key that should have signed.
        key: KeyId,
    },
    /// Two envelopes that were to become one are around different bytes.
    #[error("these are signatures of another document")]
    OtherPayload,
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn t001_the_encoding_is_that_of_the_dsse_protocol() {
        let pae = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn t001_a_signature_is_the_known_answer() {
        // docs/trust.md 2.3; recomputed with openssl.
        let payload = br#"{"schema":1,"serial":42}"#;
        let kind = "application/vnd.example.bundle-manifest.v1+json";
        let message = pre_authentication_encoding(kind, payload);
        let expected = "5bbf3e964ac7ffa79da4c24adf1adb0ff43e1972b5672258b2bc0028f7d90de8\
                        a58eb47928c3af3326a3b9636907445af9860389aa4185601d0d9395945a5f0c";
        assert_eq!(HEXLOWER.encode(&key().sign(&message)), expected);
    }

    #[test]
    fn an_envelope_is_this_to_the_byte() {
        let envelope = Envelope::sign("text/plain", b"hello", &[&key()]).unwrap();
        insta::assert_snapshot!(String::from_utf8(envelope).unwrap());
    }

    #[test]
    fn t005_t011_what_is_too_long_is_refused_before_any_signature_is_checked() {
        let long = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(Envelope::parse(&long), Err(Error::TooLong { .. })));
        let signatures = vec![r#"{"sig":""}"#; MAX_SIGNATURES + 1].join(",");
        let many = format!(r#"{{"payload":"","payloadType":"x","signatures":[{signatures}]}}"#);
        assert!(matches!(Envelope::parse(many.as_bytes()), Err(Error::TooManySignatures { .. })));
    }

    #[test]
    fn both_alphabets_are_read_and_sloppy_base64_is_not() {
        assert_eq!(decode("-_-_").unwrap(), decode("+/+/").unwrap());
        for bad in ["-/-/", "AA", "AA=", "AB==", "A A=", "AA==\n"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pieces_of_a_ceremony_become_one_envelope() {
        let other = SecretKey::from_seed(&[7; 32]);
        let drawn = Envelope::unsigned("text/plain", b"hello".to_vec());
        let mut first = drawn.clone();
        first.attach(&key().public(), key().sign(&drawn.message())).unwrap();
        let mut second = Envelope::parse(&drawn.to_bytes().unwrap()).unwrap();
        second.attach(&other.public(), other.sign(&drawn.message())).unwrap();
        second.merge(&first).unwrap();
        second.merge(&first).unwrap();
        let both = [key().public(), other.public()];
        assert_eq!(second.signers(&both), both);
        assert_eq!(second.signatures.len(), 2);
    }

    #[test]
    fn what_is_not_a_signature_of_this_document_is_not_taken_in() {
        let mut drawn = Envelope::unsigned("text/plain", b"hello".to_vec());
        let elsewhere = Envelope::unsigned("text/plain", b"other".to_vec());
        let signature = key().sign(&elsewhere.message());
        let refused = drawn.attach(&key().public(), signature);
        assert!(matches!(refused, Err(Error::OtherSignature { .. })));
        assert!(matches!(drawn.merge(&elsewhere), Err(Error::OtherPayload)));
        assert_eq!(drawn.signatures, []);
    }

    #[test]
    fn t011_merging_never_makes_more_signatures_than_are_read() {
        let mut drawn = Envelope::unsigned("text/plain", b"hello".to_vec());
        for number in 0..MAX_SIGNATURES {
            let key = SecretKey::from_seed(&[u8::try_from(number).unwrap(); 32]);
            drawn.attach(&key.public(), key.sign(&drawn.message())).unwrap();
        }
        let refused = drawn.attach(&key().public(), key().sign(&drawn.message()));
        assert!(matches!(refused, Err(Error::TooManySignatures { .. })));
    }

    #[test]
    fn duplicate_fields_of_the_envelope_are_refused() {
        let twice = br#"{"payload":"","payload":"","payloadType":"x","signatures":[]}"#;
        assert!(Envelope::parse(twice).is_err());
    }
}
