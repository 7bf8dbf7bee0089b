//! THE door: signed bytes become a [`Verified`] document here, or nowhere.
//!
//! Verify first, parse after, and parse exactly the bytes that were verified
//! (SPIRE's bug was to verify one field and to use another: catalogue T061). All
//! checks that need only the document and the root are here; whether *this host*
//! may run it is [`crate::admit`]'s.

use std::ops::Deref;

use crate::digest::Digest;
use crate::envelope::{self, Envelope};
use crate::id::{Epoch, Fleet};
use crate::manifest::{self, Manifest};
use crate::root::{self, Root, Signers};
use crate::time::Timestamp;

/// A document whose signatures were checked; made by this file only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    document: T,
    digest: Digest,
}

impl<T> Verified<T> {
    /// SHA-256 of the bytes that were signed. Signatures and their order do not
    /// change it, so it names the document, not the envelope.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.document
    }
}

/// Opens the trust root that an image pins, or that an operator keeps.
///
/// It must be signed by its own root keys: that proves that the file is whole, and
/// that its keys can be used. That it is the *right* root follows from where the
/// file lay.
///
/// # Errors
///
/// [`Error`], also where the threshold of its own root role is not met.
pub fn pinned_root(envelope: &[u8]) -> Result<Verified<Root>, Error> {
    let envelope = open(envelope, root::TYPE)?;
    // To know its keys it must be read before it is verified; nothing of it is
    // used but the keys, and what is returned is the same parse of the same bytes.
    let document = Root::parse(envelope.unverified_payload())?;
    require(&envelope, &document, &document.root, "root")?;
    let digest = Digest::of(envelope.unverified_payload());
    Ok(Verified { document, digest })
}

/// Opens a manifest that was signed under `root`.
///
/// # Errors
///
/// [`Error`]: not an envelope of a manifest, too few release signatures, malformed,
/// of another fleet or a later epoch, expired, or under an expired root.
pub fn manifest(
    envelope: &[u8],
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<Verified<Manifest>, Error> {
    let envelope = open(envelope, manifest::TYPE)?;
    require(&envelope, root, &root.release, "release")?;
    if now >= root.expires {
        return Err(Error::RootExpired { version: root.version, expired: root.expires });
    }

    let bytes = envelope.into_payload();
    let digest = Digest::of(&bytes);
    let document = Manifest::parse(&bytes)?;
    if document.fleet != root.fleet {
        return Err(Error::OtherFleet { ours: root.fleet.clone(), theirs: document.fleet });
    }
    if document.epoch != root.epoch {
        return Err(Error::OtherEpoch { ours: root.epoch, theirs: document.epoch });
    }
    if now >= document.expires {
        return Err(Error::Expired { expired: document.expires });
    }
    Ok(Verified { document, digest })
}

fn open(envelope: &[u8], expected: &'static str) -> Result<Envelope, Error> {
    let envelope = Envelope::parse(envelope)?;
    if envelope.payload_type() != expected {
        let found = envelope.payload_type().escape_debug().take(120).collect();
        return Err(Error::OtherKind { expected, found });
    }
    Ok(envelope)
}

/// Counts distinct public keys of the role, not signatures and not key ids.
fn require(
    envelope: &Envelope,
    root: &Root,
    signers: &Signers,
    role: &'static str,
) -> Result<(), Error> {
    let needed = signers.threshold;
    let found = envelope.count_signers(&root.keys_of(signers));
    if usize::try_from(needed).is_ok_and(|needed| found >= needed) {
        Ok(())
    } else {
        Err(Error::TooFewSignatures { role, needed, found })
    }
}

/// Why signed bytes were not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No envelope.
    #[error("this is no signed document")]
    Envelope(#[from] envelope::Error),
    /// Signed, but as another kind of document.
    #[error("this is signed as `{found}`, not as `{expected}`")]
    OtherKind {
        /// The type that was asked for.
        expected: &'static str,
        /// The type that it has.
        found: String,
    },
    /// Not enough of the right keys signed it.
    #[error("{found} of the trust root's {role} keys signed this, {needed} must")]
    TooFewSignatures {
        /// The role whose keys count: `root` or `release`.
        role: &'static str,
        /// How many keys must sign.
        needed: u32,
        /// How many did.
        found: usize,
    },
    /// The signed bytes are no trust root.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// The signed bytes are no manifest.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// Signed for another fleet.
    #[error("the manifest is for the fleet `{theirs}`, not for `{ours}`")]
    OtherFleet {
        /// The trust root's fleet.
        ours: Fleet,
        /// The manifest's fleet.
        theirs: Fleet,
    },
    /// Signed under another epoch than the trust root's.
    #[error("the manifest was signed under epoch {theirs}, the trust root has epoch {ours}")]
    OtherEpoch {
        /// The trust root's epoch.
        ours: Epoch,
        /// The manifest's epoch.
        theirs: Epoch,
    },
    /// The manifest's time is over.
    #[error("the manifest expired at {expired}")]
    Expired {
        /// When.
        expired: Timestamp,
    },
    /// The trust root's time is over.
    #[error("version {version} of the trust root expired at {expired}")]
    RootExpired {
        /// Which root.
        version: u32,
        /// When.
        expired: Timestamp,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Envelope(_) | Self::OtherKind { .. } | Self::Root(_) => {
                "check that this is the file you meant, and that it is complete"
            }
            Self::TooFewSignatures { .. } => {
                "sign with a key that `trust.json` lists; if you did not expect this, ask who signed it"
            }
            Self::Manifest(manifest::Error::Json(crate::json::Error::NewerSchema { .. })) => {
                "this program is too old for the manifest: update it"
            }
            Self::Manifest(_) => "sign it again with this version of floe",
            Self::OtherFleet { .. } => "push from the repository of the fleet that you mean",
            Self::OtherEpoch { .. } => "push again, with the newest trust root in the repository",
            Self::Expired { .. } => "push again: the new manifest gets a new expiry",
            Self::RootExpired { .. } => "make the next version of the trust root and publish it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::manifest::tests::full;
    use crate::root::tests::{key, root};

    const NOW: &str = "2026-11-23T00:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn pinned(threshold: u32, release: &[u8]) -> Verified<Root> {
        let bytes = root(threshold, release).to_bytes().unwrap();
        pinned_root(&Envelope::sign(root::TYPE, &bytes, &[&key(1)]).unwrap()).unwrap()
    }

    fn signed_by(keys: &[&SecretKey]) -> Vec<u8> {
        Envelope::sign(manifest::TYPE, &full().to_bytes().unwrap(), keys).unwrap()
    }

    #[test]
    fn t001_a_manifest_signed_by_a_release_key_is_believed() {
        let manifest = manifest(&signed_by(&[&key(2)]), &pinned(1, &[2]), now()).unwrap();
        assert_eq!(*manifest, full());
        assert_eq!(manifest.digest(), Digest::of(&full().to_bytes().unwrap()));
    }

    #[test]
    fn t002_no_single_bit_flip_is_believed() {
        let (root, good) = (pinned(1, &[2]), signed_by(&[&key(2)]));
        let honest = manifest(&good, &root, now()).unwrap();
        for at in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            // Flips of the key id, or of insignificant bytes, change nothing.
            if let Ok(manifest) = manifest(&flipped, &root, now()) {
                assert_eq!(manifest, honest, "bit {at}");
            }
        }
    }

    #[test]
    fn t007_a_document_of_another_kind_is_not_a_manifest() {
        let as_root = Envelope::sign(root::TYPE, &full().to_bytes().unwrap(), &[&key(2)]).unwrap();
        let refused = manifest(&as_root, &pinned(1, &[2]), now());
        assert!(matches!(refused, Err(Error::OtherKind { .. })));
    }

    #[test]
    fn t009_a_threshold_counts_keys_not_signatures_and_not_ids() {
        let root = pinned(2, &[2, 3]);
        let (two, three, stranger) = (key(2), key(3), key(9));
        let refused = |keys: &[&SecretKey]| {
            matches!(manifest(&signed_by(keys), &root, now()), Err(Error::TooFewSignatures { .. }))
        };
        assert!(refused(&[]));
        assert!(refused(&[&two]));
        assert!(refused(&[&two, &two]));
        assert!(refused(&[&two, &stranger]));
        assert!(!refused(&[&two, &three]));

        let text = String::from_utf8(signed_by(&[&two, &three])).unwrap();
        let relabelled = text.replace(&two.public().id().to_string(), "whoever");
        assert!(manifest(relabelled.as_bytes(), &root, now()).is_ok());
        let twice = String::from_utf8(signed_by(&[&two, &two])).unwrap();
        let twice = twice.replacen(&two.public().id().to_string(), "somebody else", 1);
        assert!(manifest(twice.as_bytes(), &root, now()).is_err());
    }

    #[test]
    fn t021_a_manifest_of_another_fleet_is_refused() {
        let mut other = full();
        other.fleet = "example.org".parse().unwrap();
        let signed =
            Envelope::sign(manifest::TYPE, &other.to_bytes().unwrap(), &[&key(2)]).unwrap();
        assert!(matches!(
            manifest(&signed, &pinned(1, &[2]), now()),
            Err(Error::OtherFleet { .. })
        ));
    }

    #[test]
    fn only_the_trust_root_raises_the_epoch() {
        let mut later = full();
        later.epoch = Epoch::new(1);
        let signed =
            Envelope::sign(manifest::TYPE, &later.to_bytes().unwrap(), &[&key(2)]).unwrap();
        assert!(matches!(
            manifest(&signed, &pinned(1, &[2]), now()),
            Err(Error::OtherEpoch { .. })
        ));
    }

    #[test]
    fn t154_nothing_new_is_believed_after_the_end_of_manifest_or_root() {
        let (root, signed) = (pinned(1, &[2]), signed_by(&[&key(2)]));
        let at = |text: &str| manifest(&signed, &root, text.parse().unwrap());
        assert!(matches!(at("2027-02-20T20:28:00Z"), Err(Error::Expired { .. })));
        assert!(matches!(at("2027-11-22T00:00:00Z"), Err(Error::RootExpired { .. })));
    }

    #[test]
    fn a_root_must_be_signed_by_its_own_root_keys() {
        let bytes = root(1, &[2]).to_bytes().unwrap();
        let by_release = Envelope::sign(root::TYPE, &bytes, &[&key(2)]).unwrap();
        assert!(matches!(pinned_root(&by_release), Err(Error::TooFewSignatures { .. })));
    }
}
