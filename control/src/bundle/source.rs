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

        let inside = settings.entry_inside();
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
        let packed = || [&directory].into_iter().chain(trees.iter().map(|(_, path)| path));
        let own = repository.login_key().into_iter().chain([repository.credentials()]);
        let own = own.chain(repository.cache_key()).chain(repository.vault_password_file());
        for secret in repository.key_files().into_iter().chain(own) {
            if let Some(tree) = packed().find(|tree| is_inside(&secret, tree)) {
                return Err(Error::Secret { secret, tree: tree.clone() });
            }
        }
        Ok(Self { role: role.clone(), directory, settings, lock, trees })
    }
}

impl Source {
    /// The tree of the bundle that `path` lies in, if it does: what is written there
    /// would be packed the next time.
    pub fn tree_around(&self, path: &Path) -> Option<&Path> {
        let trees = self.trees.iter().map(|(_, tree)| tree);
        let tree = [&self.directory].into_iter().chain(trees).find(|tree| is_inside(path, tree));
        tree.map(PathBuf::as_path)
    }
}

/// Whether `path` is, or would be, below `tree`, by whatever links.
pub(crate) fn is_inside(path: &Path, tree: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else { return false };
    let there = path.ancestors().find_map(|path| path.canonicalize().ok());
    match (there, tree.canonicalize()) {
        (Some(path), Ok(tree)) => path.starts_with(tree),
        (Some(_) | None, _) => false,
    }
}

/// Whether a file of `hosts/<role>/` stays out of the payload; `inside` is its path there.
pub fn is_left_out(inside: &Path) -> bool {
    // Ansible reads variables beside a playbook, too: whatever is in them is for no bundle.
    let variables = ["group_vars", "host_vars"].iter().any(|name| inside.starts_with(name));
    inside == Path::new(HOST_FILE) || variables || is_litter(inside)
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

    #[test]
    fn git_editors_and_host_toml_stay_out() {
        let variables = ["group_vars", "group_vars/all/vault", "host_vars/www.yml"];
        let litter = [".git", "a/.git", "x.nix~", "a/.#x.nix", "#x.nix#", ".x.nix.swp"];
        for out in litter.into_iter().chain(variables).chain(["host.toml"]) {
            assert!(is_left_out(Path::new(out)), "{out}");
        }
        for kept in [
            "configuration.nix",
            ".gitignore",
            "a/host.toml",
            "#x",
            "x.swp",
            "a~b",
            "group_vars.nix",
        ] {
            assert!(!is_left_out(Path::new(kept)), "{kept}");
        }
    }
}
