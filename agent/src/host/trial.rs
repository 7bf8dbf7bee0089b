//! What `floe-agent trial` does, inside the transient unit: run a system's own
//! `switch-to-configuration`, and leave word of how it ended.
//!
//! The word is left before and after, so that "never began", "was interrupted" and
//! "ended" can be told apart by whoever comes later. Never writes to a pipe of the
//! agent's: the agent may die, and a switch must not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use floe_proto::id::ActivationId;
use serde::{Deserialize, Serialize};

use super::process::{self, Process};
use super::system::sync_directory;
use super::timer;
use crate::activation::verdict::Ended;

/// What to do with a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Activate it; the boot default stays.
    Test,
    /// Make it the boot default; nothing else changes.
    Boot,
}

impl Action {
    /// As `switch-to-configuration` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Boot => "boot",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "test" => Ok(Self::Test),
            "boot" => Ok(Self::Boot),
            other => Err(format!("`{other}` is neither `test` nor `boot`")),
        }
    }
}

/// The word that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The switch was begun.
    Begun,
    /// It ended.
    Ended(Ended),
}

/// Runs `<toplevel>/bin/switch-to-configuration <action>` and leaves word in `outcome`.
///
/// With a guard, only while the dead man's timer of that activation waits. It is
/// looked at here, in the unit that its guard would kill: so there is no moment in which
/// an agent that was held up begins what the guard has undone already.
///
/// # Errors
///
/// [`Error`]: it could not be begun, or no word could be left. How the switch itself
/// ended is no error of ours.
pub async fn run(
    toplevel: &Path,
    action: Action,
    outcome: &Path,
    guard: Option<&ActivationId>,
) -> Result<(), Error> {
    leave(outcome, Word::Begun)?;
    if let Some(activation) = guard
        && !timer::is_waiting(activation).await?
    {
        return Err(Error::Unguarded);
    }
    let program = toplevel.join("bin/switch-to-configuration");
    let ended = Process::new(program).arg(action.as_str()).inherit().await?;
    leave(outcome, Word::Ended(ended))
}

/// The word that was left; `None` where none was, or where it cannot be read.
pub fn read(outcome: &Path) -> Option<Word> {
    serde_json::from_slice(&fs::read(outcome).ok()?).ok()
}

fn leave(outcome: &Path, word: Word) -> Result<(), Error> {
    write(outcome, word).map_err(|source| Error::NoWord { file: outcome.to_owned(), source })
}

fn write(outcome: &Path, word: Word) -> io::Result<()> {
    let next = outcome.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(&word)?)?;
    file.sync_all()?;
    fs::rename(&next, outcome)?;
    sync_directory(outcome.parent().unwrap_or_else(|| Path::new("/")))
}

/// Why nothing was switched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody would know how it ended.
    #[error("could not write `{}`", file.display())]
    NoWord {
        /// Where it was to be left.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// It was to be guarded.
    #[error("the dead man's timer does not wait any more; nothing was switched")]
    Unguarded,
    /// The timer could not be looked at.
    #[error(transparent)]
    Timer(#[from] timer::Error),
    /// The system has no such program.
    #[error(transparent)]
    Program(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoWord { .. } => "free space below /run; the agent goes back by itself",
            Self::Unguarded => "nothing: the machine goes back by itself",
            Self::Timer(error) => error.advice(),
            Self::Program(error) => error.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn system(script: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        let program = dir.path().join("bin/switch-to-configuration");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[tokio::test]
    async fn it_leaves_word_of_how_the_switch_ended() {
        let system = system("[ \"$1\" = test ] && exit 4");
        let outcome = system.path().join("outcome");
        assert_eq!(read(&outcome), None);
        run(system.path(), Action::Test, &outcome, None).await.unwrap();
        assert_eq!(read(&outcome), Some(Word::Ended(Ended::Exit(4))));
    }

    #[tokio::test]
    async fn a_trial_is_not_begun_without_its_armed_timer() {
        let system = system("touch \"$(dirname \"$0\")/switched\"");
        let outcome = system.path().join("outcome");
        let unarmed = "1-nobody-armed-this".parse().unwrap();
        assert!(run(system.path(), Action::Test, &outcome, Some(&unarmed)).await.is_err());
        assert!(!system.path().join("bin/switched").exists());
        run(system.path(), Action::Test, &outcome, None).await.unwrap();
        assert!(system.path().join("bin/switched").exists());
    }

    #[tokio::test]
    async fn a_switch_that_is_killed_is_told_from_one_that_fails() {
        let system = system("kill -9 $$");
        let outcome = system.path().join("outcome");
        run(system.path(), Action::Test, &outcome, None).await.unwrap();
        assert_eq!(read(&outcome), Some(Word::Ended(Ended::Signal(9))));
    }

    #[tokio::test]
    async fn what_was_begun_and_not_ended_is_known_as_such() {
        let system = tempfile::tempdir().unwrap();
        let outcome = system.path().join("outcome");
        assert!(run(system.path(), Action::Boot, &outcome, None).await.is_err());
        assert_eq!(read(&outcome), Some(Word::Begun));
    }
}
