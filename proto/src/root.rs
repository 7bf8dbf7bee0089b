//! The trust root: which keys may sign what, and how many of them it takes.
//!
//! A plain document; it is trusted only as [`crate::verify::Verified`]: as the root
//! that an image pins, or as its successor, one version after the other.

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, Fleet};
use crate::json;
use crate::key::{KeyId, PublicKey};
use crate::time::Timestamp;

/// The payload type of a trust root's envelope.
pub const TYPE: &str = "application/vnd.floe.root.v1+json";

/// The newest schema that this program knows, and the only one so far.
pub const SCHEMA: u32 = 1;

/// The longest trust root that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Which keys may sign what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The fleet that it governs.
    pub fleet: Fleet,
    /// 1 for the first, then one more each time.
    pub version: u32,
    /// The epoch that manifests must be signed under.
    pub epoch: Epoch,
    /// From when on nothing new is activated under it.
    pub expires: Timestamp,
    /// Every key that is named below, once.
    pub keys: Vec<PublicKey>,
    /// Who may sign the next root (and must have signed this one).
    pub root: Signers,
    /// Who may sign manifests.
    pub release: Signers,
}

/// Keys of which some must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signers {
    /// How many different keys must have signed.
    pub threshold: u32,
    /// The ids of the keys that count.
    pub keys: Vec<KeyId>,
}

impl Root {
    /// Parses the bytes of an envelope, and checks what a type cannot say.
    ///
    /// # Errors
    ///
    /// [`json::Error`] for what is no trust root of a known schema,
    /// [`Error::Invalid`] for one that contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let root: Self = json::parse(bytes, SCHEMA, MAX_BYTES)?;
        root.validate()?;
        Ok(root)
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a root that [`Root::parse`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.validate()?;
        Ok(serde_json::to_vec(self).map_err(json::Error::from)?)
    }

    /// The public keys of `signers`, each once.
    pub fn keys_of(&self, signers: &Signers) -> Vec<PublicKey> {
        self.keys.iter().filter(|key| signers.keys.contains(&key.id())).copied().collect()
    }

    fn validate(&self) -> Result<(), Error> {
        if self.version == 0 {
            return Err(Error::Invalid("its version is 0"));
        }
        let ids: Vec<_> = self.keys.iter().map(PublicKey::id).collect();
        if has_twins(&ids) {
            return Err(Error::Invalid("it lists a key twice"));
        }
        for signers in [&self.root, &self.release] {
            if has_twins(&signers.keys) {
                return Err(Error::Invalid("a role lists a key twice"));
            }
            if signers.keys.iter().any(|id| !ids.contains(id)) {
                return Err(Error::Invalid("a role names a key that is not listed"));
            }
            let count = signers.keys.len();
            let reachable = usize::try_from(signers.threshold)
                .is_ok_and(|needed| (1..=count).contains(&needed));
            if !reachable {
                return Err(Error::Invalid("a threshold is 0 or above the number of its keys"));
            }
        }
        Ok(())
    }
}

fn has_twins(ids: &[KeyId]) -> bool {
    ids.iter().enumerate().any(|(at, id)| ids[..at].contains(id))
}

/// Why bytes are no trust root.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("the trust root could not be read")]
    Json(#[from] json::Error),
    /// It was read, and contradicts itself.
    #[error("the trust root makes no sense: {0}")]
    Invalid(&'static str),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::key::SecretKey;

    pub(crate) fn key(number: u8) -> SecretKey {
        SecretKey::from_seed(&[number; 32])
    }

    /// A root whose root key is 1 and whose release keys are `release`.
    pub(crate) fn root(threshold: u32, release: &[u8]) -> Root {
        let mut keys = vec![key(1).public()];
        keys.extend(release.iter().filter(|number| **number != 1).map(|n| key(*n).public()));
        Root {
            schema: 1,
            fleet: "fossable.org".parse().unwrap(),
            version: 1,
            epoch: Epoch::new(0),
            expires: "2027-11-22T00:00:00Z".parse().unwrap(),
            keys,
            root: Signers { threshold: 1, keys: vec![key(1).public().id()] },
            release: Signers {
                threshold,
                keys: release.iter().map(|number| key(*number).public().id()).collect(),
            },
        }
    }

    #[test]
    fn what_is_signed_is_this_to_the_byte() {
        insta::assert_snapshot!(String::from_utf8(root(1, &[2]).to_bytes().unwrap()).unwrap());
    }

    #[test]
    fn t004_unknown_and_duplicate_fields_are_refused_at_every_depth() {
        let text = String::from_utf8(root(1, &[2]).to_bytes().unwrap()).unwrap();
        for (from, to) in [
            (r#""version":1"#, r#""version":1,"more":1"#),
            (r#""version":1"#, r#""version":1,"version":2"#),
            (r#""version":1"#, r#""version":1,"\u0076ersion":2"#),
            (r#""threshold":1"#, r#""threshold":1,"more":1"#),
            (r#""threshold":1"#, r#""threshold":1,"threshold":2"#),
        ] {
            assert!(text.contains(from), "{from}");
            // Refused by the types themselves, not only as something that floe would not write.
            let refused = Root::parse(text.replacen(from, to, 1).as_bytes());
            assert!(matches!(refused, Err(Error::Json(json::Error::Malformed(_)))), "{to}");
        }
    }

    #[test]
    fn t012_a_threshold_that_nobody_or_anybody_reaches_is_refused() {
        assert!(root(2, &[2, 3]).to_bytes().is_ok());
        assert!(root(0, &[2]).to_bytes().is_err());
        assert!(root(2, &[2]).to_bytes().is_err());
    }

    #[test]
    fn a_key_is_listed_once_and_named_only_if_listed() {
        let mut twice = root(1, &[2]);
        twice.keys.push(twice.keys[0]);
        assert!(twice.to_bytes().is_err());
        let mut named_twice = root(1, &[2]);
        named_twice.release.keys.push(named_twice.release.keys[0]);
        assert!(named_twice.to_bytes().is_err());
        let mut foreign = root(1, &[2]);
        foreign.release.keys[0] = key(9).public().id();
        assert!(foreign.to_bytes().is_err());
    }
}
