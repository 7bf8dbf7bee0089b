//! Sealing: what only the holder of one key can read.
//!
//! HPKE in base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305, as rustls has it. Base mode says nothing of who sealed: what is sealed is an
//! envelope with signatures of its own, which is verified after it was opened, never before.
//!
//! ```text
//! sealed = 0x01 ‖ enc (32 bytes) ‖ ciphertext
//! info   = "floe secrets v1" ‖ 0 ‖ fleet ‖ 0 ‖ role ‖ 0 ‖ recipient
//! ```

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::envelope;
use crate::id::{Fleet, HostId, Role};

/// The longest that is opened, in bytes: an envelope, and what sealing adds to it.
pub const MAX_BYTES: usize = envelope::MAX_BYTES + 1 + KEY_BYTES + TAG_BYTES;

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// The public half of a key that can be sealed to: X25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingKey([u8; KEY_BYTES]);

impl SealingKey {
    /// The bytes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for SealingKey {
    type Error = InvalidKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let key = <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| InvalidKey)?;
        // Of small order: whoever seals to it seals to everybody (RFC 7748, section 6.1). HPKE
        // itself refuses the rest of these when it is used.
        if key == [0; KEY_BYTES] { Err(InvalidKey) } else { Ok(Self(key)) }
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64.encode(&self.0))
    }
}

impl FromStr for SealingKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::try_from(BASE64.decode(text.as_bytes()).map_err(|_| InvalidKey)?.as_slice())
    }
}

impl TryFrom<String> for SealingKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<SealingKey> for String {
    fn from(key: SealingKey) -> Self {
        key.to_string()
    }
}

/// The bytes or the text are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no X25519 public key: 32 bytes, in base64 where it is a text")]
pub struct InvalidKey;

/// A key that opens what was sealed to its public half. Not printed; wiped when dropped.
pub struct OpeningKey {
    secret: HpkePrivateKey,
    public: SealingKey,
}

impl OpeningKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] where the system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        let (public, secret) = SUITE.generate_key_pair().map_err(Error::Key)?;
        let public = SealingKey::try_from(public.0.as_slice()).map_err(|_| Error::Stored)?;
        Ok(Self { secret, public })
    }

    /// What [`Self::to_bytes`] gave.
    ///
    /// # Errors
    ///
    /// [`Error::Stored`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != 2 * KEY_BYTES {
            return Err(Error::Stored);
        }
        let (secret, public) = bytes.split_at(KEY_BYTES);
        let key = Self {
            secret: HpkePrivateKey::from(secret.to_vec()),
            public: SealingKey::try_from(public).map_err(|_| Error::Stored)?,
        };
        // That the halves belong together shows by using them.
        let enc_and_text = SUITE.seal(&[], &[], b"", &HpkePublicKey(public.to_vec()));
        let (enc, text) = enc_and_text.map_err(|_| Error::Stored)?;
        SUITE.open(&enc, &[], &[], &text, &key.secret).map_err(|_| Error::Stored)?;
        Ok(key)
    }

    /// Both halves, the secret one first, for a file that only its owner can read.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let halves = [self.secret.secret_bytes(), self.public.as_bytes()];
        Zeroizing::new(halves.concat())
    }

    /// The half that is shown to others.
    pub fn public(&self) -> SealingKey {
        self.public
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Whom something is sealed to, and as what: what was sealed to one opens as nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The role whose secrets they are.
    pub role: &'a Role,
    /// Who.
    pub who: Who<'a>,
}

/// Who opens.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// A host.
    Host(&'a HostId),
    /// The control plane, for hosts that come later.
    Escrow,
}

impl Recipient<'_> {
    fn info(&self) -> Vec<u8> {
        // No name has a zero byte in it, and no host is called `escrow`.
        let who = match self.who {
            Who::Host(host) => host.as_str(),
            Who::Escrow => "escrow",
        };
        ["floe secrets v1", self.fleet.as_str(), self.role.as_str(), who].join("\0").into_bytes()
    }
}

/// Seals `plain`, at most [`envelope::MAX_BYTES`] of it.
///
/// # Errors
///
/// [`Error::TooLong`], and [`Error::Key`] for a key that cannot be sealed to.
pub fn seal(plain: &[u8], key: &SealingKey, to: Recipient<'_>) -> Result<Vec<u8>, Error> {
    if plain.len() > envelope::MAX_BYTES {
        return Err(Error::TooLong { length: plain.len() });
    }
    let key = HpkePublicKey(key.0.to_vec());
    let (enc, text) = SUITE.seal(&to.info(), &[], plain, &key).map_err(Error::Key)?;
    Ok([&[VERSION], enc.0.as_slice(), &text].concat())
}

/// Opens what was sealed to `key` as `to`.
///
/// # Errors
///
/// [`Error::TooLong`], [`Error::Version`], and [`Error::NotOurs`] for all that was not sealed to
/// this key, for another recipient, or was changed.
pub fn open(
    sealed: &[u8],
    key: &OpeningKey,
    to: Recipient<'_>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if sealed.len() > MAX_BYTES {
        return Err(Error::TooLong { length: sealed.len() });
    }
    let (version, rest) = sealed.split_first().ok_or(Error::NotOurs)?;
    if *version != VERSION {
        return Err(Error::Version { version: *version });
    }
    let (enc, text) = rest.split_at_checked(KEY_BYTES).ok_or(Error::NotOurs)?;
    let enc = EncapsulatedSecret(enc.to_vec());
    let plain = SUITE.open(&enc, &to.info(), &[], text, &key.secret);
    plain.map(Zeroizing::new).map_err(|_| Error::NotOurs)
}

/// Why nothing was sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than any honest one.
    #[error("sealed secrets have {length} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// Their length in bytes.
        length: usize,
    },
    /// Sealed by a newer floe.
    #[error("the secrets are sealed in version {version}, this program knows {VERSION}")]
    Version {
        /// What it says.
        version: u8,
    },
    /// It does not open.
    #[error("the secrets are sealed to another key or recipient, or damaged")]
    NotOurs,
    /// No key, or no randomness.
    #[error("the key cannot be used")]
    Key(#[source] rustls::Error),
    /// The file of a key is none.
    #[error("the stored key is damaged")]
    Stored,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> (Fleet, Role, HostId) {
        ("fossable.org".parse().unwrap(), "www".parse().unwrap(), "local-www-1".parse().unwrap())
    }

    #[test]
    fn only_the_recipient_opens_and_only_as_what_it_was_sealed() {
        let (fleet, role, host) = names();
        let (key, other) = (OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap());
        let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&host) };
        let sealed = seal(b"hunter2", &key.public(), to).unwrap();
        assert_eq!(open(&sealed, &key, to).unwrap().as_slice(), b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));

        let opens = |key, to| open(&sealed, key, to).is_ok();
        assert!(!opens(&other, to));
        let (role2, host2) = ("db".parse().unwrap(), "local-www-2".parse().unwrap());
        for elsewhere in [
            Recipient { fleet: &"example.org".parse().unwrap(), ..to },
            Recipient { role: &role2, ..to },
            Recipient { who: Who::Host(&host2), ..to },
            Recipient { who: Who::Escrow, ..to },
        ] {
            assert!(!opens(&key, elsewhere), "{elsewhere:?}");
        }
        // Nobody learns from equal bytes that equal things were sealed.
        assert_ne!(sealed, seal(b"hunter2", &key.public(), to).unwrap());
    }

    #[test]
    fn a_key_comes_back_from_its_bytes_and_nothing_else_does() {
        let (one, other) = (OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap());
        let bytes = one.to_bytes();
        assert_eq!(OpeningKey::from_bytes(&bytes).unwrap().public(), one.public());
        assert!(OpeningKey::from_bytes(&bytes[1..]).is_err());
        let mixed = [&bytes[..32], other.public().as_bytes()].concat();
        assert!(OpeningKey::from_bytes(&mixed).is_err());
        assert!(!format!("{one:?}").contains(&BASE64.encode(&bytes[..32])));
        assert_eq!(one.public().to_string().parse(), Ok(one.public()));
    }

    #[test]
    fn a_key_of_small_order_is_not_sealed_to() {
        let (fleet, role, host) = names();
        let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&host) };
        assert!(SealingKey::try_from([0; 32].as_slice()).is_err());
        let mut one = [0; 32];
        one[0] = 1;
        assert!(seal(b"x", &SealingKey(one), to).is_err());
    }

    proptest! {
        #[test]
        fn what_was_changed_does_not_open(at in 0_usize..64, bit in 0_u8..8) {
            let (fleet, role, host) = names();
            let key = OpeningKey::generate().unwrap();
            let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&host) };
            let mut sealed = seal(b"hunter2", &key.public(), to).unwrap();
            let at = at % sealed.len();
            // The highest bit of X25519's u-coordinate is masked (RFC 7748, section 5), but HPKE
            // hashes the encoding as it came.
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&sealed, &key, to).is_err());
        }

        #[test]
        fn any_bytes_are_refused_and_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (fleet, role, host) = names();
            let key = OpeningKey::generate().unwrap();
            let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&host) };
            prop_assert!(open(&bytes, &key, to).is_err());
        }
    }
}
