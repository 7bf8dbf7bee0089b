//! Transient units: started, awaited, looked at. Speaks to systemd by its own tools.
//!
//! Awaiting costs nothing: it is the end of the unit's main process that is waited
//! for, by pidfd. So it works for a unit that an earlier agent started as well.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::answer::answer;
use super::paths::SWITCH_UNIT;
use super::process::{self, Output, Process};
use crate::activation::verdict::Ended;
use crate::backoff::Backoff;

/// A unit that is about to be started with `systemd-run`.
#[derive(Debug)]
pub struct Transient {
    name: String,
    description: String,
    args: Vec<OsString>,
}

impl Transient {
    /// A unit called `name`. `description` says what it is for, and whose it is.
    pub fn new(name: &str, description: &str) -> Self {
        let args = ["--quiet", "--no-ask-password"].map(OsString::from).to_vec();
        Self { name: name.to_owned(), description: description.to_owned(), args }
            .option(&format!("--unit={name}"))
            .option(&format!("--description={description}"))
    }

    /// Adds an option of `systemd-run`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.args.push(option.into());
        self
    }

    /// Adds a unit property.
    #[must_use]
    pub fn property(self, property: &str) -> Self {
        self.option(&format!("--property={property}"))
    }

    /// Adds a variable to the environment, which is otherwise systemd's own.
    #[must_use]
    pub fn env(mut self, name: &str, value: &OsStr) -> Self {
        let mut option = OsString::from(format!("--setenv={name}="));
        option.push(value);
        self.args.push(option);
        self
    }

    /// Starts the unit; returns once its program runs (or its timer does).
    ///
    /// # Errors
    ///
    /// Also where a unit of that name exists already.
    pub async fn start<A: AsRef<OsStr>>(
        self,
        argv: impl IntoIterator<Item = A>,
    ) -> Result<(), process::Error> {
        self.start_unless(argv, || false).await
    }

    /// The same for what must not be done twice: it is not asked for again once `has_begun`.
    ///
    /// # Errors
    ///
    /// As [`Transient::start`].
    pub async fn start_unless<A: AsRef<OsStr>>(
        mut self,
        argv: impl IntoIterator<Item = A>,
        has_begun: impl Fn() -> bool,
    ) -> Result<(), process::Error> {
        log::debug!(unit = self.name.as_str(); "starting a transient unit");
        self.args.push("--".into());
        self.args.extend(argv.into_iter().map(|argument| argument.as_ref().to_owned()));
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        let mut tries = 1;
        loop {
            let run = Process::new("systemd-run").args(&self.args);
            let Err(error) = run.output().await?.success() else { return Ok(()) };
            // Its answer may be what was lost, and not the request.
            if has_begun() || self.is_there().await? {
                log::warn!(unit = self.name.as_str(), error:% = error; "it was started all the same");
                return Ok(());
            }
            if tries == STARTS {
                return Err(error);
            }
            tries += 1;
            sleep(backoff.next_wait()).await;
        }
    }

    /// Whether systemd knows this unit, or its timer, as ours.
    async fn is_there(&self) -> Result<bool, process::Error> {
        for unit in [&self.name, &format!("{}.timer", self.name)] {
            let found = show(unit).await?;
            if found.is_loaded() && found.description() == self.description {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How often a unit is asked for that is not there: see [`answer`].
const STARTS: u32 = 5;

/// What systemd says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(HashMap<String, String>);

impl Facts {
    fn get(&self, property: &str) -> &str {
        self.0.get(property).map_or("", String::as_str)
    }

    /// Whether its main process may still run.
    pub fn is_running(&self) -> bool {
        let state = self.get("ActiveState");
        matches!(state, "activating" | "active" | "reloading" | "deactivating")
            && self.get("SubState") != "exited"
    }

    /// Whether it is active at all (for timers).
    pub fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "activating" | "deactivating")
    }

    /// Whether it is up, as `systemctl is-active` has it.
    pub fn is_up(&self) -> bool {
        matches!(self.state(), "active" | "reloading" | "refreshing")
    }

    /// `active`, `inactive`, `failed`…
    pub fn state(&self) -> &str {
        self.get("ActiveState")
    }

    /// Whether it is a timer that has not fired yet.
    pub fn is_waiting(&self) -> bool {
        self.is_active() && self.get("SubState") == "waiting"
    }

    /// Whether systemd knows it.
    pub fn is_loaded(&self) -> bool {
        self.get("LoadState") == "loaded"
    }

    /// What it says it is for.
    pub fn description(&self) -> &str {
        self.get("Description")
    }

    /// Why it ended: `success`, `exit-code`, `signal`, `timeout`, `oom-kill`…
    pub fn result(&self) -> &str {
        self.get("Result")
    }

    /// The status of its main process.
    pub fn main_status(&self) -> i32 {
        self.get("ExecMainStatus").parse().unwrap_or(-1)
    }

    fn main_process(&self) -> Option<Pid> {
        self.get("MainPID").parse().ok().and_then(Pid::from_raw)
    }
}

/// What systemd says of `unit` now.
///
/// # Errors
///
/// Where systemd could not be asked; a unit that it does not know is no error.
pub async fn show(unit: &str) -> Result<Facts, process::Error> {
    let properties =
        "--property=LoadState,ActiveState,SubState,Result,ExecMainStatus,MainPID,Description";
    Ok(parse(&ask(&["show", properties, "--", unit]).await?.stdout))
}

/// What the process of `unit` says of itself (sd_notify(3), `STATUS=`); `None` where none
/// runs, or it says nothing.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn status_text(unit: &str) -> Result<Option<String>, process::Error> {
    let properties = "--property=ActiveState,SubState,StatusText";
    let facts = parse(&ask(&["show", properties, "--", unit]).await?.stdout);
    let text = facts.get("StatusText");
    Ok((facts.is_running() && !text.is_empty()).then(|| text.to_owned()))
}

fn parse(text: &str) -> Facts {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Facts(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Waits until the main process of `unit` has ended, and returns what is left of it.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn ended(unit: &str) -> Result<Facts, process::Error> {
    let mut wait = Duration::from_millis(5);
    loop {
        let facts = show(unit).await?;
        if !facts.is_running() {
            return Ok(facts);
        }
        if let Some(pid) = facts.main_process() {
            // That an error ends this wait is no harm: systemd is asked again.
            let _ended = process_ended(pid).await;
        }
        // Between the end of the process and systemd's noticing.
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(200));
    }
}

/// pidfd_open(2): readable once the process has ended.
#[expect(deprecated, reason = "what took its place is unsafe; an `OwnedFd` always is what it says")]
async fn process_ended(pid: Pid) -> io::Result<()> {
    let pidfd = AsyncFd::new(pidfd_open(pid, PidfdFlags::NONBLOCK)?)?;
    let _ready = pidfd.readable().await?;
    Ok(())
}

/// Stops `unit` with everything that it started, at once.
///
/// # Errors
///
/// Where systemd could not be asked, or the unit does not go away.
pub async fn kill(unit: &str) -> Result<(), process::Error> {
    // Fails where nothing runs any more, which is as good.
    Process::new("systemctl").args(["kill", "--signal=KILL", "--", unit]).output().await?;
    stop(&[unit]).await
}

/// Stops units that may not exist, and forgets that they failed.
///
/// # Errors
///
/// Where systemd could not be asked, or does not stop one.
pub async fn stop(units: &[&str]) -> Result<(), process::Error> {
    // One by one: of several, the first that went wrong gives the status.
    for unit in units {
        let is_stopped =
            |output: &Output| output.is_success() || output.ended() == Ended::Exit(NOT_LOADED);
        let stopping = || Process::new("systemctl").args(["stop", "--", unit]).output();
        answer(stopping, is_stopped).await?;
    }
    Ok(())
}

/// `systemctl stop` of a unit that systemd does not know (systemctl(1), "Exit status").
const NOT_LOADED: i32 = 5;

/// What `systemctl` answers to a question.
async fn ask(args: &[&str]) -> Result<Output, process::Error> {
    answer(|| Process::new("systemctl").args(args).output(), Output::is_success).await
}

/// Forgets a unit that ended, so that its name is free.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn forget(unit: &str) -> Result<(), process::Error> {
    stop(&[unit]).await?;
    Process::new("systemctl").args(["reset-failed", "--", unit]).output().await?;
    Ok(())
}

/// Restarts `unit` if it runs, and waits until it has.
///
/// # Errors
///
/// Where systemd could not be asked, or the unit does not come up again.
pub async fn restart_running(unit: &str) -> Result<(), process::Error> {
    change_running("try-restart", unit).await
}

/// Reloads `unit` if it runs, or restarts it where it cannot be reloaded; waits until it has.
///
/// # Errors
///
/// As [`restart_running`].
pub async fn reload_running(unit: &str) -> Result<(), process::Error> {
    change_running("try-reload-or-restart", unit).await
}

async fn change_running(verb: &str, unit: &str) -> Result<(), process::Error> {
    let asked = Process::new("systemctl").args([verb, "--", unit]).within(CHANGE);
    asked.output().await?.success().map(drop)
}

/// Longer than a unit may take to stop and to start, by systemd's own defaults.
const CHANGE: Duration = Duration::from_secs(200);

/// Units that have failed, and those that systemd restarts because they failed.
///
/// Ours are left out: what becomes of them is known otherwise.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn failing() -> Result<std::collections::BTreeSet<String>, process::Error> {
    let words = ["list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full"];
    let listed = ask(&[&words[..], &["--state=failed,auto-restart"]].concat()).await?;
    let mut failing = std::collections::BTreeSet::new();
    for (unit, is_failed) in listed_units(&listed.stdout) {
        // As switch-to-configuration does: a unit that ended well and is only started
        // again is no failure.
        if is_failed || !matches!(show(&unit).await?.main_status(), 0) {
            failing.insert(unit);
        }
    }
    Ok(failing)
}

fn listed_units(text: &str) -> Vec<(String, bool)> {
    let ours = |unit: &str| unit.starts_with("floe-") || unit.starts_with(SWITCH_UNIT);
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let unit = words.next()?;
            let state = words.nth(1)?;
            (!ours(unit)).then(|| (unit.to_owned(), state == "failed"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_failed_are_told_from_those_that_are_restarted() {
        let text = "nginx.service loaded failed failed A web server\n\
                    loop.service loaded activating auto-restart Loops\n\
                    floe-agent.service loaded activating auto-restart Ours\n";
        let expected = [("nginx.service".to_owned(), true), ("loop.service".to_owned(), false)];
        assert_eq!(listed_units(text), expected);
    }

    #[test]
    fn a_unit_that_remains_after_its_end_does_not_run() {
        let facts = parse("ActiveState=active\nSubState=exited\nResult=success\nMainPID=0\n");
        assert!(!facts.is_running() && facts.is_active());
        assert_eq!(facts.main_process(), None);
        assert!(parse("ActiveState=active\nSubState=running\nMainPID=7\n").is_running());
        assert!(!parse("LoadState=not-found\nActiveState=inactive\n").is_running());
    }
}
