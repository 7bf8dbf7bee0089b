//! THE door: signed bytes become a [`Verified`] document here, or nowhere.
//!
//! Verify first, parse after, and parse exactly the bytes that were verified
//! (SPIRE's bug was to verify one field and to use another: catalogue T061). All
//! checks that need only the document and the root are here; whether *this host*
//! may run it is [`crate::admit`]'s.

use std::ops::Deref;

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::envelope::{self, Envelope};
use crate::id::{Epoch, Fleet};
use crate::key::PublicKey;
use crate::login::{self, Login};
use crate::manifest::{self, Manifest};
use crate::preview::{self, Preview};
use crate::root::{self, Root, Signers};
use crate::secret::{self, SecretSet};
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

/// Opens the next version of a trust root that is believed already.
///
/// TUF 5.3: it must be exactly one version further, and carry the thresholds of both
/// root roles, the old and the new one. An expired `current` still names its
/// successor, and a successor may itself be over: only the last of a chain must be
/// good, which [`manifest`] looks at.
///
/// # Errors
///
/// [`Error`]: not a trust root, too few signatures of either role, of another fleet,
/// not the next version, or of an earlier epoch.
pub fn successor(envelope: &[u8], current: &Verified<Root>) -> Result<Verified<Root>, Error> {
    let envelope = open(envelope, root::TYPE)?;
    require(&envelope, current, &current.root, "root")?;
    let document = Root::parse(envelope.unverified_payload())?;
    if document.fleet != current.fleet {
        return Err(Error::OtherFleet { ours: current.fleet.clone(), theirs: document.fleet });
    }
    if Some(document.version) != current.version.checked_add(1) {
        return Err(Error::NotTheNext { ours: current.version, theirs: document.version });
    }
    if document.epoch < current.epoch {
        return Err(Error::OtherEpoch { ours: current.epoch, theirs: document.epoch });
    }
    require(&envelope, &document, &document.root, "new root")?;
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
    let (document, digest) = stated(envelope, manifest::TYPE, root, now)?;
    Ok(Verified { document, digest })
}

/// Opens a preview that was signed under `root`.
///
/// # Errors
///
/// As [`manifest`]: a manifest is no preview, and a preview no manifest.
pub fn preview(
    envelope: &[u8],
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<Verified<Preview>, Error> {
    let (document, digest) = stated(envelope, preview::TYPE, root, now)?;
    Ok(Verified { document: Preview::of(document), digest })
}

/// What is said about a payload in a document of the kind `expected`.
fn stated(
    envelope: &[u8],
    expected: &'static str,
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<(Manifest, Digest), Error> {
    let bytes = released(envelope, expected, root, now)?;
    let digest = Digest::of(&bytes);
    let document = Manifest::parse(&bytes)?;
    of_root(root, &document.fleet, document.epoch)?;
    if now >= document.expires {
        return Err(Error::Expired { expired: document.expires });
    }
    Ok((document, digest))
}

/// Opens the secrets of a role that were signed under `root`.
///
/// # Errors
///
/// [`Error`]: not an envelope of secrets, too few release signatures, malformed, of another fleet
/// or epoch, or under an expired root. Secrets themselves do not expire.
pub fn secrets(
    envelope: &[u8],
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<Verified<SecretSet>, Error> {
    let (document, digest) = secret_set(released(envelope, secret::TYPE, root, now)?)?;
    of_root(root, &document.fleet, document.epoch)?;
    Ok(Verified { document, digest })
}

/// Opens secrets that this host verified when they came, and kept: a trust root that has changed
/// since, or is over, takes nothing away from a host that runs.
///
/// # Errors
///
/// [`Error`]: not the document with this `digest`, which the host noted when it verified it.
pub fn kept_secrets(envelope: &[u8], digest: Digest) -> Result<Verified<SecretSet>, Error> {
    let envelope = open(envelope, secret::TYPE)?;
    let (document, found) = secret_set(envelope.into_payload())?;
    if found != digest {
        return Err(Error::OtherDocument);
    }
    Ok(Verified { document, digest })
}

fn secret_set(bytes: Vec<u8>) -> Result<(SecretSet, Digest), Error> {
    let bytes = Zeroizing::new(bytes);
    Ok((SecretSet::parse(&bytes)?, Digest::of(&bytes)))
}

/// Opens the login of an operator whose login key is `key`.
///
/// # Errors
///
/// [`Error`]: not an envelope of a login, not signed by this key, malformed, for
/// another fleet or another request, or not of now.
pub fn login(
    envelope: &[u8],
    key: &PublicKey,
    fleet: &Fleet,
    request: &[u8],
    now: Timestamp,
) -> Result<Verified<Login>, Error> {
    let envelope = open(envelope, login::TYPE)?;
    if envelope.signers(&[*key]).is_empty() {
        return Err(Error::OtherLoginKey);
    }
    let bytes = envelope.into_payload();
    let digest = Digest::of(&bytes);
    let document = Login::parse(&bytes).map_err(Error::Login)?;
    if document.fleet != *fleet {
        return Err(Error::OtherFleet { ours: fleet.clone(), theirs: document.fleet });
    }
    if document.request != Digest::of(request) {
        return Err(Error::OtherRequest);
    }
    let apart = now.since(document.created).max(document.created.since(now));
    if apart > login::GOOD_FOR {
        return Err(Error::NotOfNow { created: document.created });
    }
    Ok(Verified { document, digest })
}

/// The bytes that enough release keys of `root` signed as `expected`, while it is in force.
fn released(
    envelope: &[u8],
    expected: &'static str,
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<Vec<u8>, Error> {
    let envelope = open(envelope, expected)?;
    require(&envelope, root, &root.release, "release")?;
    if now >= root.expires {
        return Err(Error::RootExpired { version: root.version, expired: root.expires });
    }
    Ok(envelope.into_payload())
}

/// Whether a document was signed for the fleet of `root`, and under its epoch.
fn of_root(root: &Root, fleet: &Fleet, epoch: Epoch) -> Result<(), Error> {
    if *fleet != root.fleet {
        return Err(Error::OtherFleet { ours: root.fleet.clone(), theirs: fleet.clone() });
    }
    if epoch != root.epoch {
        return Err(Error::OtherEpoch { ours: root.epoch, theirs: epoch });
    }
    Ok(())
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
    let found = envelope.signers(&root.keys_of(signers)).len();
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
        /// The role whose keys count: `root`, `release`, or a successor's `new root`.
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
    /// The signed bytes are no secrets.
    #[error(transparent)]
    Secrets(#[from] secret::Error),
    /// Not what was kept.
    #[error("this is not the document that was kept")]
    OtherDocument,
    /// The signed bytes are no login.
    #[error("this is no login")]
    Login(#[source] crate::json::Error),
    /// Not the operator's login key signed it.
    #[error("this was not signed by the operator's login key")]
    OtherLoginKey,
    /// A login for another certificate.
    #[error("this login was signed for another request")]
    OtherRequest,
    /// A login from long ago, or from the future.
    #[error("this login was signed at {created}, more than five minutes from now")]
    NotOfNow {
        /// When it says.
        created: Timestamp,
    },
    /// Signed for another fleet.
    #[error("this was signed for the fleet `{theirs}`, not for `{ours}`")]
    OtherFleet {
        /// The trust root's fleet.
        ours: Fleet,
        /// The document's fleet.
        theirs: Fleet,
    },
    /// Signed under another epoch than the trust root's.
    #[error("this was signed under epoch {theirs}, the trust root has epoch {ours}")]
    OtherEpoch {
        /// The trust root's epoch.
        ours: Epoch,
        /// The document's epoch.
        theirs: Epoch,
    },
    /// A trust root that does not follow the one that is believed.
    #[error("this is version {theirs} of the trust root; only the one after {ours} can follow it")]
    NotTheNext {
        /// The version that is believed.
        ours: u32,
        /// The version that was offered.
        theirs: u32,
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
            Self::Secrets(secret::Error::Json(crate::json::Error::NewerSchema { .. })) => {
                "this program is too old for the secrets: update it"
            }
            Self::Secrets(_) => "sign them again with this version of floe: `floe secrets seal`",
            Self::OtherDocument => "publish the secrets again: `floe secrets seal`",
            Self::Login(_) | Self::OtherRequest => "log in again with this version of floe",
            Self::OtherLoginKey => "log in with the key that an admin put on record for you",
            Self::NotOfNow { .. } => "set the clock, and log in again",
            Self::NotTheNext { .. } => "publish every version, one after the other",
            Self::OtherFleet { .. } => "push from the repository of the fleet that you mean",
            Self::OtherEpoch { .. } => "push again, with the newest trust root in the repository",
            Self::Expired { .. } => "push again: the new manifest gets a new expiry",
            Self::RootExpired { .. } => "make the next version of the trust root and publish it",
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
