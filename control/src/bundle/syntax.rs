//! Whether Nix can read a role's files: a typing error is found before a host is asked.
//!
//! Parsing only: nothing is evaluated, no channel and no store is looked at. Where there
//! is no Nix on the operator's machine, hosts find the error, and nothing of them changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use walkdir::WalkDir;

use super::process;
use super::selection::Selection;

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

/// What Nix cannot read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// What Nix said.
    pub message: String,
}

/// Parses every `.nix` file of the role in `directory` that is packed.
///
/// # Errors
///
/// [`Error`] with what Nix said of each file that it cannot read.
pub async fn parse(directory: &Path, selection: &Selection) -> Result<Parsed, Error> {
    match faults(directory, selection).await {
        None => Ok(Parsed::NotTried),
        Some(faults) if faults.is_empty() => Ok(Parsed::Fine),
        Some(faults) => Err(Error { faults }),
    }
}

/// What is wrong with those `.nix` files of the role in `directory`, one fault for each file;
/// `None` where Nix is not here or cannot work.
pub async fn faults(directory: &Path, selection: &Selection) -> Option<Vec<Fault>> {
    let directory = std::path::absolute(directory).ok()?;
    let files = nix_files(&directory, selection);
    let mut rest: &[PathBuf] = &files;
    let mut faults = Vec::new();
    // Nix stops at the first file that it cannot read; the next round begins behind it.
    while !rest.is_empty() {
        let options = [PathBuf::from("--parse"), "--quiet".into()];
        let arguments = options.iter().chain(rest);
        let ended = process::run("nix-instantiate", arguments, &directory, LIMIT).await.ok()?;
        if ended.status.success() {
            break;
        }
        // A Nix that cannot work here (no store, no home) says nothing of the files.
        let (at, fault) = fault(&ended.stderr, rest)?;
        faults.push(fault);
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    Some(faults)
}

/// In order, so that the same file is named every time.
fn nix_files(directory: &Path, selection: &Selection) -> Vec<PathBuf> {
    let inside = |path: &Path| path.strip_prefix(directory).unwrap_or(path).to_owned();
    WalkDir::new(directory)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !selection.leaves_out(&inside(entry.path())))
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "nix"))
        .take(MAX_FILES)
        .collect()
}

/// What Nix said of one of `files`, and which of them it is: `error: …`, and after it
/// `at FILE:LINE:COLUMN:`. An older place may stand in the message itself; the last counts.
fn fault(said: &str, files: &[PathBuf]) -> Option<(usize, Fault)> {
    // Warnings may stand before it.
    let (_, error) = said.split_once("error:")?;
    let (at, line, column) = error.lines().rev().find_map(|line| {
        let place = line.rsplit_once("at /").map(|(_, path)| format!("/{path}"))?;
        let mut parts = place.trim_end_matches(':').rsplitn(3, ':');
        let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let file = Path::new(parts.next()?);
        Some((files.iter().position(|known| known == file)?, line, column))
    })?;
    let first = error.trim_start().lines().next()?;
    let file = files.get(at)?.clone();
    let message = first.split(", at /").next().unwrap_or(first);
    // The same file, which need not be named again.
    let message = message.replace(&format!("{}:", file.display()), "line ");
    Some((at, Fault { file, line, column, message }))
}

/// Nix cannot read these.
#[derive(Debug, thiserror::Error)]
#[error("Nix cannot read the role: {}", listed(faults))]
pub struct Error {
    faults: Vec<Fault>,
}

fn listed(faults: &[Fault]) -> String {
    let one = |fault: &Fault| {
        let Fault { file, line, column, message } = fault;
        format!("{message} at {}:{line}:{column}", file.display())
    };
    faults.iter().map(one).collect::<Vec<_>>().join("; ")
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

    fn said(text: &str) -> Option<(usize, usize, usize, String)> {
        let files = ["/r/a.nix", "/r/hosts/www/configuration.nix"].map(PathBuf::from);
        fault(text, &files).map(|(at, f)| (at, f.line, f.column, f.message))
    }

    #[test]
    fn what_nix_says_is_read_whatever_its_age() {
        let new = "warning: the group 'nixbld' does not exist\n\
                   error: syntax error, unexpected end of file\n\
                   \u{20}      at /r/hosts/www/configuration.nix:1:9:\n\
                   \u{20}           1| { broken\n             |         ^\n";
        let message = "syntax error, unexpected end of file";
        assert_eq!(said(new), Some((1, 1, 9, message.into())));
        let old = "error: syntax error, unexpected end of file, at /r/a.nix:1:9\n";
        assert_eq!(said(old), Some((0, 1, 9, message.into())));
        let twice = "error: attribute 'a' already defined at /r/a.nix:1:3\n\n\
                     \u{20}      at /r/a.nix:2:10:\n";
        assert_eq!(
            said(twice),
            Some((0, 2, 10, "attribute 'a' already defined at line 1:3".into()))
        );
    }

    #[test]
    fn what_is_said_of_no_file_is_no_fault_of_it() {
        assert_eq!(said("error: creating directory '/nix/var': Permission denied\n"), None);
        assert_eq!(said("error: syntax error\n at /elsewhere.nix:1:1:\n"), None);
    }
}
