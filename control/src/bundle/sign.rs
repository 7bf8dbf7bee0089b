//! The release keys, and the manifest in its envelope.
//!
//! A key is looked at before anything is sent anywhere: whether it is one, and whether
//! the fleet's trust root lists it. Where the root asks for several, each holder adds a
//! signature, and nobody publishes before there are enough.

use std::path::{Path, PathBuf};

use floe_proto::digest::Digest;
use floe_proto::envelope::{self, Envelope};
use floe_proto::id::Fleet;
use floe_proto::key::{KeyId, PublicKey};
use floe_proto::manifest::{self, Manifest};
use floe_proto::preview;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};

use crate::signing::{self, Environment, KeySource, Signer, Unsigned};

/// A manifest that was signed, and believed under the trust root.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What is sent and stored.
    pub envelope: Vec<u8>,
    /// What it says.
    pub manifest: Verified<Manifest>,
}

/// How far an envelope is from being believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The release keys that signed, each once, in the order of the trust root.
    pub signed: Vec<KeyId>,
    /// The release keys that did not.
    pub missing: Vec<KeyId>,
    /// How many must.
    pub needed: u32,
}

impl Tally {
    /// Counts the release keys of `root` that signed `envelope`.
    pub fn of(envelope: &Envelope, root: &Root) -> Self {
        let keys = root.keys_of(&root.release);
        let signed: Vec<_> = envelope.signers(&keys).iter().map(PublicKey::id).collect();
        let missing = root.release.keys.iter().filter(|id| !signed.contains(id)).copied().collect();
        Self { signed, missing, needed: root.release.threshold }
    }

    /// Whether enough have signed.
    pub fn is_enough(&self) -> bool {
        usize::try_from(self.needed).is_ok_and(|needed| self.signed.len() >= needed)
    }
}

/// Puts `manifest` into an envelope that every one of `signers` signs.
///
/// # Errors
///
/// [`Error::Signer`] of the first that does not.
pub async fn sign(manifest: &Manifest, signers: &[Signer]) -> Result<Envelope, Error> {
    let bytes = manifest.to_bytes()?;
    let mut envelope = Envelope::unsigned(manifest::TYPE, bytes);
    add(&mut envelope, signers).await?;
    Ok(envelope)
}

/// Puts `manifest` into an envelope of the kind that is built and never run, which every one of
/// `signers` signs. What hosts of this trust root would not build is not made.
///
/// # Errors
///
/// As [`sign`]; [`Error::Refused`] where more must sign.
pub async fn preview(
    manifest: &Manifest,
    signers: &[Signer],
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<Vec<u8>, Error> {
    let mut envelope = Envelope::unsigned(preview::TYPE, manifest.to_bytes()?);
    add(&mut envelope, signers).await?;
    let envelope = envelope.to_bytes()?;
    verify::preview(&envelope, root, now)?;
    Ok(envelope)
}

/// Has every one of `signers` sign `envelope`, too.
///
/// # Errors
///
/// As [`sign`].
pub async fn add(envelope: &mut Envelope, signers: &[Signer]) -> Result<(), Error> {
    for signer in signers {
        signer.sign_envelope(envelope).await?;
    }
    Ok(())
}

/// Takes over the signatures of `other`, a copy in the file `path` that somebody else signed.
///
/// # Errors
///
/// [`Error::Unsigned`] for a copy that no release key of `root` signed, so that nothing
/// else takes the room of signatures; [`Error::Envelope`] for no copy, or too many.
pub fn merge(
    envelope: &mut Envelope,
    other: &Envelope,
    path: &Path,
    root: &Root,
) -> Result<(), Error> {
    if Tally::of(other, root).signed.is_empty() {
        return Err(Error::Unsigned { path: path.to_owned(), fleet: root.fleet.clone() });
    }
    Ok(envelope.merge(other)?)
}

/// What hosts of this trust root will believe of `envelope`.
///
/// # Errors
///
/// [`Error::Refused`] for what they would not: more signatures needed, expired root.
pub fn believe(
    envelope: &Envelope,
    root: &Verified<Root>,
    now: Timestamp,
) -> Result<Signed, Error> {
    let envelope = envelope.to_bytes()?;
    let manifest = verify::manifest(&envelope, root, now)?;
    Ok(Signed { envelope, manifest })
}

/// SHA-256 of what is signed, which names the bundle.
pub fn digest(envelope: &Envelope) -> Digest {
    Digest::of(envelope.unverified_payload())
}

/// Opens every one of `sources`, which `root` must list as release keys. May ask for
/// passphrases, so it comes before anything that shows progress. A key that is named
/// twice signs once.
///
/// # Errors
///
/// [`Error::Signer`] for what is no key, [`Error::Foreign`] for one that no host would
/// believe.
pub fn release_signers(
    sources: &[KeySource],
    root: &Root,
    environment: &Environment,
) -> Result<Vec<Signer>, Error> {
    let mut signers: Vec<Signer> = Vec::new();
    for source in sources {
        let signer = source.open(environment)?;
        let public = signer.public();
        if !root.release.keys.contains(&public.id()) {
            let (id, fleet) = (public.id(), root.fleet.clone());
            return Err(Error::Foreign { key: source.name(), id, fleet });
        }
        if signers.iter().all(|known| known.public() != public) {
            signers.push(signer);
        }
    }
    Ok(signers)
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key cannot be used.
    #[error(transparent)]
    Signer(#[from] signing::Error),
    /// A good key, but not of this fleet.
    #[error("the key `{key}` is no release key of `{fleet}`: trust.json does not list {id}")]
    Foreign {
        /// Its file, variable or program.
        key: String,
        /// The key's id.
        id: KeyId,
        /// Whose trust root does not list it.
        fleet: Fleet,
    },
    /// Nobody who counts signed it.
    #[error("no release key of `{fleet}` signed `{}`", path.display())]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// Whose trust root says so.
        fleet: Fleet,
    },
    /// What is to be said makes no sense.
    #[error("could not make the manifest")]
    Manifest(#[from] manifest::Error),
    /// The envelope could not be written, or has no room.
    #[error("could not sign the manifest")]
    Envelope(#[from] envelope::Error),
    /// Hosts would not believe it.
    #[error("hosts would refuse what was signed")]
    Refused(#[from] verify::Error),
}

impl From<Unsigned> for Error {
    fn from(error: Unsigned) -> Self {
        match error {
            Unsigned::Signer(error) => Self::Signer(error),
            Unsigned::Full(error) => Self::Envelope(error),
        }
    }
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Signer(error) => error.advice(),
            Self::Foreign { .. } => {
                "sign with a key that trust.json lists under `release`: `floe keys show` tells, \
                 `floe trust add-key` adds one"
                    .into()
            }
            Self::Unsigned { .. } => {
                "ask who sent it; it must be signed with `floe bundle sign`".into()
            }
            Self::Manifest(_) => "correct host.toml".into(),
            Self::Envelope(_) => "compare the files: all must be copies of one manifest".into(),
            Self::Refused(verify::Error::TooFewSignatures { .. }) => {
                "`floe bundle build` it, have others sign it with `floe bundle sign`, then \
                 `floe bundle publish`"
                    .into()
            }
            Self::Refused(error) => error.advice().into(),
        }
    }

    /// Whether this is a matter of trust, and not of a mistake.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Foreign { .. } | Self::Unsigned { .. } | Self::Refused(_) => true,
            Self::Signer(error) => error.is_refusal(),
            Self::Manifest(_) | Self::Envelope(_) => false,
        }
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
