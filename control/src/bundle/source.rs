//! What goes into a role's bundle: its files, its pins, its settings.
//!
//! Everything is looked at before anything is packed, so that what is missing is
//! named here and not by a host.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use floe_proto::id::Role;
use floe_proto::payload::lock::Lock;
use floe_proto::payload::pin::Pin;

use crate::repository::{self, HOST_FILE, HostFile, Repository};

/// A role that can be packed.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which role.
    pub role: Role,
    /// `hosts/<role>/`.
    pub directory: PathBuf,
    /// What its `host.toml` says.
    pub settings: HostFile,
    /// Where its pins come from.
    pub lock: Lock,
    /// The trees of path pins, by their names.
    pub trees: Vec<(String, PathBuf)>,
}

impl Source {
    /// Reads what `role` consists of.
    ///
    /// # Errors
    ///
    /// [`Error`], naming the file that is missing or wrong.
    pub fn read(repository: &Repository, role: &Role) -> Result<Self, Error> {
        let directory = repository.role_directory(role)?;
        let settings = repository.host_file(role)?;
        let lock = repository.lock()?;

        let inside: PathBuf = settings.entry.as_path().components().skip(1).collect();
        if !directory.join(&inside).is_file() {
            return Err(Error::NoEntry { entry: directory.join(inside) });
        }
        let trees = lock.pins.iter().filter_map(|(name, pin)| match pin {
            Pin::Path(path) => {
                Some((name.as_str().to_owned(), repository.root().join(path.as_str())))
            }
            Pin::Url { .. } => None,
        });
        let trees: Vec<_> = trees.collect();
        if let Some((name, path)) = trees.iter().find(|(_, path)| !path.is_dir()) {
            return Err(Error::NoPin { name: name.clone(), path: path.clone() });
        }
        Ok(Self { role: role.clone(), directory, settings, lock, trees })
    }
}

/// Whether a file of `hosts/<role>/` stays out of the payload; `inside` is its path there.
pub fn is_left_out(inside: &Path) -> bool {
    inside == Path::new(HOST_FILE) || is_litter(inside)
}

/// Whether a file is what git and editors leave behind.
pub fn is_litter(inside: &Path) -> bool {
    let Some(Component::Normal(name)) = inside.components().next_back() else { return false };
    let name = name.as_encoded_bytes();
    let swap = [".swp", ".swo", ".swx"].iter().any(|end| name.ends_with(end.as_bytes()));
    name == OsStr::new(".git").as_encoded_bytes()
        || name.ends_with(b"~")
        || name.starts_with(b".#")
        || (name.starts_with(b"#") && name.ends_with(b"#"))
        || (name.starts_with(b".") && swap)
}

/// Why a role cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository is not right.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// The file that is to be `nixos-config` is not there.
    #[error("there is no `{}`, the entry of the role", entry.display())]
    NoEntry {
        /// Where it should be.
        entry: PathBuf,
    },
    /// A path pin points nowhere.
    #[error("the pin `{name}` of floe.lock is a path, and there is no directory `{}`", path.display())]
    NoPin {
        /// Its name.
        name: String,
        /// Where it should be.
        path: PathBuf,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Repository(error) => error.advice(),
            Self::NoEntry { .. } => "write it, or name another file as `entry` in host.toml".into(),
            Self::NoPin { name, .. } => {
                format!("correct [pins.{name}] in floe.lock: path, or url and sha256")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_editors_and_host_toml_stay_out() {
        for out in [".git", "a/.git", "x.nix~", "a/.#x.nix", "#x.nix#", ".x.nix.swp", "host.toml"] {
            assert!(is_left_out(Path::new(out)), "{out}");
        }
        for kept in ["configuration.nix", ".gitignore", "a/host.toml", "#x", "x.swp", "a~b"] {
            assert!(!is_left_out(Path::new(kept)), "{kept}");
        }
    }
}
