//! Unpacking a payload: bytes from the network become files in a directory, or nothing.
//!
//! The bytes are verified, not trusted: a release key may be stolen, and this runs as
//! root. The walker knows what `pack` writes and refuses everything else; it never
//! skips. Every bound is checked while streaming, before the write that would pass
//! it, and nothing is ever created outside of the target.
//!
//! Files come into being in `<target>.partial`, are forced to the disk, and get their
//! name by one rename: a target that exists is complete, after a power cut too. What
//! an earlier crash left in `<target>.partial` is removed first.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::entry::{self, BLOCK, Entry, Fault, Kind};
use super::frame::{self, Expand};
use super::limits::{Bound, Limits};

/// Unpacks `packed` into the new directory `target`, whose parent exists.
///
/// Returns once all of it is on the disk. Whatever goes wrong, there is no `target`
/// afterwards. Only one process at a time may unpack to the same target.
pub fn unpack(packed: impl Read, target: &Path, limits: &Limits) -> Result<Unpacked, Error> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(Error::Occupied { path: target.to_owned() });
    }
    let partial = Partial::create(target)?;
    let mut archive = Expand::new(packed, limits)?;
    let mut tree = Tree::new(&partial.path, limits);
    let mut block = [0; BLOCK];
    loop {
        archive.fill(&mut block)?;
        if block == [0; BLOCK] {
            break;
        }
        let entry = Entry::parse(&block, limits).map_err(|(path, fault)| refused(path, fault))?;
        tree.place(entry, &mut archive)?;
    }
    // POSIX: two blocks of zeroes end an archive.
    archive.fill(&mut block)?;
    if block != [0; BLOCK] {
        return Err(Error::Malformed { what: "its end is marked only once" });
    }
    archive.end()?;
    let unpacked = tree.unpacked;
    partial.complete(target)?;
    Ok(unpacked)
}

/// What was unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Sum of all file contents, in bytes.
    pub unpacked_bytes: u64,
    /// Files, directories and links.
    pub files: u64,
}

/// The tree as far as it has come.
///
/// Entries come in one order: sorted segment by segment, as `pack` writes them. So the
/// path before and the directories above it are all that must be remembered to
/// know that no path comes twice, and that none leads through a file or a link.
struct Tree<'a> {
    root: &'a Path,
    limits: &'a Limits,
    /// The last entry's path.
    previous: String,
    /// The directories above the next entry, outermost first.
    open: Vec<String>,
    unpacked: Unpacked,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    fn new(root: &'a Path, limits: &'a Limits) -> Self {
        let buffer = vec![0; 64 << 10];
        let unpacked = Unpacked::default();
        Self { root, limits, previous: String::new(), open: Vec::new(), unpacked, buffer }
    }

    /// Creates `entry`, whose content comes next in `archive`.
    fn place(&mut self, entry: Entry, archive: &mut Expand<impl Read>) -> Result<(), Error> {
        self.find_room(&entry)?;
        let path = self.root.join(&entry.path);
        match &entry.kind {
            Kind::Directory => {
                make_directory(&path).map_err(unwritten(&path))?;
                self.open.push(entry.path.clone());
            }
            Kind::Link { target } => symlink(target, &path).map_err(unwritten(&path))?,
            Kind::File { bytes, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                self.write_file(&path, mode, *bytes, archive)?;
            }
        }
        self.previous = entry.path;
        Ok(())
    }

    /// Counts `entry`, and makes sure that there is a directory for it.
    fn find_room(&mut self, entry: &Entry) -> Result<(), Error> {
        let Limits { files, unpacked_bytes, .. } = *self.limits;
        if self.unpacked.files >= files {
            return Err(Error::TooMuch { what: Bound::Files, limit: files });
        }
        self.unpacked.files += 1;
        if let Kind::File { bytes, .. } = entry.kind {
            if bytes > unpacked_bytes.saturating_sub(self.unpacked.unpacked_bytes) {
                return Err(Error::TooMuch { what: Bound::UnpackedBytes, limit: unpacked_bytes });
            }
            self.unpacked.unpacked_bytes += bytes;
        }

        let path = || PathBuf::from(&entry.path);
        if entry.path == self.previous {
            return Err(Error::Duplicate { path: path() });
        }
        // `Path` compares segment by segment.
        if Path::new(&entry.path) < Path::new(&self.previous) {
            return Err(Error::Forbidden { path: path(), kind: "an entry out of order" });
        }
        let Some((parent, _)) = entry.path.rsplit_once('/') else {
            self.open.clear();
            return Ok(());
        };
        while self.open.pop_if(|open| *open != parent).is_some() {}
        if !self.open.is_empty() {
            return Ok(());
        }
        // What is no directory is not among those that are open.
        if parent == self.previous {
            return Err(Error::Escapes { path: path() });
        }
        Err(Error::Forbidden { path: path(), kind: "an entry without its directory" })
    }

    fn write_file(
        &mut self,
        path: &Path,
        mode: u32,
        bytes: u64,
        archive: &mut Expand<impl Read>,
    ) -> Result<(), Error> {
        // `create_new` is O_CREAT|O_EXCL, which follows no link.
        let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let mut file = created.map_err(unwritten(path))?;
        file.set_permissions(Permissions::from_mode(mode)).map_err(unwritten(path))?;
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let piece = &mut self.buffer[..size];
            archive.fill(piece)?;
            file.write_all(piece).map_err(unwritten(path))?;
            left -= size as u64;
        }
        let rest = &mut self.buffer[..entry::padding(bytes)];
        archive.fill(rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(Error::Malformed { what: "something is hidden behind a file" });
        }
        Ok(())
    }
}

/// The directory that becomes the target, or is removed when dropped.
struct Partial {
    path: PathBuf,
    complete: bool,
}

impl Partial {
    fn create(target: &Path) -> Result<Self, Error> {
        let mut path = target.as_os_str().to_owned();
        path.push(".partial");
        let partial = Self { path: path.into(), complete: false };
        partial.clear().map_err(unwritten(&partial.path))?;
        // Nobody else looks in, or puts something in, before it is complete.
        let made = DirBuilder::new().mode(0o700).create(&partial.path);
        made.map_err(unwritten(&partial.path))?;
        Ok(partial)
    }

    /// Forces everything to the disk, then gives it its name.
    fn complete(mut self, target: &Path) -> Result<(), Error> {
        self.force(target).map_err(unwritten(target))?;
        self.complete = true;
        Ok(())
    }

    fn force(&mut self, target: &Path) -> io::Result<()> {
        fs::set_permissions(&self.path, Permissions::from_mode(0o755))?;
        // One call instead of an fsync for each of perhaps 100,000 files. Reports
        // the write errors of the whole file system, which is as it should be.
        rustix::fs::syncfs(File::open(&self.path)?)?;
        fs::rename(&self.path, target)?;
        // From here on it is the target that goes when something fails.
        self.path = target.to_owned();
        match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            Some(_) | None => File::open(".")?.sync_all(),
        }
    }

    /// Removes what stands there, without following links.
    fn clear(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&self.path),
            Ok(_) => fs::remove_file(&self.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.complete {
            // What cannot be removed now is removed by the next attempt; the reason
            // why there is something to remove is on its way to the caller already.
            self.clear().ok();
        }
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    // The mode above is narrowed by the process's umask.
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Why a payload was refused. Nothing of it is left on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The entry's path is absolute, climbs with `..`, or passes through a file or
    /// link; or it is a link that leads out.
    #[error("payload entry `{}` leads out of its directory", path.display())]
    Escapes {
        /// The path as the archive has it.
        path: PathBuf,
    },

    /// The entry is something that no payload holds.
    #[error("payload entry `{}` is {kind}", path.display())]
    Forbidden {
        /// The path as the archive has it.
        path: PathBuf,
        /// What it is: "a device".
        kind: &'static str,
    },

    /// The path came before.
    #[error("payload entry `{}` comes twice", path.display())]
    Duplicate {
        /// The path as the archive has it.
        path: PathBuf,
    },

    /// A bound of [`Limits`] would be passed.
    #[error("payload passes the limit of {limit} {what}")]
    TooMuch {
        /// Which bound.
        what: Bound,
        /// How much is allowed.
        limit: u64,
    },

    /// The archive as a whole is not one that `pack` writes.
    #[error("payload is malformed: {what}")]
    Malformed {
        /// What is wrong: "it ends in the middle".
        what: &'static str,
    },

    /// The compressed data is broken.
    #[error("payload cannot be decompressed")]
    Damaged {
        /// What zstd said.
        #[source]
        source: io::Error,
    },

    /// The target is there already, and complete; nothing was touched.
    #[error("`{}` exists already", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
    },

    /// The payload's bytes could not be read.
    #[error("could not read the payload")]
    Read {
        /// What the disk or the network said.
        #[source]
        source: io::Error,
    },

    /// The local disk said no. Worth another try, unlike most of the rest.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file that was being written.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl From<frame::Error> for Error {
    fn from(error: frame::Error) -> Self {
        match error {
            frame::Error::TooMuch { what, limit } => Self::TooMuch { what, limit },
            frame::Error::Malformed { what } => Self::Malformed { what },
            frame::Error::Damaged { source } => Self::Damaged { source },
            frame::Error::Read { source } => Self::Read { source },
        }
    }
}

impl Error {
    /// Whether the same payload may succeed later, on the same host.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Write { .. } => true,
            Self::Escapes { .. }
            | Self::Forbidden { .. }
            | Self::Duplicate { .. }
            | Self::TooMuch { .. }
            | Self::Malformed { .. }
            | Self::Damaged { .. }
            | Self::Occupied { .. } => false,
        }
    }

    /// What the operator can do next; printed on a line of its own.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Escapes { .. } | Self::Forbidden { .. } | Self::Duplicate { .. } => {
                "do not activate this bundle anywhere: floe did not pack it, ask who signed it"
            }
            Self::TooMuch { .. } => {
                "keep large files out of the role's directory; pin trees by url and sha256"
            }
            Self::Malformed { .. } | Self::Damaged { .. } => {
                "push the role again; if that does not help, ask who signed this bundle"
            }
            Self::Occupied { .. } => "use what is there: it was unpacked completely",
            Self::Read { .. } => "fetch the payload again",
            Self::Write { .. } => "free space on the host; the agent tries again by itself",
        }
    }
}

fn refused(path: String, fault: Fault) -> Error {
    let path = PathBuf::from(path);
    match fault {
        Fault::Escapes => Error::Escapes { path },
        Fault::Forbidden(kind) => Error::Forbidden { path, kind },
        Fault::TooMuch(what, limit) => Error::TooMuch { what, limit },
    }
}

fn unwritten(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Write { path: path.to_owned(), source }
}
