//! What is secret, in a file that an editor can open: in memory where that can be had, in a
//! directory of its own that nobody else may enter, and overwritten and gone when dropped.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use tempfile::TempDir;
use walkdir::WalkDir;
use zeroize::Zeroizing;

use crate::bounded;

/// Longer than what anybody edits.
const MAX_BYTES: u64 = 4 << 20;

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS: u64 = 0x0102_1994;

/// A file with a secret in it, as long as this lives.
#[derive(Debug)]
pub struct PrivateFile {
    directory: TempDir,
    path: PathBuf,
}

impl PrivateFile {
    /// Writes `content` into a file of this name: below `runtime` (XDG_RUNTIME_DIR) or /dev/shm
    /// where those are in memory, else where temporary files are.
    ///
    /// # Errors
    ///
    /// What the disk said.
    pub fn new(name: &str, content: &[u8], runtime: Option<&Path>) -> io::Result<Self> {
        let in_memory = runtime.into_iter().chain([Path::new("/dev/shm")]).find_map(|parent| {
            let is_tmpfs =
                statfs(parent).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS));
            is_tmpfs.then(|| directory(parent).ok()).flatten()
        });
        let directory = match in_memory {
            Some(directory) => directory,
            None => directory(&std::env::temp_dir())?,
        };
        let path = directory.path().join(name);
        let private = Self { directory, path };
        let mut file =
            File::options().create_new(true).write(true).mode(0o600).open(&private.path)?;
        file.write_all(content)?;
        Ok(private)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it now; an editor may have put another file in its place.
    ///
    /// # Errors
    ///
    /// What the disk said.
    pub fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        let read = bounded::read(file, length, MAX_BYTES)?;
        read.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 4 MiB"))
    }

    /// Leaves it where it is, for a person to fetch: only where it could be kept nowhere else.
    pub fn leave(mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        let path = self.path.clone();
        // Nothing is to be overwritten.
        self.path = PathBuf::new();
        path
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        // Editors leave copies beside it.
        for entry in WalkDir::new(self.directory.path()).into_iter().flatten() {
            if entry.file_type().is_file() {
                // It goes with its directory in any case.
                let _ = overwrite(entry.path());
            }
        }
    }
}

fn directory(parent: &Path) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("floe-").permissions(Permissions::from_mode(0o700)).tempdir_in(parent)
}

fn overwrite(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let mut file = File::options().write(true).open(path)?;
    let length = file.metadata()?.len();
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_owners_alone_and_gone_when_dropped() {
        let runtime = tempfile::tempdir().unwrap();
        let private = PrivateFile::new("vault.yml", b"a: b", Some(runtime.path())).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let (path, directory) = (private.path().to_owned(), private.path().parent().unwrap());
        assert_eq!((mode(&path), mode(directory)), (0o600, 0o700));
        let directory = directory.to_owned();

        // As editors do: a copy, and another file in its place. A second name shows what becomes
        // of the first's bytes.
        fs::write(directory.join("vault.yml~"), "a: b").unwrap();
        let witness =
            directory.parent().unwrap().join(format!("floe-witness-{}", std::process::id()));
        fs::write(directory.join("new"), "a: c").unwrap();
        fs::rename(directory.join("new"), &path).unwrap();
        fs::hard_link(&path, &witness).unwrap();
        assert_eq!(**private.read().unwrap(), *b"a: c");
        drop(private);
        let left = fs::read(&witness).unwrap();
        fs::remove_file(&witness).unwrap();
        assert!(!directory.exists());
        assert_eq!(left, [0; 4]);
    }

    #[test]
    fn what_is_left_stays() {
        let path = PrivateFile::new("x", b"typed", None).unwrap().leave();
        assert_eq!(fs::read(&path).unwrap(), b"typed");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
