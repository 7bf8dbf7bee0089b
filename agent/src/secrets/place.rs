//! Secrets as files in memory: one a secret, whole, with its owner and mode.
//!
//! The directory is root's, and nobody else writes to it; who owns a file may come to it, and
//! nobody can list them. A file is made beside its place, owned and closed to others before it
//! takes the name. Only what differs is touched.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use floe_proto::secret::{Secret, SecretSet, Units};
use log::warn;
use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::told::Changes;

/// Where secrets are on a host.
pub const PLACE: &str = "/run/floe/secrets";

/// Names of users and groups.
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Held by whoever reads what is kept, and places it: of two who do so at once, the slower one
/// would put older secrets in the place of newer ones.
///
/// # Errors
///
/// [`Error::Disk`].
pub(super) fn lock(place: &Path) -> Result<OwnedFd, Error> {
    let file = place.with_extension("lock");
    let disk = |source| Error::Disk { file: file.clone(), source };
    if let Some(directory) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(disk)?;
    }
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file);
    let lock = OwnedFd::from(lock.map_err(disk)?);
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| disk(error.into()))?;
    Ok(lock)
}

/// Whom to tell, if `set` is placed now: of every secret whose value is not there.
///
/// # Errors
///
/// [`Error`].
pub(super) fn changes(place: &Path, set: &SecretSet) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    for secret in &set.secrets {
        let file = place.join(secret.name.as_str());
        let there = read(&file).map_err(|source| Error::Disk { file, source })?;
        if there.is_none_or(|there| there.as_slice() != secret.value.expose()) {
            let Units { restart, reload } = &secret.units;
            changes.add(restart, reload);
        }
    }
    Ok(changes)
}

/// Makes `place` hold exactly `set`. An owner that does not exist yet, as at a first boot, is
/// root until this is done again.
///
/// # Errors
///
/// [`Error`]; what was not reached is as it was before.
pub(super) fn place(place: &Path, set: &SecretSet) -> Result<(), Error> {
    let disk = |file: &Path| {
        let file = file.to_owned();
        move |source| Error::Disk { file, source }
    };
    match DirBuilder::new().recursive(true).mode(0o751).create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(disk(place)(error));
        }
        Ok(()) | Err(_) => {}
    }
    in_memory(place)?;
    // Whatever umask it was made under, owners of secrets come in, and nobody lists them.
    fs::set_permissions(place, Permissions::from_mode(0o751)).map_err(disk(place))?;
    let names = Names::read();
    for secret in &set.secrets {
        let file = place.join(secret.name.as_str());
        write(&file, secret, &names).map_err(disk(&file))?;
    }
    for entry in fs::read_dir(place).map_err(disk(place))? {
        let entry = entry.map_err(disk(place))?;
        let named = entry.file_name();
        let wanted = set.secrets.iter().any(|secret| named == secret.name.as_str());
        let is_directory = entry.file_type().map_err(disk(place))?.is_dir();
        if !wanted && !is_directory {
            fs::remove_file(entry.path()).map_err(disk(&entry.path()))?;
        }
    }
    Ok(())
}

/// A secret on a disk outlives its host (statfs(2), `f_type`).
fn in_memory(place: &Path) -> Result<(), Error> {
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    let there = fs::symlink_metadata(place);
    let there = there.map_err(|source| Error::Disk { file: place.to_owned(), source })?;
    let found = rustix::fs::statfs(place);
    let found = found.map_err(|e| Error::Disk { file: place.to_owned(), source: e.into() })?;
    let kind = u32::try_from(found.f_type).unwrap_or_default();
    if there.is_dir() && matches!(kind, TMPFS | RAMFS) {
        Ok(())
    } else {
        Err(Error::OnDisk { place: place.to_owned() })
    }
}

/// Writes one secret, if anything of it differs.
fn write(file: &Path, secret: &Secret, names: &Names) -> io::Result<()> {
    let (owner, group) = (names.user(&secret.owner), names.group(&secret.group));
    for (kind, name, found) in [("user", &secret.owner, owner), ("group", &secret.group, group)] {
        if found.is_none() {
            let secret = secret.name.as_str();
            warn!(secret; "there is no {kind} `{name}` yet; root has the secret until there is");
        }
    }
    // What is for a group that does not exist is for root's, which nobody else is in.
    let (owner, group) = (owner.unwrap_or(0), group.unwrap_or(0));
    if let Some(there) = read(file)?
        && there.as_slice() == secret.value.expose()
        && let Ok(meta) = fs::symlink_metadata(file)
        && (meta.uid(), meta.gid(), meta.mode() & 0o7777) == (owner, group, secret.mode.bits())
    {
        return Ok(());
    }
    let name = secret.name.as_str();
    let temporary = file.with_file_name(format!(".{name}.new"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    open.write_all(secret.value.expose())?;
    fchown(&open, Some(owner), Some(group))?;
    open.set_permissions(Permissions::from_mode(secret.mode.bits()))?;
    fs::rename(&temporary, file)
}

/// The content of a file; `None` where there is no such file, or something else.
fn read(file: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match fs::symlink_metadata(file) {
        Ok(meta) if meta.is_file() => fs::read(file).map(|bytes| Some(Zeroizing::new(bytes))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The users and groups of this machine, by passwd(5) and group(5): those of NixOS's own files.
/// Users that exist only while a unit runs (`DynamicUser=`) have no place in them; such a unit
/// takes a secret by `LoadCredential=`.
struct Names {
    passwd: String,
    group: String,
}

impl Names {
    /// At a first boot there are no files yet, and nobody but root.
    fn read() -> Self {
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        Self { passwd: text(PASSWD), group: text(GROUP) }
    }

    fn user(&self, name: &str) -> Option<u32> {
        number(&self.passwd, name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        number(&self.group, name)
    }
}

/// Both kinds of file have `name:password:number:…`.
fn number(text: &str, name: &str) -> Option<u32> {
    if name == "root" {
        return Some(0);
    }
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Why secrets are not in their place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("could not place the secret `{}`", file.display())]
    Disk {
        /// The file, or the directory.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It would be written to a disk.
    #[error("`{}` is no directory in memory (tmpfs), so that no secret is written to it", place.display())]
    OnDisk {
        /// Where.
        place: PathBuf,
    },
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "look at the memory of the machine, and at who may write there",
            Self::OnDisk { .. } => "mount a tmpfs on /run, as NixOS does",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_known_by_their_names() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnginx:x:60:60::/:/bin/sh\nbroken\nx:y\n";
        assert_eq!(number(passwd, "nginx"), Some(60));
        assert_eq!(number(passwd, "ngin"), None);
        assert_eq!(number(passwd, "x"), None);
        assert_eq!(number("", "root"), Some(0), "before there are any files");
    }
}
