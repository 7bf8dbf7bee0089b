//! Whether Nix can read a role's files: a typing error is found before a host is asked.
//!
//! Parsing only: nothing is evaluated, no channel and no store is looked at. Where there
//! is no Nix on the operator's machine, hosts find the error, and nothing of them changes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use walkdir::WalkDir;

use super::process;
use super::source;

/// Longer than Nix takes to read any role.
const LIMIT: Duration = Duration::from_secs(20);

/// More files than a role has; the rest is left to the hosts.
const MAX_FILES: usize = 1000;

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nix read every file.
    Fine,
    /// There is no `nix-instantiate` here, or it did not answer.
    NotTried,
}

/// Parses every `.nix` file of the role in `directory`.
///
/// # Errors
///
/// [`Error`] with what Nix said of the first file that it cannot read.
pub async fn parse(directory: &Path) -> Result<Parsed, Error> {
    let files = nix_files(directory);
    if files.is_empty() {
        return Ok(Parsed::Fine);
    }
    let arguments = [PathBuf::from("--parse"), "--quiet".into()].into_iter().chain(files);
    match process::run("nix-instantiate", arguments, directory, LIMIT).await {
        Ok(ended) if ended.status.success() => Ok(Parsed::Fine),
        Ok(ended) if ended.stderr.contains("syntax error") => {
            Err(Error { said: shortened(&ended.stderr) })
        }
        // A Nix that cannot work here (no store, no home) says nothing of the files.
        Ok(_) => Ok(Parsed::NotTried),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Parsed::NotTried),
        Err(_) => Ok(Parsed::NotTried),
    }
}

/// In order, so that the same file is named every time.
fn nix_files(directory: &Path) -> Vec<PathBuf> {
    WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !source::is_litter(entry.path()))
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "nix"))
        .take(MAX_FILES)
        .collect()
}

/// From the error on, since warnings may stand before it; without the picture of the line.
fn shortened(said: &str) -> String {
    let error = said.split_once("error:").map_or(said, |(_, error)| error);
    let is_picture = |line: &&str| line.starts_with('|') || line.contains("| ");
    let lines = error.lines().map(str::trim).filter(|line| !line.is_empty() && !is_picture(line));
    lines.take(3).collect::<Vec<_>>().join(" ").trim_end_matches(':').to_owned()
}

/// Nix cannot read a file.
#[derive(Debug, thiserror::Error)]
#[error("Nix cannot read the role: {said}")]
pub struct Error {
    said: String,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        "correct the file; --no-check leaves the finding to the hosts"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_says_is_shortened_to_the_error() {
        let said = "warning: the group 'nixbld' does not exist\n\
                    error: syntax error, unexpected end of file\n\
                    \u{20}      at /r/hosts/www/configuration.nix:1:9:\n\
                    \u{20}           1| { broken\n             |         ^\n";
        let short = "syntax error, unexpected end of file at /r/hosts/www/configuration.nix:1:9";
        assert_eq!(shortened(said), short);
    }
}
