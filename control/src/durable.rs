//! Files that are whole or not there, whenever the power goes.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Writes a whole file or none: temporary file, fsync, rename, fsync of the directory.
pub(crate) fn write_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, None)
}

/// The same for a file that may be there: its mode stays, and a link to it stays a link.
/// One that is new gets `mode`.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match path.canonicalize() {
        Ok(path) => write(&path, bytes, 0o600, Some(path.metadata()?.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(path, bytes, mode, None),
        Err(error) => Err(error),
    }
}

/// `path` with `ending`, under a name that nothing has yet: what was kept before is kept on.
pub(crate) fn free_name(path: &Path, ending: &str) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        if number > 1 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    let is_free = |name: &PathBuf| name.symlink_metadata().is_err();
    (1..u32::MAX).map(named).find(is_free).unwrap_or_else(|| named(1))
}

fn write(path: &Path, bytes: &[u8], mode: u32, exactly: Option<Permissions>) -> io::Result<()> {
    // The parent of a bare name is the empty path, which cannot be opened.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let _ = fs::remove_file(&temporary);
    let mut file = File::options().create_new(true).write(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    if let Some(permissions) = exactly {
        file.set_permissions(permissions)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn who_may_read_a_file_and_what_leads_to_it_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        replace_file(&path, b"one", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        symlink("file", &link).unwrap();
        replace_file(&link, b"two", 0o600).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o664));
        assert!(link.is_symlink());
    }
}
