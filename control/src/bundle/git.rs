//! What git knows of the fleet repository: which revision a bundle is made of, whether a file
//! is kept in it, and which files of a flake are.
//!
//! The first two are for people and audits only; nothing is decided by them. So whatever goes
//! wrong, no git, no commit, a repository that answers slowly, is "not known", and no error.
//! Of a flake only what git keeps is packed, so there nothing may be left unknown.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::process;
use crate::program;

/// Longer than any repository of configurations takes.
const LIMIT: Duration = Duration::from_secs(2);

/// Where a repository stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// The commit; `None` where there is none, or no git.
    pub commit: Option<String>,
    /// Whether files differ from it.
    pub dirty: bool,
}

/// The revision of the checkout that `directory` is in.
pub async fn revision(directory: &Path) -> Revision {
    // Spares a process where there is no checkout.
    if !is_checkout(directory) {
        return Revision::default();
    }
    let arguments = [
        "--no-optional-locks",
        "-c",
        "core.fsmonitor=false",
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=normal",
        "--",
        ".",
    ];
    match process::run("git", arguments, directory, LIMIT).await {
        Ok(ended) if ended.status.success() => parse(&ended.stdout),
        Ok(_) | Err(_) => Revision::default(),
    }
}

/// What git would do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is in version control.
    Tracked,
    /// It would be with the next `git add`.
    Untracked,
    /// It never is, by itself.
    Ignored,
    /// There is no checkout, or no git.
    Unknown,
}

/// Whether `file`, relative to `directory`, is kept in version control.
pub async fn kept(directory: &Path, file: &Path) -> Kept {
    if !is_checkout(directory) {
        return Kept::Unknown;
    }
    let ask = async |command: &[&str]| {
        let arguments = command.iter().map(AsRef::as_ref).chain([file.as_os_str()]);
        process::run("git", arguments, directory, LIMIT).await.ok()?.status.code()
    };
    if ask(&["--no-optional-locks", "ls-files", "--error-unmatch", "--"]).await == Some(0) {
        return Kept::Tracked;
    }
    // git-check-ignore(1): 0 for ignored, 1 for not, anything else for an error.
    match ask(&["check-ignore", "--quiet", "--"]).await {
        Some(0) => Kept::Ignored,
        Some(1) => Kept::Untracked,
        Some(_) | None => Kept::Unknown,
    }
}

/// The files below `directory` that git keeps, relative to it; `None` where there is no
/// checkout.
///
/// # Errors
///
/// [`Error`] where there is one, and git does not say.
pub fn list(directory: &Path) -> Result<Option<Vec<PathBuf>>, Error> {
    if !is_checkout(directory) {
        return Ok(None);
    }
    ls_files(directory, &[]).map(Some)
}

/// The files below `directory`, relative to it, that git would keep after `git add`, and does
/// not yet.
///
/// # Errors
///
/// As [`list`].
pub fn unkept(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    if !is_checkout(directory) {
        return Ok(Vec::new());
    }
    ls_files(directory, &["--others", "--exclude-standard"])
}

/// Waits for git, which answers this from one file.
fn ls_files(directory: &Path, arguments: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let options = ["--no-optional-locks", "-c", "core.fsmonitor=false", "ls-files", "-z"];
    let mut git = program::command("git").into_std();
    git.args(options).args(arguments).current_dir(directory).stdin(Stdio::null());
    let failed = |said: String| Error { directory: directory.to_owned(), said };
    let ended = git.output().map_err(|error| {
        let gone = error.kind() == io::ErrorKind::NotFound;
        failed(if gone { "there is no `git` here".into() } else { error.to_string() })
    })?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.lines().next().unwrap_or_default();
        return Err(failed(said.chars().filter(|c| !c.is_control()).take(300).collect()));
    }
    let names = ended.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect())
}

fn is_checkout(directory: &Path) -> bool {
    directory.ancestors().any(|parent| parent.join(".git").exists())
}

/// git did not say what it keeps.
#[derive(Debug, thiserror::Error)]
#[error("git does not say which files of `{}` it keeps: {said}", directory.display())]
pub struct Error {
    directory: PathBuf,
    said: String,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        "of a flake in a checkout only those are packed: see what `git status` says there"
    }
}

/// git-status(1), "Porcelain Format Version 2": headers begin with `#`, all else is a change.
fn parse(status: &str) -> Revision {
    let commit = status
        .lines()
        .find_map(|line| line.strip_prefix("# branch.oid "))
        .filter(|oid| oid.len() <= 64 && oid.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(str::to_owned);
    let changed = status.lines().any(|line| !line.starts_with('#'));
    Revision { dirty: commit.is_some() && changed, commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_and_whether_anything_differs_are_read() {
        let clean = "# branch.oid 0123456789abcdef\n# branch.head main\n";
        let commit = Some("0123456789abcdef".to_owned());
        assert_eq!(parse(clean), Revision { commit: commit.clone(), dirty: false });
        assert_eq!(parse(&format!("{clean}? new.nix\n")), Revision { commit, dirty: true });
    }

    #[test]
    fn before_the_first_commit_nothing_is_known() {
        let status = "# branch.oid (initial)\n# branch.head main\n? floe.toml\n";
        assert_eq!(parse(status), Revision::default());
    }

    #[tokio::test]
    async fn outside_of_a_checkout_nothing_is_known() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(revision(directory.path()).await, Revision::default());
    }
}
