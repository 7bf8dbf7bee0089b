//! The flake of a role: its two files, whether hosts could use its lock file, and what of it
//! git does not keep.

use std::fs;
use std::path::{Path, PathBuf};

use floe_proto::payload::flake::{FILE, Fault, LOCK};

use super::finding::{Findings, Severity, reason};
use crate::bundle::inputs::{self, Difference};
use crate::bundle::selection::Selection;
use crate::bundle::{flake, git};
use crate::repository::{Flake, Place};

/// More files that git does not keep than anybody reads; the rest is counted.
const MAX_UNKEPT: usize = 10;

/// Looks at `flake`. Gives its directory and what of it is packed, if that can be said.
pub(super) async fn look(flake: &Flake, findings: &mut Findings) -> Option<(PathBuf, Selection)> {
    let directory = findings.root().join(&flake.directory);
    if !directory.is_dir() {
        let advice = "correct `flake` in host.toml: the directory that flake.nix is in";
        findings.error(
            &directory,
            "there is no such directory, and a role's flake is in it",
            advice,
        );
        return None;
    }
    let selection = match Selection::of_flake(findings.root(), &flake.directory) {
        Ok(selection) => selection,
        Err(error) => {
            findings.error(&directory, error.to_string(), error.advice());
            return None;
        }
    };
    let is_there = file(
        &directory.join(FILE),
        "write it, or name the directory that it is in as `flake` in host.toml",
        &selection,
        findings,
    );
    if file(&directory.join(LOCK), "write it, and commit it: nix flake lock", &selection, findings)
    {
        lock(&directory, is_there, findings).await;
    }
    unkept(&directory, flake, findings);
    Some((directory, selection))
}

/// Whether the file is there. What git does not keep of it, no host gets.
fn file(path: &Path, advice: &str, selection: &Selection, findings: &mut Findings) -> bool {
    if !path.is_file() {
        findings.error(path, "there is no such file, and the role's flake needs it", advice);
        return false;
    }
    let name = path.file_name().unwrap_or_default();
    if !selection.takes(Path::new(name)) {
        let message = "git does not keep it, so that the role's flake is without it";
        findings.error(path, message, &format!("git add {}", name.display()));
    }
    true
}

async fn lock(directory: &Path, has_flake: bool, findings: &mut Findings) {
    let path = directory.join(LOCK);
    let faults = match flake::faults(&path) {
        Ok(faults) => faults,
        Err(flake::Error::Read { source, .. }) => {
            findings.add(Severity::Error, &path, None, reason(&source), None);
            return;
        }
        Err(error) => {
            findings.error(&path, error.to_string(), &error.advice());
            return;
        }
    };
    let text = fs::read_to_string(&path).unwrap_or_default();
    for fault in &faults {
        let (message, advice) = (fault.to_string(), fault.advice().to_owned());
        findings.add(Severity::Error, &path, place(&text, fault), message, Some(advice));
    }
    if faults.is_empty()
        && has_flake
        && let Some(difference) = inputs::difference(directory).await
        && difference != Difference::default()
    {
        let message = format!("it is not the lock of its flake.nix: {difference}");
        findings.error(&path, message, "nix flake lock");
    }
}

/// The node that the fault is about, as Nix writes the file.
fn place(text: &str, fault: &Fault) -> Option<Place> {
    if let Fault::Malformed { line } = fault {
        return Place::at(text, *line, 1);
    }
    let name = format!("\"{}\"", fault.input()?);
    let at = text.find(&format!("{name}: {{"))?;
    Place::of_span(text, at..at + name.len())
}

/// Files that lie in the flake and that neither Nix nor a bundle sees.
fn unkept(directory: &Path, flake: &Flake, findings: &mut Findings) {
    let Ok(files) = git::unkept(directory) else { return };
    let selection = Selection::Flake { directory: flake.directory.clone(), kept: None };
    let both = [FILE, LOCK].map(Path::new);
    let files: Vec<_> = files
        .into_iter()
        .filter(|file| selection.takes(file) && !both.contains(&file.as_path()))
        .collect();
    for file in files.iter().take(MAX_UNKEPT) {
        findings.warning(
            &directory.join(file),
            "git does not keep it: neither Nix nor a bundle sees it",
            "git add it, or add a line to .gitignore",
        );
    }
    if let Some(more) = files.len().checked_sub(MAX_UNKEPT).filter(|more| *more > 0) {
        findings.note(directory, format!("git does not keep {more} more files of the flake"));
    }
}
