//! The units that are to be told of new values. Noted in memory before anything is placed, so
//! that no crash in between leaves one untold, but for the one that is being told; a reboot starts
//! all of them anyway.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::Error;

/// Where it is noted.
pub const UNTOLD: &str = "/run/floe/secrets-untold.json";

/// How a unit is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Restarted, if it runs.
    Restart,
    /// Reloaded, if it runs; restarted where it cannot be reloaded.
    Reload,
}

/// Who is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    restart: BTreeSet<String>,
    reload: BTreeSet<String>,
}

impl Changes {
    /// These as well. A restart is a reload, too.
    pub(super) fn add(&mut self, restart: &[String], reload: &[String]) {
        self.restart.extend(restart.iter().cloned());
        self.reload.extend(reload.iter().cloned());
        self.reload.retain(|unit| !self.restart.contains(unit));
    }
}

/// Notes that `changes` are to be told, beside those that were not told yet.
///
/// # Errors
///
/// [`Error::Disk`].
pub(super) fn note(file: &Path, changes: &Changes) -> Result<(), Error> {
    if *changes == Changes::default() {
        return Ok(());
    }
    let mut all = load(file)?;
    let list = |units: &BTreeSet<String>| units.iter().cloned().collect::<Vec<_>>();
    all.add(&list(&changes.restart), &list(&changes.reload));
    store(file, &all)
}

/// Takes the next one off the list. Before it is told: one whose restart takes the agent along
/// would be told for ever.
///
/// # Errors
///
/// [`Error::Disk`].
pub(super) fn next(file: &Path) -> Result<Option<(Verb, String)>, Error> {
    let mut all = load(file)?;
    let restart = all.restart.pop_first().map(|unit| (Verb::Restart, unit));
    let next = restart.or_else(|| all.reload.pop_first().map(|unit| (Verb::Reload, unit)));
    if next.is_some() {
        store(file, &all)?;
    }
    Ok(next)
}

fn load(file: &Path) -> Result<Changes, Error> {
    match fs::read(file) {
        // Ours alone, in memory: what cannot be read is of another version, and told by a boot.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Changes::default()),
        Err(source) => Err(Error::Disk { file: file.to_owned(), source }),
    }
}

fn store(file: &Path, changes: &Changes) -> Result<(), Error> {
    let disk = |source| Error::Disk { file: file.to_owned(), source };
    let text = serde_json::to_vec(changes).map_err(|error| disk(error.into()))?;
    let temporary = PathBuf::from(format!("{}.new", file.display()));
    if let Some(directory) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(disk)?;
    }
    fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, file)).map_err(disk)
}
