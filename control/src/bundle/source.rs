//! What goes into a role's bundle: its files, its pins, its settings.
//!
//! Everything is looked at before anything is packed, so that what is missing is
//! named here and not by a host.

use std::path::{Path, PathBuf};

use floe_proto::id::Role;
use floe_proto::payload::lock::Lock;
use floe_proto::payload::pin::Pin;

use super::flake;
use super::selection::{self, Selection};
use crate::repository::{self, Code, HostFile, Repository};

/// A role that can be packed.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which role.
    pub role: Role,
    /// `hosts/<role>/`, or the flake that its configuration is in.
    pub directory: PathBuf,
    /// Which files of that are packed.
    pub selection: Selection,
    /// What its `host.toml` says.
    pub settings: HostFile,
    /// Where its pins come from; a flake brings its own lock file along.
    pub lock: Option<Lock>,
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
        let settings = repository.host_file(role)?;
        let (directory, selection, lock) = match &settings.code {
            Code::File(_) => {
                let directory = repository.role_directory(role)?;
                (directory, Selection::Role, Some(repository.lock()?))
            }
            Code::Flake(flake) => {
                let (directory, selection) = flake::tree(repository.root(), flake)?;
                (directory, selection, None)
            }
        };
        if let Some(inside) = settings.code.entry_inside()
            && !directory.join(&inside).is_file()
        {
            return Err(Error::NoEntry { entry: directory.join(inside) });
        }
        let pins = lock.iter().flat_map(|lock| &lock.pins);
        let trees = pins.filter_map(|(name, pin)| match pin {
            Pin::Path(path) => {
                Some((name.as_str().to_owned(), repository.root().join(path.as_str())))
            }
            Pin::Url { .. } => None,
        });
        let trees: Vec<_> = trees.collect();
        if let Some((name, path)) = trees.iter().find(|(_, path)| !path.is_dir()) {
            return Err(Error::NoPin { name: name.clone(), path: path.clone() });
        }
        let source = Self { role: role.clone(), directory, selection, settings, lock, trees };
        let own = repository.login_key().into_iter().chain([repository.credentials()]);
        let own = own.chain(repository.cache_key()).chain(repository.vault_password_file());
        for secret in repository.key_files().into_iter().chain(own) {
            if let Some(tree) = source.tree_around(&secret) {
                let tree = tree.to_owned();
                return Err(Error::Secret { secret, tree });
            }
        }
        Ok(source)
    }
}

impl Source {
    /// The tree of the bundle that `path` lies in, if it does: what is written there
    /// would be packed the next time.
    pub fn tree_around(&self, path: &Path) -> Option<&Path> {
        let trees = self.trees.iter().map(|(_, tree)| tree.as_path());
        let own = Some(self.directory.as_path()).filter(|tree| self.selection.reaches(path, tree));
        own.into_iter().chain(trees.filter(|tree| selection::is_inside(path, tree))).next()
    }
}

/// Why a role cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository is not right.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// Its flake is not right.
    #[error(transparent)]
    Flake(#[from] flake::Error),
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
    /// A key would be sent to every host.
    #[error("`{}` lies in `{}`, which is packed as it is", secret.display(), tree.display())]
    Secret {
        /// The signing key, or the operator's credentials.
        secret: PathBuf,
        /// The directory of the role, or of a pin.
        tree: PathBuf,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Repository(error) => error.advice(),
            Self::Flake(error) => error.advice(),
            Self::NoEntry { .. } => "write it, or name another file as `entry` in host.toml".into(),
            Self::NoPin { name, .. } => {
                format!("correct [pins.{name}] in floe.lock: path, or url and sha256")
            }
            Self::Secret { .. } => {
                "move it out of there: a bundle is read by every host and by the object store"
                    .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_never_travels_in_a_bundle() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("floe.toml", "fleet = 'a.b'\nserver = 'https://x'");
        write("floe.lock", "schema = 1\n[pins.nixpkgs]\npath = 'vendor'\n");
        write("hosts/www/host.toml", "system = 'x86_64-linux'");
        write("hosts/www/configuration.nix", "{ }");
        write("keys/release.pem", "");
        write("vendor/default.nix", "{ }");
        let read = || {
            let repository = Repository::open(root).unwrap();
            Source::read(&repository, &"www".parse().unwrap())
        };
        let source = read().unwrap();
        assert_eq!(source.tree_around(root), None);
        assert_eq!(source.tree_around(&root.join("vendor")), Some(root.join("vendor").as_path()));

        // By whatever way it gets there.
        write("vendor/keys/release.pem", "");
        fs::remove_dir_all(root.join("keys")).unwrap();
        std::os::unix::fs::symlink("vendor/keys", root.join("keys")).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains("keys/release.pem` lies in"), "{error}");
    }
}
