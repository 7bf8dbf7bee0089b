//! Whether a flake's lock file is for the inputs that flake.nix says: no more, and no less.
//!
//! Hosts refuse a lock file that would have to be changed. Nix is asked for the names alone:
//! of flake.nix only what stands beside `outputs` is evaluated, which must be plain data
//! (nix3-flake(1), "Flake format"). Where there is no Nix, hosts find it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::payload::flake::{self, FlakeLock};

use super::process;

/// Longer than Nix takes to read one file.
const LIMIT: Duration = Duration::from_secs(20);

/// What `outputs` takes is an input, too, also where `inputs` does not say it.
const NAMES: &str = "{ file }: let flake = import file; in builtins.attrNames \
    ((builtins.removeAttrs (builtins.functionArgs flake.outputs) [ \"self\" ]) // (flake.inputs or { }))";

/// How the two differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// In flake.nix alone: what nobody locked.
    pub unlocked: Vec<String>,
    /// In flake.lock alone: what is no input any more.
    pub left: Vec<String>,
}

/// Compares the two files of the flake in `directory`.
///
/// # Errors
///
/// [`Error`] where they differ.
pub async fn compare(directory: &Path) -> Result<(), Error> {
    match difference(directory).await {
        Some(difference) if difference != Difference::default() => {
            Err(Error { file: directory.join(flake::LOCK), difference })
        }
        Some(_) | None => Ok(()),
    }
}

/// How the two files of the flake in `directory` differ; `None` where Nix is not here, or
/// says nothing of flake.nix.
pub async fn difference(directory: &Path) -> Option<Difference> {
    let directory = std::path::absolute(directory).ok()?;
    let lock = std::fs::read_to_string(directory.join(flake::LOCK)).ok()?;
    let lock = FlakeLock::parse(&lock).ok()?;
    let file = directory.join(flake::FILE);
    let arguments = ["--eval", "--strict", "--json", "--expr", NAMES, "--argstr", "file"];
    let arguments = arguments.iter().map(AsRef::as_ref).chain([file.as_os_str()]);
    let ended = process::run("nix-instantiate", arguments, &directory, LIMIT).await.ok()?;
    let said: BTreeSet<String> = serde_json::from_str(&ended.stdout).ok()?;
    let said: BTreeSet<&str> = said.iter().map(String::as_str).collect();
    let names = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    let locked = lock.inputs();
    Some(Difference { unlocked: names(&said - &locked), left: names(&locked - &said) })
}

/// The two differ.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not the lock of its flake.nix: {difference}", file.display())]
pub struct Error {
    file: PathBuf,
    difference: Difference,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        "nix flake lock"
    }
}

/// In one sentence.
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |names: &[String]| {
            let names: Vec<_> = names.iter().map(|name| format!("`{}`", plain(name))).collect();
            names.join(", ")
        };
        if !self.unlocked.is_empty() {
            write!(f, "nobody locked {}", shown(&self.unlocked))?;
        }
        if !self.left.is_empty() {
            let and = if self.unlocked.is_empty() { "" } else { ", and " };
            write!(f, "{and}{} is no input any more", shown(&self.left))?;
        }
        Ok(())
    }
}

fn plain(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_locked_or_no_input_any_more_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write("flake.nix", "{ inputs.a.url = \"path:./a\"; outputs = { self, b, ... }: { }; }");
        write(
            "flake.lock",
            r#"{"version":7,"root":"root","nodes":{"root":{"inputs":{"a":"a","c":["a"]}}}}"#,
        );
        let Some(found) = difference(directory.path()).await else { return }; // no Nix here
        assert_eq!((found.unlocked, found.left), (vec!["b".into()], vec!["c".into()]));
        let error = compare(directory.path()).await.unwrap_err().to_string();
        assert!(error.ends_with("nobody locked `b`, and `c` is no input any more"), "{error}");

        write("flake.nix", "{ inputs = { a = { }; c.follows = \"a\"; }; outputs = inputs: { }; }");
        assert_eq!(difference(directory.path()).await, Some(Difference::default()));
        write("flake.nix", "{ outputs = ");
        assert_eq!(difference(directory.path()).await, None);
    }
}
