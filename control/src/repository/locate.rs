//! Finds the fleet repository, and reads what is asked of it.

use std::fs;
use std::path::{Path, PathBuf};

use floe_proto::id::Role;
use floe_proto::payload::lock::{self, Lock};
use floe_proto::payload::pin;
use floe_proto::root::Root;
use floe_proto::verify::{self, Verified};

use super::error::Error;
use super::fault::{Fault, Place};
use super::fleet::{self, FleetFile};
use super::host::{self, HostFile};
use super::toml_file::{self, Document};
use crate::signing::{Command, KeySource};

/// The trust root of the fleet.
pub const TRUST_FILE: &str = "trust.json";

/// The next version of it, while it is made.
pub const PROPOSAL_FILE: &str = "trust-next.json";

/// The directory of its earlier versions.
const OLDER_TRUST: &str = "trust";

/// Where every pin comes from.
pub const LOCK_FILE: &str = lock::FILE;

/// Where binary caches of closures are kept; a directory that stays out of version control.
const CLOSURES: &str = ".floe/closures";

/// The directory of all roles.
pub const HOSTS: &str = "hosts";

/// A fleet repository whose `floe.toml` was read.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
    file: FleetFile,
}

impl Repository {
    /// Finds `floe.toml` in `from` or the nearest directory above.
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`] where there is none, [`Error::Wrong`] for a bad one.
    pub fn find(from: &Path) -> Result<Self, Error> {
        Self::open(&Self::root_above(from)?)
    }

    /// The directory of the `floe.toml` that [`Repository::find`] would read, right or wrong.
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`] where there is none.
    pub fn root_above(from: &Path) -> Result<PathBuf, Error> {
        let absolute = std::path::absolute(from)
            .map_err(|source| Error::Read { path: from.to_owned(), source })?;
        let found = absolute.ancestors().find(|directory| directory.join(fleet::FILE).is_file());
        found.map(Path::to_owned).ok_or_else(|| Error::NotARepository { from: absolute.clone() })
    }

    /// Reads the repository whose `floe.toml` lies in `root`, and nowhere else.
    ///
    /// # Errors
    ///
    /// As [`Repository::find`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join(fleet::FILE);
        if !path.is_file() {
            return Err(Error::NotARepository { from: root.to_owned() });
        }
        Ok(Self { root: root.to_owned(), file: FleetFile::read(&path)? })
    }

    /// Reads a `floe.toml` of any name; everything else lies beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Wrong`].
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let file = FleetFile::read(path)?;
        let path = std::path::absolute(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(Self { root: path.parent().unwrap_or(&path).to_owned(), file })
    }

    /// The directory of `floe.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `floe.toml` says.
    pub fn file(&self) -> &FleetFile {
        &self.file
    }

    /// Everything that signs bundles, as `floe.toml` names it.
    pub fn signing(&self) -> Vec<KeySource> {
        let files = self.key_files().into_iter().map(KeySource::File);
        // `floe.toml` has no entry of no words.
        let commands = self.file.signing.signers.iter().filter_map(|entry| {
            Command::new(entry.public, &entry.command, &self.root).ok().map(KeySource::Command)
        });
        files.chain(commands).collect()
    }

    /// The files with keys that `floe.toml` names.
    pub fn key_files(&self) -> Vec<PathBuf> {
        self.file.signing.keys.iter().map(|path| self.root.join(path)).collect()
    }

    /// The key that signs the store paths of closures, where it is said.
    pub fn cache_key(&self) -> Option<PathBuf> {
        self.file.signing.cache_key.as_ref().map(|path| self.root.join(path))
    }

    /// Where the NARs of the role's last closure are kept, so that only what changes is made.
    pub fn closure_cache(&self, role: &Role) -> PathBuf {
        self.root.join(CLOSURES).join(role.as_str())
    }

    /// Where the operator's certificate lies.
    pub fn credentials(&self) -> PathBuf {
        self.root.join(&self.file.credentials)
    }

    /// The key that logs the operator in, where it is said.
    pub fn login_key(&self) -> Option<PathBuf> {
        self.file.login_key.as_ref().map(|path| self.root.join(path))
    }

    /// Where the trust root lies.
    pub fn trust_file(&self) -> PathBuf {
        self.root.join(TRUST_FILE)
    }

    /// Where its next version lies while it is made.
    pub fn proposal_file(&self) -> PathBuf {
        self.root.join(PROPOSAL_FILE)
    }

    /// Where an earlier version is kept.
    pub fn older_trust_file(&self, version: u32) -> PathBuf {
        self.root.join(OLDER_TRUST).join(format!("{version}.json"))
    }

    /// The earlier versions that are kept, newest first. What was published under one of
    /// them is known by it; nothing is believed any more because of it.
    pub fn older_trust(&self) -> Vec<Verified<Root>> {
        let entries = fs::read_dir(self.root.join(OLDER_TRUST)).into_iter().flatten().flatten();
        let mut roots: Vec<_> = entries
            .filter_map(|entry| read_trust(&entry.path()).ok())
            .filter(|root| root.fleet == self.file.fleet)
            .collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.version));
        roots
    }

    /// The file with the password of the vault, where it is said.
    pub fn vault_password_file(&self) -> Option<PathBuf> {
        self.file.vault_password_file.as_ref().map(|path| self.root.join(path))
    }

    /// The trust root, which must be this fleet's.
    ///
    /// # Errors
    ///
    /// [`Error::Trust`] where it is not signed by its own root keys.
    pub fn trust(&self) -> Result<Verified<Root>, Error> {
        let path = self.trust_file();
        let root = read_trust(&path)?;
        if root.fleet != self.file.fleet {
            let fault = format!(
                "it is for the fleet `{}`, floe.toml says `{}`",
                root.fleet, self.file.fleet
            );
            return Err(toml_file::wrong(&path, vec![Fault::of_file(fault)]));
        }
        Ok(root)
    }

    /// The pins.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Lock`].
    pub fn lock(&self) -> Result<Lock, Error> {
        read_lock(&self.root.join(LOCK_FILE))
    }

    /// The directory of `role`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchRole`] where there is none.
    pub fn role_directory(&self, role: &Role) -> Result<PathBuf, Error> {
        let hosts = self.root.join(HOSTS);
        let directory = hosts.join(role.as_str());
        if directory.is_dir() {
            return Ok(directory);
        }
        let known = self.roles().iter().map(Role::to_string).collect();
        Err(Error::NoSuchRole { role: role.clone(), hosts, known })
    }

    /// What the role's `host.toml` says.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Wrong`].
    pub fn host_file(&self, role: &Role) -> Result<HostFile, Error> {
        read_host_file(&self.role_directory(role)?.join(host::FILE))
    }

    /// Every directory below `hosts/` whose name is that of a role, in order.
    pub fn roles(&self) -> Vec<Role> {
        let entries = fs::read_dir(self.root.join(HOSTS)).into_iter().flatten().flatten();
        let mut roles: Vec<Role> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        roles.sort();
        roles
    }
}

/// The pins in the file `path`.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::Lock`].
pub fn read_lock(path: &Path) -> Result<Lock, Error> {
    let text = toml_file::text(path)?;
    text.parse().map_err(|source| Error::Lock {
        place: lock_place(&text, &source).map(Box::new),
        path: path.to_owned(),
        source,
    })
}

/// Where the fault is.
fn lock_place(text: &str, error: &lock::Error) -> Option<Place> {
    match error {
        lock::Error::Toml { source } => Place::of_span(text, source.span()?),
        lock::Error::Pin { name } => place_in(text, &format!("pins.{name}")),
        lock::Error::Field { name, source } => {
            let field = match source {
                pin::Error::Url { .. } => ".url",
                pin::Error::Hash { .. } => ".sha256",
                pin::Error::Path { .. } => ".path",
                pin::Error::Follow { .. } => ".follow",
                pin::Error::Name { .. } | _ => "",
            };
            place_in(text, &format!("pins.{name}{field}"))
        }
        lock::Error::Schema { .. } => place_in(text, "schema"),
        lock::Error::NoNixpkgs => place_in(text, "pins"),
        lock::Error::TooLong | _ => None,
    }
}

/// Where the TOML file `text` says `name`, as `health.checks #2.timeout`.
pub fn place_in(text: &str, name: &str) -> Option<Place> {
    Document::of(text).place(name)
}

/// What the `host.toml` at `path` says.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::Wrong`].
pub fn read_host_file(path: &Path) -> Result<HostFile, Error> {
    HostFile::read(path)
}

/// The trust root in the file `path`.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::Trust`].
pub fn read_trust(path: &Path) -> Result<Verified<Root>, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    verify::pinned_root(&bytes).map_err(|source| Error::Trust { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("floe.toml"), "fleet = 'a.b'\nserver = 'https://x'").unwrap();
        fs::create_dir_all(path.join("hosts/www")).unwrap();
        fs::create_dir_all(path.join("hosts/Not A Role")).unwrap();
        directory
    }

    #[test]
    fn it_is_found_from_any_directory_below() {
        let directory = repository();
        let found = Repository::find(&directory.path().join("hosts/www")).unwrap();
        assert_eq!(found.root(), directory.path());
        assert_eq!(found.key_files(), [directory.path().join("keys/release.pem")]);
    }

    #[test]
    fn a_role_that_is_not_there_is_answered_with_those_that_are() {
        let directory = repository();
        let repository = Repository::open(directory.path()).unwrap();
        let error = repository.role_directory(&"web".parse().unwrap()).unwrap_err();
        assert_eq!(error.advice(), "one of: www");
    }

    #[test]
    fn where_there_is_none_the_advice_is_to_begin_one() {
        let directory = tempfile::tempdir().unwrap();
        let error = Repository::find(directory.path()).unwrap_err();
        assert!(matches!(error, Error::NotARepository { .. }));
        assert!(error.advice().contains("floe init"));
    }
}
