//! The data directory: one control plane's own, and of a version that it knows.
//!
//! ```text
//! version       number of the layout, written first
//! lock          held (flock) as long as a `serve` uses the directory
//! floe.sqlite   state        objects/   embedded S3        ca/   root key and certificate
//! server/       control plane's own certificate            operator/   first admin's credentials
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::durable::write_file;

/// The layout that this program writes.
const VERSION: u32 = 1;

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where there is none (0700), locks it, and looks at its
    /// version. Nothing is changed in a directory of a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let path = path.canonicalize().map_err(io)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(io)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse { path }),
            Err(errno) => return Err(io(errno.into())),
        }
        let directory = Self { path, _lock: lock };
        directory.check_version()?;
        Ok(directory)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A subdirectory (0700), made where there is none.
    pub fn subdirectory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    fn check_version(&self) -> Result<(), Error> {
        let path = self.path.join("version");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return write_file(&path, format!("{VERSION}\n").as_bytes(), 0o644)
                    .map_err(|source| Error::Io { path, source });
            }
            Err(source) => return Err(Error::Io { path, source }),
        };
        match text.trim().parse::<u32>() {
            Ok(VERSION) => Ok(()),
            Ok(version) if version > VERSION => {
                Err(Error::Newer { path: self.path.clone(), version })
            }
            Ok(_) | Err(_) => {
                Err(Error::NoVersion { path, text: text.trim().chars().take(40).collect() })
            }
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Written by a program that came after this one.
    #[error(
        "`{}` is a data directory of a newer version ({version}; this floe knows {VERSION})",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// What its version file says.
        version: u32,
    },
    /// Another process has it.
    #[error("data directory `{}` is in use by another floe", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Its version file makes no sense.
    #[error("`{}` says `{text}`, which is no version of a data directory", path.display())]
    NoVersion {
        /// The version file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
    /// It cannot be read or written.
    #[error("could not use `{}`", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "install the version of floe that wrote it, or a newer one",
            Self::InUse { .. } => "stop the other `floe serve`, or choose another --data",
            Self::NoVersion { .. } => "choose another --data, or restore it from a backup",
            Self::Io { .. } => "look at its permissions and the free space",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_of_a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("version"), "2\n").unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("data directory of a newer version (2;"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("version")).unwrap(), "2\n");
    }

    #[test]
    fn a_version_that_makes_no_sense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "0", "-1", "one"] {
            fs::write(dir.path().join("version"), text).unwrap();
            assert!(matches!(DataDir::open(dir.path()), Err(Error::NoVersion { .. })), "{text}");
        }
    }

    #[test]
    fn one_data_directory_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(Error::InUse { .. })));
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }
}
