//! A bundle that lies in two files, read and verified as a host would.
//!
//! `<name>.tar.zst` is the payload, `<name>.manifest.json` the envelope; either name
//! stands for both.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use floe_proto::digest::{Digest, Hasher};
use floe_proto::envelope::{self, Envelope};
use floe_proto::manifest::{self, Kind, Manifest};
use floe_proto::payload::limits::Limits;
use floe_proto::payload::unpack::{self, unpack};
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};
use serde::Deserialize;
use walkdir::WalkDir;

use super::listed;

/// What a payload's file name ends with.
pub const PAYLOAD: &str = ".tar.zst";

/// What a manifest's file name ends with.
pub const MANIFEST: &str = ".manifest.json";

/// What the name of the directory with a closure's NARs ends with.
pub const CLOSURE: &str = ".closure";

/// The two files of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The payload.
    pub payload: PathBuf,
    /// The manifest in its envelope.
    pub manifest: PathBuf,
    /// The binary cache with the NARs of a closure; they may be in the bucket already.
    pub closure: PathBuf,
}

impl Files {
    /// The files of the bundle `stem` in `directory`.
    pub fn named(directory: &Path, stem: &str) -> Self {
        Self {
            payload: directory.join(format!("{stem}{PAYLOAD}")),
            manifest: directory.join(format!("{stem}{MANIFEST}")),
            closure: directory.join(format!("{stem}{CLOSURE}")),
        }
    }

    /// The files of which `either` is one.
    ///
    /// # Errors
    ///
    /// [`Error::NotABundle`] where the name is neither's.
    pub fn of(either: &Path) -> Result<Self, Error> {
        let not_a_bundle = || Error::NotABundle { path: either.to_owned() };
        let name = either.file_name().and_then(|name| name.to_str()).ok_or_else(not_a_bundle)?;
        let stem = name.strip_suffix(PAYLOAD).or_else(|| name.strip_suffix(MANIFEST));
        let directory = either.parent().unwrap_or_else(|| Path::new(""));
        Ok(Self::named(directory, stem.ok_or_else(not_a_bundle)?))
    }
}

/// What a manifest says, before anybody verified it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What it says.
    pub manifest: Manifest,
    /// SHA-256 of the signed bytes.
    pub digest: Digest,
    /// Ids of the keys that the signatures say they are of. Hints.
    pub key_ids: Vec<String>,
}

/// Reads the manifest of `files` without believing it.
///
/// # Errors
///
/// [`Error::Read`], [`Error::Envelope`] or [`Error::Manifest`].
pub fn claim(files: &Files) -> Result<Claim, Error> {
    let path = || files.manifest.clone();
    let bytes = read_envelope(&files.manifest)?;
    let envelope =
        Envelope::parse(&bytes).map_err(|source| Error::Envelope { path: path(), source })?;
    let manifest = Manifest::parse(envelope.unverified_payload())
        .map_err(|source| Error::Manifest { path: path(), source })?;
    let digest = Digest::of(envelope.unverified_payload());
    let hints: Hints = serde_json::from_slice(&bytes).unwrap_or_default();
    let key_ids = hints.signatures.into_iter().map(|hint| hint.keyid).collect();
    Ok(Claim { manifest, digest, key_ids })
}

/// Verifies `files` as a host would: signatures, digest and length, then unpacking.
///
/// # Errors
///
/// [`Error`], of the first step that fails.
pub fn verify(files: &Files, root: &Verified<Root>, now: Timestamp) -> Result<Good, Error> {
    let envelope = read_envelope(&files.manifest)?;
    let manifest = verify::manifest(&envelope, root, now)
        .map_err(|source| Error::Refused { path: files.manifest.clone(), source })?;
    compare(&files.payload, &manifest)?;
    let contents = judged(&files.payload, manifest.kind)?;
    Ok(Good { envelope, manifest, contents })
}

/// Reads `files` for somebody who is to sign them: everything that a host would look at,
/// but the signatures. What is signed is what was looked at.
///
/// # Errors
///
/// [`Error`], of the first thing that hosts would refuse.
pub fn signable(files: &Files, root: &Root, now: Timestamp) -> Result<(Envelope, Manifest), Error> {
    let path = || files.manifest.clone();
    let bytes = read_envelope(&files.manifest)?;
    let envelope =
        Envelope::parse(&bytes).map_err(|source| Error::Envelope { path: path(), source })?;
    let refused = |source| Error::Refused { path: path(), source };
    if envelope.payload_type() != manifest::TYPE {
        let found = envelope.payload_type().escape_debug().take(120).collect();
        return Err(refused(verify::Error::OtherKind { expected: manifest::TYPE, found }));
    }
    let manifest = Manifest::parse(envelope.unverified_payload())
        .map_err(|source| Error::Manifest { path: path(), source })?;
    if manifest.fleet != root.fleet {
        let (ours, theirs) = (root.fleet.clone(), manifest.fleet);
        return Err(refused(verify::Error::OtherFleet { ours, theirs }));
    }
    if manifest.epoch != root.epoch {
        let (ours, theirs) = (root.epoch, manifest.epoch);
        return Err(refused(verify::Error::OtherEpoch { ours, theirs }));
    }
    if now >= manifest.expires {
        return Err(refused(verify::Error::Expired { expired: manifest.expires }));
    }
    compare(&files.payload, &manifest)?;
    judged(&files.payload, manifest.kind)?;
    Ok((envelope, manifest))
}

/// Reads an envelope that somebody else signed, without believing it.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::Envelope`].
pub fn envelope(path: &Path) -> Result<Envelope, Error> {
    Envelope::parse(&read_envelope(path)?)
        .map_err(|source| Error::Envelope { path: path.to_owned(), source })
}

/// A bundle that a host would take.
#[derive(Clone, Debug)]
pub struct Good {
    /// What is sent and stored, byte for byte as it was verified.
    pub envelope: Vec<u8>,
    /// Its manifest.
    pub manifest: Verified<Manifest>,
    /// What is in its payload.
    pub contents: Vec<Item>,
}

/// A file of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it lies.
    pub path: String,
    /// Its length; 0 for a link.
    pub bytes: u64,
}

/// What the payload holds, if it is what its kind must be.
fn judged(payload: &Path, kind: Kind) -> Result<Vec<Item>, Error> {
    if kind == Kind::Closure {
        let packed = BufReader::new(open(payload)?);
        listed::read(packed)
            .map_err(|source| Error::Closure { path: payload.to_owned(), source })?;
    }
    contents(payload)
}

/// What the payload holds; it is unpacked for that, and thrown away.
///
/// # Errors
///
/// [`Error::Unpack`] for what a host would refuse.
pub fn contents(payload: &Path) -> Result<Vec<Item>, Error> {
    let scratch = tempfile::tempdir().map_err(Error::Scratch)?;
    let target = scratch.path().join("payload");
    let packed = BufReader::new(open(payload)?);
    unpack(packed, &target, &Limits::default())
        .map_err(|source| Error::Unpack { path: payload.to_owned(), source })?;
    let items = WalkDir::new(&target).sort_by_file_name().into_iter().flatten();
    Ok(items
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(&target).ok()?.to_str()?.to_owned();
            let is_file = entry.file_type().is_file();
            let bytes = entry.metadata().ok().filter(|_| is_file).map_or(0, |found| found.len());
            Some(Item { path, bytes })
        })
        .collect())
}

/// Length and digest of the file against what was signed; nothing is held in memory.
fn compare(path: &Path, manifest: &Manifest) -> Result<(), Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let mut file = open(path)?;
    let (mut hasher, mut length) = (Hasher::default(), 0_u64);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
    if length != manifest.payload.length.get() {
        let signed = manifest.payload.length.get();
        return Err(Error::OtherLength { path: path.to_owned(), length, signed });
    }
    let digest = hasher.finish();
    if digest != manifest.payload.sha256 {
        let signed = manifest.payload.sha256;
        return Err(Error::OtherDigest { path: path.to_owned(), digest, signed });
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn read_envelope(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > envelope::MAX_BYTES as u64 {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let source = envelope::Error::TooLong { length };
        return Err(Error::Envelope { path: path.to_owned(), source });
    }
    fs::read(path).map_err(unreadable)
}

/// The part of an envelope that nobody decides by.
#[derive(Default, Deserialize)]
struct Hints {
    signatures: Vec<Hint>,
}

#[derive(Deserialize)]
struct Hint {
    #[serde(default)]
    keyid: String,
}

/// Why a bundle is not good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name of another kind of file.
    #[error("`{}` is named neither `*{PAYLOAD}` nor `*{MANIFEST}`", path.display())]
    NotABundle {
        /// What was given.
        path: PathBuf,
    },
    /// A file is missing or unreadable.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// No envelope.
    #[error("`{}` is no signed manifest", path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: envelope::Error,
    },
    /// An envelope around something else.
    #[error("`{}` holds no manifest", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: manifest::Error,
    },
    /// Not believed.
    #[error("hosts would refuse `{}`", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: verify::Error,
    },
    /// Truncated, or another payload.
    #[error("`{}` has {length} bytes, {signed} were signed", path.display())]
    OtherLength {
        /// The file.
        path: PathBuf,
        /// What it has.
        length: u64,
        /// What it should have.
        signed: u64,
    },
    /// Changed, or another payload.
    #[error("`{}` has the digest {digest}, {signed} was signed", path.display())]
    OtherDigest {
        /// The file.
        path: PathBuf,
        /// What it has.
        digest: Digest,
        /// What it should have.
        signed: Digest,
    },
    /// No host would unpack it.
    #[error("`{}` cannot be unpacked", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: unpack::Error,
    },
    /// No host would fetch what it lists.
    #[error("`{}` lists no closure", path.display())]
    Closure {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: listed::Error,
    },
    /// There is no room to try.
    #[error("could not make a directory to unpack into")]
    Scratch(#[source] io::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::NotABundle { .. } => "name a file that `floe bundle build` wrote".into(),
            Self::Read { .. } => "a bundle is two files, which must lie beside each other".into(),
            Self::Envelope { .. } | Self::Manifest { .. } => {
                "copy it again from where it was built, or build it again".into()
            }
            Self::Refused { source: verify::Error::TooFewSignatures { .. }, .. } => {
                "let other holders sign both files with `floe bundle sign`; if you did not expect \
                 this, ask who made it"
                    .into()
            }
            Self::Refused { source, .. } => source.advice().into(),
            Self::OtherLength { .. } | Self::OtherDigest { .. } => {
                "do not use it: copy it again from where it was built, or build it again".into()
            }
            Self::Unpack { source, .. } => source.advice().into(),
            Self::Closure { source, .. } => source.advice().into(),
            Self::Scratch(_) => "free space in the directory for temporary files".into(),
        }
    }

    /// Whether the bundle must not be used.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::OtherLength { .. } | Self::OtherDigest { .. } => true,
            Self::Unpack { source, .. } => !source.is_transient(),
            Self::Closure { source, .. } => !source.is_ours(),
            Self::NotABundle { .. }
            | Self::Read { .. }
            | Self::Envelope { .. }
            | Self::Manifest { .. }
            | Self::Scratch(_) => false,
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
