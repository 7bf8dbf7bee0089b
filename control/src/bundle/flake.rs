//! A role's flake, as far as it can be judged without Nix: its two files are there, git keeps
//! them, and the lock file is one that hosts can use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::payload::flake::{self, Fault, FlakeLock};

use super::git;
use super::selection::Selection;
use crate::repository::Flake;

/// The tree of `flake`, a flake of the repository at `root`, and what of it is packed.
///
/// # Errors
///
/// [`Error`] of the first thing that hosts could not build with.
pub fn tree(root: &Path, flake: &Flake) -> Result<(PathBuf, Selection), Error> {
    let directory = root.join(&flake.directory);
    for name in [flake::FILE, flake::LOCK] {
        let file = directory.join(name);
        if !file.is_file() {
            return Err(Error::Missing { file });
        }
    }
    let selection = Selection::of_flake(root, &flake.directory)?;
    for name in [flake::FILE, flake::LOCK] {
        if !selection.takes(Path::new(name)) {
            return Err(Error::NotKept { file: directory.join(name) });
        }
    }
    let file = directory.join(flake::LOCK);
    match faults(&file)?.into_iter().next() {
        Some(fault) => Err(Error::Lock { file, fault }),
        None => Ok((directory, selection)),
    }
}

/// Everything that keeps hosts from using the lock file `file`.
///
/// # Errors
///
/// [`Error::Read`].
pub fn faults(file: &Path) -> Result<Vec<Fault>, Error> {
    let text =
        fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    Ok(FlakeLock::parse(&text).map_or_else(|fault| vec![fault], |lock| lock.faults()))
}

/// Why a flake cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no `{}`, which the role's flake needs", file.display())]
    Missing {
        /// flake.nix or flake.lock.
        file: PathBuf,
    },
    /// Nix would not see it, and no bundle has it.
    #[error("git does not keep `{}`, so that the role's flake is without it", file.display())]
    NotKept {
        /// flake.nix or flake.lock.
        file: PathBuf,
    },
    /// The lock file cannot be read.
    #[error("could not read `{}`", file.display())]
    Read {
        /// Which one.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Hosts would refuse it.
    #[error("`{}` is not complete: {fault}", file.display())]
    Lock {
        /// The lock file.
        file: PathBuf,
        /// Why.
        fault: Fault,
    },
    /// Nobody says what is to be packed.
    #[error(transparent)]
    Git(#[from] git::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Missing { file } if file.ends_with(flake::LOCK) => {
                "write it, and commit it: nix flake lock".into()
            }
            Self::Missing { .. } => {
                "write it, or name the directory that it is in as `flake` in host.toml".into()
            }
            Self::NotKept { file } => format!("git add {}", file.display()),
            Self::Read { file, .. } => format!("make sure that `{}` is readable", file.display()),
            Self::Lock { fault, .. } => fault.advice().into(),
            Self::Git(error) => error.advice().into(),
        }
    }
}

#[cfg(test)]
#[path = "flake_tests.rs"]
mod tests;
