//! A role's system becomes a list and NARs: built or taken, looked over, signed by the key
//! of a binary cache, and read back from it.
//!
//! The binary cache is a directory that stays, so that what did not change is not
//! compressed again; it holds one closure under one key, and everything else goes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use floe_proto::closure::{self, Closure, Compression, Entry, NarFile, NarSignature};
use floe_proto::digest::{Digest, Hasher};
use floe_proto::id::Fleet;
use floe_proto::manifest::{Kind, Manifest};
use floe_proto::store_path::StorePath;

use super::cache_key::{self, CacheKey};
use super::check::Files;
use super::listed;
use super::nix;
use super::source::Source;

/// A system, and where its NARs lie.
#[derive(Clone, Debug)]
pub struct Made {
    /// What its payload says.
    pub closure: Closure,
    /// The files of its NARs.
    pub nars: BTreeMap<Digest, PathBuf>,
}

/// Makes the closure of `source` in the binary cache `directory`: of `toplevel`, or of what
/// is built.
///
/// # Errors
///
/// [`Error`] for what hosts would refuse, and what Nix said.
pub async fn make(
    source: &Source,
    fleet: &Fleet,
    toplevel: Option<&StorePath>,
    directory: &Path,
    key: &CacheKey,
) -> Result<Made, Error> {
    prepare(directory, key)?;
    let link = directory.join(LINK);
    let toplevel = match toplevel {
        Some(toplevel) => {
            nix::take(toplevel, &link).await?;
            toplevel.clone()
        }
        None => nix::build(source, &link).await?,
    };
    nix::look_over(&toplevel, source, fleet)?;
    nix::copy(&toplevel, directory, key).await?;
    let (directory, name) = (directory.to_owned(), key.name().to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let made = read(&directory, &toplevel, Some(&name))?;
        prune(&directory, &made)?;
        Ok(made)
    });
    reading.await.map_err(|error| Error::Io { path: PathBuf::new(), source: error.into() })?
}

/// Reads what `directory` has of `toplevel`. Signatures of the key `first` come first.
///
/// # Errors
///
/// [`Error::NarInfo`] for what is no binary cache with all that it needs.
pub fn read(directory: &Path, toplevel: &StorePath, first: Option<&str>) -> Result<Made, Error> {
    let (mut entries, mut nars) = (BTreeMap::new(), BTreeMap::new());
    let (mut hashed, mut left) = (BTreeMap::new(), vec![toplevel.clone()]);
    while let Some(path) = left.pop() {
        if entries.contains_key(&path) {
            continue;
        }
        let info = NarInfo::read(directory, &path)?;
        let file: NarFile = match hashed.get(&info.url) {
            Some(file) => *file,
            None => {
                let nar = directory.join(&info.url);
                let file = hash(&nar).map_err(|source| Error::Io { path: nar.clone(), source })?;
                nars.insert(file.sha256, nar);
                *hashed.entry(info.url.clone()).or_insert(file)
            }
        };
        // Written by Nix, which does not sync it: a power cut may have left less of it.
        if file.length != info.file_size {
            return Err(Error::Cut { file: directory.join(&info.url) });
        }
        let entry = info.entry(path.clone(), file, first);
        left.extend(entry.references.iter().cloned());
        entries.insert(path, entry);
    }
    let paths = entries.into_values().collect();
    let closure = Closure { schema: closure::SCHEMA, toplevel: toplevel.clone(), paths };
    // Whatever else hosts would refuse is found now.
    closure.to_bytes()?;
    Ok(Made { closure, nars })
}

/// The NARs that lie beside a bundle in files; `None` where it is of no closure.
///
/// # Errors
///
/// [`Error::Other`] for those of another closure. That there are none is no error: the
/// object store may have them.
pub fn beside(files: &Files, manifest: &Manifest) -> Result<Option<Made>, Error> {
    if manifest.kind != Kind::Closure {
        return Ok(None);
    }
    let io = |source| Error::Io { path: files.payload.clone(), source };
    let closure = listed::read(BufReader::new(File::open(&files.payload).map_err(io)?))?;
    if !files.closure.exists() {
        return Ok(Some(Made { closure, nars: BTreeMap::new() }));
    }
    let found = read(&files.closure, &closure.toplevel, None)?;
    if found.closure.files() != closure.files() {
        return Err(Error::Other { directory: files.closure.clone() });
    }
    Ok(Some(Made { closure, nars: found.nars }))
}

/// Makes `directory`; what was signed by another key goes.
fn prepare(directory: &Path, key: &CacheKey) -> Result<(), Error> {
    let io = |source| Error::Io { path: directory.to_owned(), source };
    let marker = directory.join(MARKER);
    let ours = fs::read_to_string(&marker).is_ok_and(|public| public == key.public);
    if directory.exists() && !ours {
        // Only what floe made is removed.
        let is_empty = fs::read_dir(directory).map_err(io)?.next().is_none();
        if !marker.exists() && !is_empty {
            return Err(Error::Foreign { directory: directory.to_owned() });
        }
        fs::remove_dir_all(directory).map_err(io)?;
    }
    fs::create_dir_all(directory).map_err(io)?;
    fs::write(marker, &key.public).map_err(io)
}

/// Removes what does not belong to `made`.
fn prune(directory: &Path, made: &Made) -> Result<(), Error> {
    let infos = made.closure.paths.iter().map(|entry| info_name(&entry.path).into());
    let mut kept: BTreeSet<OsString> = infos.collect();
    kept.extend([LINK, MARKER, "nix-cache-info", "nar"].map(OsString::from));
    kept.extend(made.nars.values().filter_map(|nar| Some(nar.file_name()?.to_owned())));
    for directory in [directory.to_owned(), directory.join("nar")] {
        let io = |source| Error::Io { path: directory.clone(), source };
        for entry in fs::read_dir(&directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            if !kept.contains(&entry.file_name()) && entry.file_type().map_err(io)?.is_file() {
                fs::remove_file(entry.path()).map_err(io)?;
            }
        }
    }
    Ok(())
}

/// The link to the system in a binary cache of ours, which keeps it from being collected.
const LINK: &str = "result";

/// The file in it that says whose signatures it has.
const MARKER: &str = "floe-cache-key";

fn info_name(path: &StorePath) -> String {
    format!("{}.narinfo", path.hash())
}

fn hash(nar: &Path) -> io::Result<NarFile> {
    let mut file = File::open(nar)?;
    let (mut hasher, mut length, mut buffer) = (Hasher::default(), 0_u64, vec![0; 128 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
    let length = length.try_into().map_err(|_| io::Error::other("the NAR is empty"))?;
    Ok(NarFile { sha256: hasher.finish(), length, compression: Compression::Zstd })
}

/// What a binary cache says of a path, as far as it is needed.
struct NarInfo {
    /// Relative to the cache.
    url: String,
    /// Of the compressed NAR.
    file_size: std::num::NonZeroU64,
    nar_hash: closure::NarHash,
    nar_size: std::num::NonZeroU64,
    references: BTreeSet<StorePath>,
    signatures: BTreeSet<NarSignature>,
}

impl NarInfo {
    fn read(directory: &Path, path: &StorePath) -> Result<Self, Error> {
        let file = directory.join(info_name(path));
        let text =
            fs::read_to_string(&file).map_err(|source| Error::Io { path: file.clone(), source })?;
        Self::parse(&text, path).ok_or(Error::NarInfo { file })
    }

    fn parse(text: &str, path: &StorePath) -> Option<Self> {
        let lines = || text.lines().filter_map(|line| line.split_once(": "));
        let value = |name: &str| lines().find(|(key, _)| *key == name).map(|(_, value)| value);
        if value("StorePath")? != path.as_str() || value("Compression")? != Compression::Zstd.name()
        {
            return None;
        }
        let url = value("URL")?;
        let plain = |name: &str| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        url.strip_prefix("nar/").filter(|name| plain(name))?;
        let references = value("References").unwrap_or_default().split_whitespace();
        let signatures = lines().filter(|(key, _)| *key == "Sig");
        Some(Self {
            url: url.to_owned(),
            file_size: value("FileSize")?.parse().ok()?,
            nar_hash: value("NarHash")?.to_owned().try_into().ok()?,
            nar_size: value("NarSize")?.parse().ok()?,
            references: references.map(StorePath::named).collect::<Result<_, _>>().ok()?,
            signatures: signatures
                .map(|(_, text)| text.to_owned().try_into())
                .collect::<Result<_, _>>()
                .ok()?,
        })
    }

    fn entry(self, path: StorePath, file: NarFile, first: Option<&str>) -> Entry {
        let Self { nar_hash, nar_size, references, signatures, .. } = self;
        let mut signatures: Vec<_> = signatures.into_iter().collect();
        signatures.sort_by_key(|signature| Some(signature.key()) != first);
        signatures.truncate(closure::MAX_SIGNATURES);
        let references = references.into_iter().collect();
        Entry { path, nar_hash, nar_size, references, signatures, file }
    }
}

/// Why there is no closure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be signed.
    #[error(transparent)]
    Key(#[from] cache_key::Error),
    /// It cannot be built, copied, or run.
    #[error(transparent)]
    Nix(#[from] nix::Error),
    /// Hosts would refuse it.
    #[error(transparent)]
    List(#[from] closure::Error),
    /// It has another length than Nix said.
    #[error("`{}` is not as long as Nix wrote it", file.display())]
    Cut {
        /// The NAR.
        file: PathBuf,
    },
    /// The cache is not as Nix writes one.
    #[error("`{}` says nothing that can be used", file.display())]
    NarInfo {
        /// The file.
        file: PathBuf,
    },
    /// A directory of somebody else.
    #[error("`{}` is there, and no binary cache of floe's", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
    },
    /// Not what was signed.
    #[error("`{}` has other NARs than those that the bundle lists", directory.display())]
    Other {
        /// The directory.
        directory: PathBuf,
    },
    /// The payload lists nothing.
    #[error(transparent)]
    Listed(#[from] listed::Error),
    /// The disk said no.
    #[error("could not read or write `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Key(error) => error.advice(),
            Self::Nix(error) => error.advice(),
            Self::List(error) => error.advice(),
            Self::Listed(error) => error.advice(),
            Self::Other { .. } => "copy it again from where it was built, or build it again",
            Self::NarInfo { .. } | Self::Cut { .. } => {
                "remove that directory, and build the closure again"
            }
            Self::Foreign { .. } => "move it away, or name another directory",
            Self::Io { .. } => "look at the permissions and the free space there",
        }
    }
}

#[cfg(test)]
#[path = "closure_tests.rs"]
mod tests;
