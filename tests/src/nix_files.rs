//! The Nix files of this repository, and how they are laid out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::script::repository_root;

/// All that are under version control, or will be.
///
/// # Panics
///
/// Where git cannot list them.
pub fn all() -> Vec<PathBuf> {
    let root = repository_root();
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.nix"];
    let listed = Command::new("git").current_dir(&root).args(list).output().unwrap();
    assert!(listed.status.success(), "git: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8_lossy(&listed.stdout);
    names.lines().map(|name| root.join(name)).filter(|file| file.is_file()).collect()
}

/// Whether a formatter decides how `file` looks. The stand-in for nixpkgs is denser than any
/// would have it, and the fleet and the fixtures are as the
/// seed has them.
pub fn is_formatted(file: &Path) -> bool {
    ["tests/world", "tests/fleet", "tests/fixtures"]
        .iter()
        .all(|dense| !file.starts_with(repository_root().join(dense)))
}

/// `text` as alejandra lays it out.
///
/// # Errors
///
/// What it cannot parse.
pub fn formatted(file: &Path, text: &str) -> Result<String, String> {
    use alejandra::format::Status;
    match alejandra::format::in_memory(file.display().to_string(), text.to_owned()) {
        (Status::Error(fault), _) => Err(fault),
        (Status::Changed(_), formatted) => Ok(formatted),
    }
}
