//! Packing a payload: directories and files become one `tar.zst`.
//!
//! Deterministic: the same tree gives the same bytes, whoever packs it, whenever and
//! on whatever file system. Names are sorted bytewise, segment by segment; owner,
//! time and mode are fixed, but for whether the owner may execute a file. What could
//! not be unpacked is refused here, by name: devices, sockets, links that leave
//! their directory, names that are not UTF-8. Contents are streamed, never held.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::entry::{self, BLOCK, Entry, Kind};
use super::frame;
use super::limits::{Bound, Limits};
use crate::digest::{Digest, Hasher};

/// Collects what goes into a payload; [`Packer::write`] writes it.
///
/// Only names are held in memory until then.
#[derive(Debug)]
pub struct Packer {
    limits: Limits,
    /// `Path` orders by segments, so a directory stands before what is in it.
    nodes: BTreeMap<PathBuf, Node>,
    unpacked_bytes: u64,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of the written bytes.
    pub digest: Digest,
    /// Number of the written bytes.
    pub length: u64,
    /// Sum of all file contents, in bytes.
    pub unpacked_bytes: u64,
    /// Files, directories and links.
    pub files: u64,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    content: Content,
}

#[derive(Debug)]
enum Content {
    None,
    Memory(Vec<u8>),
    Disk { path: PathBuf, seen: Seen },
}

/// What changes when somebody changes a file.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Packer {
    /// An empty payload that refuses what passes `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits, nodes: BTreeMap::new(), unpacked_bytes: 0 }
    }

    /// Adds the file `path`, which has `content` and is not executable.
    pub fn file(&mut self, path: &str, content: Vec<u8>) -> Result<(), Error> {
        let kind = Kind::File { bytes: content.len() as u64, executable: false };
        self.parents(path)?;
        self.add(path, Node { kind, content: Content::Memory(content) })
    }

    /// Adds everything in the directory `source`, below `prefix` in the payload.
    ///
    /// What `exclude` says of is left out, with everything below it; it is asked
    /// with paths relative to `source`.
    pub fn tree(
        &mut self,
        source: &Path,
        prefix: &str,
        exclude: impl Fn(&Path) -> bool,
    ) -> Result<(), Error> {
        self.parents(prefix)?;
        self.add(prefix, Node::directory())?;
        let mut pending = vec![PathBuf::new()];
        while let Some(directory) = pending.pop() {
            let on_disk = source.join(&directory);
            for found in fs::read_dir(&on_disk).map_err(unreadable(&on_disk))? {
                let found = found.map_err(unreadable(&on_disk))?;
                let inside = directory.join(found.file_name());
                if exclude(&inside) {
                    continue;
                }
                let path = found.path();
                let node = inspect(&path, &inside)?;
                let Some(name) = inside.to_str() else {
                    return Err(Error::Refused { path, kind: "a name that is not UTF-8" });
                };
                self.add(&format!("{prefix}/{name}"), node)?;
                if found.file_type().map_err(unreadable(&path))?.is_dir() {
                    pending.push(inside);
                }
            }
        }
        Ok(())
    }

    /// Writes the payload to `out`, which should be buffered, and flushes it.
    pub fn write(self, out: impl Write) -> Result<Packed, Error> {
        let files = self.nodes.len() as u64;
        let counted = Counted { inner: out, hasher: Hasher::default(), bytes: 0 };
        let mut frame = frame::compress(counted).map_err(unwritten)?;
        for (path, node) in self.nodes {
            let path = path.to_string_lossy().into_owned();
            let entry = Entry { path, kind: node.kind };
            let header = entry.header().map_err(|fault| refused(&entry.path, fault))?;
            frame.write_all(&header).map_err(unwritten)?;
            let written = match node.content {
                Content::None => 0,
                Content::Memory(content) => {
                    frame.write_all(&content).map_err(unwritten)?;
                    content.len() as u64
                }
                Content::Disk { path, seen } => copy(&path, &seen, &mut frame)?,
            };
            frame.write_all(&ZEROES[..entry::padding(written)]).map_err(unwritten)?;
        }
        // POSIX: two blocks of zeroes end an archive.
        frame.write_all(&[0; 2 * BLOCK]).map_err(unwritten)?;
        let mut counted = frame.finish().map_err(unwritten)?;
        counted.flush().map_err(unwritten)?;
        if counted.bytes > self.limits.packed_bytes {
            return Err(Error::TooMuch {
                path: PathBuf::new(),
                what: Bound::PackedBytes,
                limit: self.limits.packed_bytes,
            });
        }
        Ok(Packed {
            digest: counted.hasher.finish(),
            length: counted.bytes,
            unpacked_bytes: self.unpacked_bytes,
            files,
        })
    }

    /// Adds the directories above `path` that are not there yet.
    fn parents(&mut self, path: &str) -> Result<(), Error> {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            match self.nodes.get(Path::new(parent)) {
                Some(Node { kind: Kind::Directory, .. }) => {}
                Some(_) => return Err(Error::Twice { path: parent.into() }),
                None => self.add(parent, Node::directory())?,
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, node: Node) -> Result<(), Error> {
        entry::check_path(path, &self.limits).map_err(|fault| refused(path, fault))?;
        let too_much = |what, limit| Err(Error::TooMuch { path: path.into(), what, limit });
        if self.nodes.len() as u64 >= self.limits.files {
            return too_much(Bound::Files, self.limits.files);
        }
        if let Kind::File { bytes, .. } = &node.kind {
            self.unpacked_bytes = self.unpacked_bytes.saturating_add(*bytes);
            if self.unpacked_bytes > self.limits.unpacked_bytes {
                return too_much(Bound::UnpackedBytes, self.limits.unpacked_bytes);
            }
        }
        match self.nodes.insert(path.into(), node) {
            None => Ok(()),
            Some(_) => Err(Error::Twice { path: path.into() }),
        }
    }
}

impl Node {
    fn directory() -> Self {
        Self { kind: Kind::Directory, content: Content::None }
    }
}

impl From<&Metadata> for Seen {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// What `path` is; `inside` is its path in its own tree, which no link may leave.
fn inspect(path: &Path, inside: &Path) -> Result<Node, Error> {
    let found = fs::symlink_metadata(path).map_err(unreadable(path))?;
    if found.is_dir() {
        return Ok(Node::directory());
    }
    if found.is_file() {
        let kind = Kind::File { bytes: found.len(), executable: found.mode() & 0o100 != 0 };
        let content = Content::Disk { path: path.to_owned(), seen: Seen::from(&found) };
        return Ok(Node { kind, content });
    }
    if !found.is_symlink() {
        return Err(Error::Refused { path: path.to_owned(), kind: "a device, socket or FIFO" });
    }
    let target = fs::read_link(path).map_err(unreadable(path))?;
    let (Some(inside), Some(target)) = (inside.to_str(), target.to_str()) else {
        return Err(Error::Refused { path: path.to_owned(), kind: "a name that is not UTF-8" });
    };
    entry::check_target(inside, target).map_err(|fault| refused(path, fault))?;
    Ok(Node { kind: Kind::Link { target: target.to_owned() }, content: Content::None })
}

/// Copies the file, which must be what was seen when the tree was walked, and stay so.
fn copy(path: &Path, seen: &Seen, out: &mut impl Write) -> Result<u64, Error> {
    // The name may by now be a link or a FIFO: neither follow the one nor wait for the other.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(unreadable(path))?;
    let unchanged = |file: &File| {
        let found = file.metadata().map_err(unreadable(path))?;
        if found.is_file() && Seen::from(&found) == *seen {
            return Ok(());
        }
        Err(Error::Changed { path: path.to_owned() })
    };
    unchanged(&file)?;
    let mut content = (&file).take(seen.bytes);
    let mut buffer = vec![0; 64 << 10];
    let mut copied = 0;
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                out.write_all(&buffer[..read]).map_err(unwritten)?;
                copied += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        }
    }
    unchanged(&file)?;
    if copied == seen.bytes { Ok(copied) } else { Err(Error::Changed { path: path.to_owned() }) }
}

const ZEROES: [u8; BLOCK] = [0; BLOCK];

/// Counts and hashes what passes.
struct Counted<W> {
    inner: W,
    hasher: Hasher,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Why nothing was packed. What was written so far is to be thrown away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not be unpacked on any host.
    #[error("cannot pack `{}`: a payload may not hold {kind}", path.display())]
    Refused {
        /// Where it lies, or its path in the payload.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },

    /// A link out of its tree, or a path out of the payload.
    #[error("cannot pack `{}`: it leads out of the directory that is packed", path.display())]
    Escapes {
        /// Where it lies, or its path in the payload.
        path: PathBuf,
    },

    /// Two sources gave the same path of the payload.
    #[error("cannot pack `{}` twice", path.display())]
    Twice {
        /// The path in the payload.
        path: PathBuf,
    },

    /// No host would unpack so much.
    #[error("cannot pack {}: a payload may have at most {limit} {what}", shown(path))]
    TooMuch {
        /// Where the bound was passed; empty where it was the whole.
        path: PathBuf,
        /// Which bound.
        what: Bound,
        /// How much is allowed.
        limit: u64,
    },

    /// The file is not what it was when its directory was read.
    #[error("`{}` changed while it was packed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },

    /// A source could not be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },

    /// The payload could not be written.
    #[error("could not write the packed payload")]
    Write {
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same tree may be packed by trying again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Write { .. } => true,
            Self::Refused { .. }
            | Self::Escapes { .. }
            | Self::Twice { .. }
            | Self::TooMuch { .. }
            | Self::Read { .. } => false,
        }
    }

    /// What the operator can do next; printed on a line of its own.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "move it out of the directory, or rename it",
            Self::Escapes { .. } => "copy what it points to into the directory",
            Self::Twice { .. } => "rename one of the two",
            Self::TooMuch { .. } => {
                "keep large files out of the directory; pin trees by url and sha256 in floe.lock"
            }
            Self::Changed { .. } => "try again when nothing writes to the directory",
            Self::Read { .. } => "make the file readable, or move it out of the directory",
            Self::Write { .. } => "free disk space, then try again",
        }
    }
}

fn refused(path: impl AsRef<Path>, fault: entry::Fault) -> Error {
    let path = path.as_ref().to_owned();
    match fault {
        entry::Fault::Escapes => Error::Escapes { path },
        entry::Fault::Forbidden(kind) => Error::Refused { path, kind },
        entry::Fault::TooMuch(what, limit) => Error::TooMuch { path, what, limit },
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Read { path: path.to_owned(), source }
}

fn unwritten(source: io::Error) -> Error {
    Error::Write { source }
}

fn shown(path: &Path) -> String {
    match path.as_os_str().is_empty() {
        true => "so much".to_owned(),
        false => format!("`{}`", path.display()),
    }
}
