//! `closure.json`: a system that was built elsewhere, and every store path that it needs.
//!
//! It is all that the payload of a `closure` bundle holds, so that the release signature
//! covers it by way of the payload's digest. It says what a host needs to know to fetch
//! what it lacks and to have Nix check it: which bytes a path's NAR has (by SHA-256 of the
//! compressed file), and what the cache's key signed about the path. Nix believes those
//! signatures and nothing else; this file cannot make a host trust a path.
//!
//! There is one list for a system and one system for a list: paths and references are
//! sorted, nothing is listed that the system does not need, nothing that it needs is left
//! out.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json;
use crate::store_path::{ALPHABET, StorePath};

/// Its name in the payload.
pub const FILE: &str = "closure.json";

/// The newest schema that this program knows.
pub const SCHEMA: u32 = 1;

/// The longest list that is read, in bytes. A NixOS with a desktop needs 3 MiB.
pub const MAX_BYTES: usize = 16 << 20;

/// The longest payload of a closure, in bytes.
pub const MAX_PACKED_BYTES: u64 = 16 << 20;

/// The most store paths that a system may need. Stops a list that makes a host ask for
/// URLs for hours.
pub const MAX_PATHS: usize = 20_000;

/// The largest NAR, in bytes.
pub const MAX_NAR_BYTES: u64 = 16 << 30;

/// The largest file of a compressed NAR, in bytes: what one PUT takes (Amazon S3, "Uploading
/// objects").
pub const MAX_FILE_BYTES: u64 = 5 << 30;

/// The most that all NARs may have together, in bytes: more than any host's disk for it.
pub const MAX_TOTAL_BYTES: u64 = 256 << 30;

/// The most signatures of one path.
pub const MAX_SIGNATURES: usize = 8;

/// A system and all that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closure {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The system.
    pub toplevel: StorePath,
    /// It and everything that it refers to, by path.
    pub paths: Vec<Entry>,
}

/// One store path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The path.
    pub path: StorePath,
    /// Digest of its NAR, before it was compressed, as Nix writes it.
    pub nar_hash: NarHash,
    /// Length of its NAR in bytes.
    pub nar_size: NonZeroU64,
    /// Paths that it refers to, in order; itself too where it does.
    pub references: Vec<StorePath>,
    /// What keys of binary caches signed about the four above.
    pub signatures: Vec<NarSignature>,
    /// The compressed NAR.
    pub file: NarFile,
}

/// A compressed NAR, as it lies in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NarFile {
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Its length in bytes.
    pub length: NonZeroU64,
    /// How it is compressed.
    pub compression: Compression,
}

/// How a NAR is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// zstd, which Nix knows since 2.4.
    Zstd,
}

impl Closure {
    /// Parses the bytes of a verified payload's file, and checks what a type cannot say.
    ///
    /// # Errors
    ///
    /// [`json::Error`] for what is no list of a known schema, [`Error::Invalid`] for one
    /// that contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let closure: Self = json::parse(bytes, SCHEMA, MAX_BYTES)?;
        closure.validate()?;
        Ok(closure)
    }

    /// The bytes that are packed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a list that [`Closure::parse`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.validate()?;
        let bytes = serde_json::to_vec(self).map_err(json::Error::from)?;
        if bytes.len() > MAX_BYTES {
            return Err(Error::Invalid("it is too long"));
        }
        Ok(bytes)
    }

    /// The files of all NARs, each once: two paths may have the same content.
    pub fn files(&self) -> BTreeMap<Digest, NarFile> {
        self.paths.iter().map(|entry| (entry.file.sha256, entry.file)).collect()
    }

    fn validate(&self) -> Result<(), Error> {
        let invalid = |why| Err(Error::Invalid(why));
        if self.schema != SCHEMA {
            return invalid("its schema is not the oldest that carries it");
        }
        if self.paths.len() > MAX_PATHS {
            return invalid("it has too many paths");
        }
        if !rises(self.paths.iter().map(|entry| &entry.path)) {
            return invalid("its paths are not in order, or one is there twice");
        }
        let (mut files, mut packed, mut unpacked) = (BTreeMap::new(), 0_u64, 0_u64);
        for Entry { nar_hash, nar_size, references, signatures, file, .. } in &self.paths {
            if !rises(references.iter()) {
                return invalid("references of a path are not in order, or one is there twice");
            }
            if signatures.is_empty() {
                return invalid("a path of it is signed by nobody");
            }
            let distinct: BTreeSet<_> = signatures.iter().collect();
            if signatures.len() > MAX_SIGNATURES || distinct.len() < signatures.len() {
                return invalid("a path has too many signatures, or one twice");
            }
            if nar_size.get() > MAX_NAR_BYTES || file.length.get() > MAX_FILE_BYTES {
                return invalid("one of its NARs is too large");
            }
            unpacked = unpacked.saturating_add(nar_size.get());
            let facts = (file.length, nar_hash, nar_size);
            match files.insert(file.sha256, facts) {
                None => packed = packed.saturating_add(file.length.get()),
                Some(other) if other == facts => {}
                Some(_) => return invalid("it says two things of one file"),
            }
        }
        if packed.max(unpacked) > MAX_TOTAL_BYTES {
            return invalid("all its NARs together are too large");
        }
        self.is_closed()
    }

    /// Whether the paths are the system and what it needs, no more and no less.
    fn is_closed(&self) -> Result<(), Error> {
        let by_path: BTreeMap<_, _> =
            self.paths.iter().map(|entry| (&entry.path, &entry.references)).collect();
        let (mut reached, mut left) = (BTreeSet::new(), vec![&self.toplevel]);
        while let Some(path) = left.pop() {
            let Some(references) = by_path.get(path) else {
                return Err(Error::Invalid("it needs a path that it does not list"));
            };
            if reached.insert(path) {
                left.extend(references.iter());
            }
        }
        if reached.len() == self.paths.len() {
            Ok(())
        } else {
            Err(Error::Invalid("it lists a path that its system does not need"))
        }
    }
}

impl Entry {
    /// What a binary cache says about the path in its `.narinfo`, where the NAR lies under
    /// [`NarFile::name`] in its directory `nar`.
    pub fn narinfo(&self) -> String {
        let Self { path, nar_hash, nar_size, references, signatures, file } = self;
        let names: Vec<&str> = references.iter().map(StorePath::name).collect();
        let mut text = format!(
            "StorePath: {path}\nURL: nar/{}\nCompression: {}\nFileSize: {}\nNarHash: {}\n\
             NarSize: {nar_size}\nReferences: {}\n",
            file.name(),
            file.compression.name(),
            file.length,
            nar_hash.as_str(),
            names.join(" "),
        );
        for signature in signatures {
            text += &format!("Sig: {}\n", signature.as_str());
        }
        text
    }
}

impl NarFile {
    /// The name of the file, by its content.
    pub fn name(&self) -> String {
        let Compression::Zstd = self.compression;
        format!("{}.nar.zst", self.sha256)
    }
}

impl Compression {
    /// As Nix calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
        }
    }
}

/// SHA-256 of a NAR as Nix writes it: `sha256:` and 52 characters of its own base 32.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NarHash(String);

impl NarHash {
    /// As Nix writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NarHash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let good = text
            .strip_prefix("sha256:")
            .is_some_and(|hash| hash.len() == 52 && hash.bytes().all(|b| ALPHABET.contains(&b)));
        if good {
            Ok(Self(text))
        } else {
            Err(Error::Invalid("it has a hash that is none of Nix'"))
        }
    }
}

impl From<NarHash> for String {
    fn from(hash: NarHash) -> Self {
        hash.0
    }
}

/// What the key of a binary cache signed: `<name of the key>:<base64 of 64 bytes>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NarSignature(String);

impl NarSignature {
    /// As Nix writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the key.
    pub fn key(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl TryFrom<String> for NarSignature {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let good = text.split_once(':').is_some_and(|(key, signature)| {
            is_key_name(key)
                && data_encoding::BASE64
                    .decode(signature.as_bytes())
                    .is_ok_and(|bytes| bytes.len() == 64)
        });
        if good { Ok(Self(text)) } else { Err(Error::Invalid("it has a signature that is none")) }
    }
}

impl From<NarSignature> for String {
    fn from(signature: NarSignature) -> Self {
        signature.0
    }
}

/// Whether `name` can name the key of a binary cache.
pub fn is_key_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

fn rises<'a, T: Ord + 'a>(mut all: impl Iterator<Item = &'a T>) -> bool {
    let Some(mut last) = all.next() else { return true };
    all.all(|next| std::mem::replace(&mut last, next) < next)
}

/// Why bytes are no list of a closure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("the closure's list could not be read")]
    Json(#[from] json::Error),
    /// It was read, and contradicts itself.
    #[error("the closure's list makes no sense: {0}")]
    Invalid(&'static str),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Json(json::Error::NewerSchema { .. }) => "update the agent, then push again",
            Self::Json(_) | Self::Invalid(_) => "build it with `floe bundle build --closure`",
        }
    }
}

#[cfg(test)]
#[path = "closure_tests.rs"]
pub(crate) mod tests;
