//! Has a system's `switch-to-configuration` run in a transient unit, to its end.
//!
//! The unit has the name that nixos-rebuild uses, so that a human's nixos-rebuild and
//! we exclude each other. It outlives this process: a later one finds it, waits, and
//! reads the word that it left. What the switch did is read from the machine.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::id::ActivationId;

use super::paths::{Paths, SWITCH_UNIT};
use super::trial::{self, Action, Word};
use super::unit::{self, Transient};
use super::{process, system};
use crate::activation::state::{Toplevel, Trial};
use crate::activation::verdict::{After, Ended};

/// What `switch-to-configuration` ends with where its lock is held (docs/nixos.md 4.7).
const LOCKED: i32 = 11;

/// One switch: what is done with which system, and where word of it is left.
#[derive(Clone, Debug)]
pub struct Switch<'a> {
    /// For which activation.
    pub activation: &'a ActivationId,
    /// What it is, in one word: `trial`, `revert`…; one word, one outcome.
    pub purpose: &'static str,
    /// Test or boot.
    pub action: Action,
    /// The system.
    pub toplevel: &'a Toplevel,
    /// After this it is killed.
    pub limit: Duration,
    /// Whether it is only begun under the activation's armed dead man's timer.
    pub guarded: bool,
}

impl<'a> Switch<'a> {
    /// The trial of a new system under its timer; killed after `limit`.
    pub fn of_trial(trial: &'a Trial, limit: Duration) -> Self {
        Self {
            activation: &trial.order.activation,
            purpose: "trial",
            action: Action::Test,
            toplevel: &trial.to,
            limit,
            guarded: true,
        }
    }

    /// Begins the switch, or finds it begun, and waits for its end. A switch that was
    /// begun is not begun again: its word is what counts.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where somebody else is switching.
    pub async fn once(&self, paths: &Paths) -> Result<Ended, Error> {
        let outcome = self.outcome(paths);
        if let Some(Word::Ended(ended)) = trial::read(&outcome) {
            return Ok(ended);
        }
        let unit = unit::show(SWITCH_UNIT).await?;
        if unit.is_running() {
            if unit.description() != self.description() {
                return Err(Error::Busy);
            }
        } else if trial::read(&outcome).is_none() {
            self.start(paths, &outcome).await?;
        }
        unit::ended(SWITCH_UNIT).await?;
        match trial::read(&outcome) {
            Some(Word::Ended(ended)) => Ok(ended),
            Some(Word::Begun) | None => Ok(Ended::Vanished),
        }
    }

    /// Like [`Self::once`], but begins anew where an earlier one ended, and finds
    /// somebody else's lock busy instead of failing at it.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where somebody else is switching.
    pub async fn anew(&self, paths: &Paths) -> Result<Ended, Error> {
        let unit = unit::show(SWITCH_UNIT).await?;
        if !unit.is_running() {
            match std::fs::remove_file(self.outcome(paths)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::Disk(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        match self.once(paths).await? {
            // Somebody holds the lock who is not nixos-rebuild; nothing was touched.
            Ended::Exit(LOCKED) => Err(Error::Busy),
            ended @ (Ended::Exit(_) | Ended::Signal(_) | Ended::Vanished) => Ok(ended),
        }
    }

    /// Ends this switch with everything that it started, if it runs. A lock that is
    /// free does not mean that it is quiet: its activation script would go on.
    ///
    /// # Errors
    ///
    /// Where systemd could not be asked.
    pub async fn kill(&self) -> Result<(), process::Error> {
        let unit = unit::show(SWITCH_UNIT).await?;
        if unit.is_running() && unit.description() == self.description() {
            log::warn!(purpose = self.purpose; "killing a switch that still runs");
            unit::kill(SWITCH_UNIT).await?;
        }
        Ok(())
    }

    /// The name under which its output lies in the journal.
    pub fn identifier(&self) -> String {
        format!("floe-{}-{}", self.purpose, self.activation)
    }

    async fn start(&self, paths: &Paths, outcome: &Path) -> Result<(), Error> {
        let program = process::own_program().map_err(Error::Disk)?;
        let place = outcome.parent().unwrap_or_else(|| Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(Error::Disk)?;
        let guard = self.guarded.then(|| ["--guarded-by", self.activation.as_str()]);
        let seconds = self.limit.as_secs().max(1);
        Transient::new(SWITCH_UNIT, &self.description())
            .option("--collect")
            .option("--service-type=exec")
            .property(&format!("RuntimeMaxSec={seconds}"))
            .property("TimeoutStopSec=2")
            .property(&format!("SyslogIdentifier={}", self.identifier()))
            .env("PATH", &paths.search)
            .start_unless(
                [
                    program.as_os_str(),
                    OsStr::new("trial"),
                    OsStr::new("--toplevel"),
                    self.toplevel.as_path().as_os_str(),
                    OsStr::new("--action"),
                    OsStr::new(self.action.as_str()),
                    OsStr::new("--outcome"),
                    outcome.as_os_str(),
                ]
                .into_iter()
                .chain(guard.iter().flatten().map(OsStr::new)),
                // It leaves word before it does anything.
                || trial::read(outcome).is_some(),
            )
            .await?;
        Ok(())
    }

    fn outcome(&self, paths: &Paths) -> PathBuf {
        paths.outcomes().join(self.activation.as_str()).join(format!("{}.json", self.purpose))
    }

    fn description(&self) -> String {
        format!("floe: {} of activation {}", self.purpose, self.activation)
    }
}

/// What the machine looks like now that a switch to `toplevel` has `ended`.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn after(ended: Ended, toplevel: &Toplevel) -> Result<After, process::Error> {
    Ok(After {
        ended,
        running: system::running(),
        etc_is_new: system::etc_is_of(toplevel),
        failed: unit::failing().await?,
    })
}

/// Why nothing was switched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A nixos-rebuild of somebody else's runs.
    #[error("somebody else is switching this machine")]
    Busy,
    /// The disk said no.
    #[error("could not prepare the switch")]
    Disk(#[source] std::io::Error),
    /// systemd said no.
    #[error(transparent)]
    Systemd(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Busy => "wait for the other nixos-rebuild; the agent looks again by itself",
            Self::Disk(_) => "look at the space below /run",
            Self::Systemd(error) => error.advice(),
        }
    }
}
