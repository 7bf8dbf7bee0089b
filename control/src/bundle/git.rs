//! What git knows of the fleet repository: which revision a bundle is made of, and whether
//! a file is kept in it.
//!
//! For people and audits only; nothing is decided by it. So whatever goes wrong, no
//! git, no commit, a repository that answers slowly, is "not known", and no error.

use std::path::Path;
use std::time::Duration;

use super::process;

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
    if !directory.ancestors().any(|parent| parent.join(".git").exists()) {
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
    if !directory.ancestors().any(|parent| parent.join(".git").exists()) {
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
