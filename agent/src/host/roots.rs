//! Our own garbage collector roots: what runs, what is tried, what we would go back
//! to, and the program that would do it. Independent of the profile's generations,
//! so that no `nix-collect-garbage -d` can take them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use super::paths::{ROOTS, STORE};
use super::process;
use super::system::{self, sync_directory};
use crate::activation::state::Toplevel;

/// Roots the system that is going to be tried, those to return to, and this agent.
///
/// # Errors
///
/// What the disk said.
pub fn before_a_trial(to: &Toplevel, running: &Toplevel, profile: &Toplevel) -> io::Result<()> {
    let roots = Path::new(ROOTS);
    system::make_readable_directory(roots)?;
    set(roots, "candidate", to.as_path())?;
    set(roots, "previous", running.as_path())?;
    set(roots, "previous-profile", profile.as_path())?;
    if let Some(package) = in_store(&process::own_program()?) {
        set(roots, "guard", &package)?;
    }
    sync_directory(roots)
}

/// Keeps what runs now, and forgets the candidate. `previous` stays until the next trial.
///
/// # Errors
///
/// What the disk said.
pub fn after_an_end(running: &Toplevel) -> io::Result<()> {
    let roots = Path::new(ROOTS);
    system::make_readable_directory(roots)?;
    set(roots, "current", running.as_path())?;
    match fs::remove_file(roots.join("candidate")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Keeps what ran before what is committed: an administrator may want to go back to it.
///
/// # Errors
///
/// What the disk said.
pub fn before_a_commit(before: &Toplevel) -> io::Result<()> {
    let roots = Path::new(ROOTS);
    system::make_readable_directory(roots)?;
    set(roots, "before", before.as_path())?;
    sync_directory(roots)
}

/// Like [`after_an_end`]. Roots are a precaution: that one cannot be moved is no reason to
/// fail what succeeded.
pub fn forget_candidate(running: &Toplevel) {
    if let Err(error) = after_an_end(running) {
        log::warn!(error:% = error; "could not move the garbage collector roots");
    }
}

/// The trial that was begun and has not ended: what is tried, and what ran before.
pub fn trial() -> Option<(Toplevel, Toplevel)> {
    let root = |name| system::toplevel(&Path::new(ROOTS).join(name));
    Some((root("candidate")?, root("previous")?))
}

fn set(roots: &Path, name: &str, target: &Path) -> io::Result<()> {
    let (link, next) = (roots.join(name), roots.join(format!(".{name}")));
    if fs::read_link(&link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    symlink(target, &next)?;
    fs::rename(&next, &link)
}

/// The store path that `file` is part of, if it is.
fn in_store(file: &Path) -> Option<PathBuf> {
    match file.strip_prefix(STORE).ok()?.components().next()? {
        Component::Normal(name) => Some(Path::new(STORE).join(name)),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_keeps_its_package() {
        let package = Path::new("/nix/store/abc-floe-agent").to_owned();
        assert_eq!(in_store(&package.join("bin/floe-agent")), Some(package));
        assert_eq!(in_store(Path::new("/usr/bin/floe-agent")), None);
    }

    #[test]
    fn a_root_is_moved_in_one_step_and_again() {
        let dir = tempfile::tempdir().unwrap();
        for target in ["/nix/store/a", "/nix/store/b", "/nix/store/b"] {
            set(dir.path(), "candidate", Path::new(target)).unwrap();
            assert_eq!(fs::read_link(dir.path().join("candidate")).unwrap(), Path::new(target));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
