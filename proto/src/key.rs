//! Ed25519 keys; the only caller of `verify_strict`.
//!
//! Weak keys are refused when they are loaded: for the identity point one fixed
//! signature verifies under any message with a plain `verify` (RFC 8032 leaves it
//! open). A key's id is a hint for people and logs; decisions compare keys.

use std::fmt;

use data_encoding::BASE64;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::digest::Digest;

/// SHA-256 of a public key's 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// A public key that is not weak. Text form: base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032, section 5.1.5.
    ///
    /// # Errors
    ///
    /// [`Error::Weak`] for a key of small order, [`Error::NotAKey`] for bytes that
    /// are no point of the curve in their one canonical form.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| Error::NotAKey)?;
        if key.is_weak() {
            return Err(Error::Weak);
        }
        // Decompression reduces y modulo p, so some points have two spellings.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(Error::NotAKey);
        }
        Ok(Self(key))
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(self.0.as_bytes()))
    }

    /// Whether `signature` is this key's over `message` (`verify_strict`).
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", BASE64.encode(self.0.as_bytes()))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| Error::NotAKey)?;
        Self::from_bytes(&bytes.try_into().map_err(|_| Error::NotAKey)?)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64.encode(key.0.as_bytes())
    }
}

/// A secret key; wiped when dropped, never printed.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`Error::NoRandomness`] where the system has none to give.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|_| Error::NoRandomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of RFC 8032's 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM (RFC 8410), as `floe keys new` and openssl write it.
    ///
    /// # Errors
    ///
    /// [`Error::NotAKey`] where it is something else.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| Error::NotAKey)
    }

    /// Writes PKCS#8 PEM (RFC 8410) in its first version, without the public key: openssl
    /// does not read the second (RFC 5958).
    ///
    /// # Errors
    ///
    /// [`Error::NotAKey`] where the encoder refuses, which no valid key makes it do.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let key = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::NotAKey)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Pure Ed25519 over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The seed, for who must store it; wiped when dropped.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = self.0.to_bytes();
        let seed = Zeroizing::new(bytes);
        bytes.zeroize();
        seed
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().id())
    }
}

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an Ed25519 key in the expected form.
    #[error("this is no Ed25519 key")]
    NotAKey,
    /// A key of small order: anybody can sign for it.
    #[error("this Ed25519 key is weak: anybody can sign for it")]
    Weak,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn t018_weak_and_non_canonical_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(Error::Weak));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(Error::Weak));
        // p + y for y = 1, the identity, and for y = 3, a key as good as any: both have a
        // shorter spelling.
        for first in [0xee, 0xf0] {
            let mut synonym = [0xff; 32];
            (synonym[0], synonym[31]) = (first, 0x7f);
            assert!(PublicKey::from_bytes(&synonym).is_err());
        }
    }

    #[test]
    fn t018_a_signature_that_was_made_without_a_nonce_is_refused() {
        // R is the identity and S is k·a (RFC 8032, section 5.1.6, with r = 0), computed by
        // hand: a plain `verify` takes it, `verify_strict` takes no R of small order.
        let without_nonce = "0100000000000000000000000000000000000000000000000000000000000000\
                             a4402f7a3d270be4255b95e82d5bbea5885fd4e62f3df9f708b2a5e148d8210a";
        let bytes = data_encoding::HEXLOWER.decode(without_nonce.as_bytes()).unwrap();
        assert!(!key().public().verifies(b"any message", &bytes.try_into().unwrap()));
        assert!(key().public().verifies(b"any message", &key().sign(b"any message")));
    }

    #[test]
    fn a_secret_key_survives_its_pem() {
        let again = SecretKey::from_pem(&key().to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key().public());
        assert!(SecretKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n").is_err());
        // RFC 8410, section 10.3: the first example's form, which is 48 bytes long.
        assert_eq!(key().to_pem().unwrap().lines().nth(1).unwrap().len(), 64);
    }

    #[test]
    fn a_secret_key_does_not_print() {
        let shown = format!("{:?}", key());
        assert!(!shown.contains("00010203") && shown.contains(&key().public().id().to_string()));
    }
}
