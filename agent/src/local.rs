//! What an administrator does on the machine itself, without the control plane: look back,
//! suspend, resume, go back, collect garbage.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use clap::Args;
use floe_proto::id::Serial;
use floe_proto::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::activation::ports::{Clock as _, Suspension};
use crate::activation::reboot::list as list_reasons;
use crate::config::Config;
use crate::host::clock::HostClock;
use crate::host::generations::Policy;
use crate::host::history::Entry;
use crate::host::paths::Paths;
use crate::host::{by_hand, gc, history, journal, record, suspension};

/// What `floe-agent suspend` is told.
#[derive(Args, Debug)]
#[command(after_help = SUSPEND_EXAMPLES)]
pub struct Suspend {
    /// Why, for who looks at it later: `floe hosts show` has it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

const SUSPEND_EXAMPLES: &str = "\
Examples:
  floe-agent suspend --reason 'the disk is being replaced'
  floe-agent resume

Ends with 0 once it is suspended, 1 if the mark could not be written, 3 if you are not root.";

/// What `floe-agent revert` is told.
#[derive(Args, Debug)]
#[command(after_help = REVERT_EXAMPLES)]
pub struct Revert {
    /// Why, for who looks at it later: the control plane is told
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// Leave this version, and no other: needed where a later one was left already
    #[arg(long, value_name = "SERIAL")]
    from: Option<Serial>,
}

const REVERT_EXAMPLES: &str = "\
Examples:
  floe-agent revert --reason 'mail does not arrive'
  floe-agent revert --from 41                  # 42 was rolled back, and 41 is no good either
  floe-agent resume                            # take what is pushed again

Ends with 0 once the machine is back, or will be with the reboot that is asked for, 1 if that
failed, 3 where it was refused and nothing was done: you are not root, somebody switches the
machine, or there is nothing to go back to.";

/// The examples of `floe-agent resume`.
pub const RESUME_EXAMPLES: &str = "\
Examples:
  floe-agent resume

Ends with 0 also where the machine was not suspended, 1 if the mark could not be taken away,
3 if you are not root.";

/// The examples of `floe-agent history`.
pub const HISTORY_EXAMPLES: &str = "\
Examples:
  floe-agent history
  floe-agent history --output json | jq '.[0]'    # the newest is the first";

/// What `floe-agent gc` is told.
#[derive(Args, Debug)]
#[command(after_help = GC_EXAMPLES)]
pub struct Gc {
    /// Only say which generations would go
    #[arg(long)]
    dry_run: bool,

    /// Leave so many of the newest generations [default: `gc_keep` of agent.toml, else 5]
    #[arg(long, value_name = "N")]
    keep: Option<u32>,

    /// Leave generations that are younger than this [default: `gc_older_than` of agent.toml,
    /// else 30d]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
}

const GC_EXAMPLES: &str = "\
Examples:
  floe-agent gc --dry-run
  floe-agent gc --keep 3 --older-than 7d

What is booted, runs, would boot, or may be gone back to always stays. Ends with 0 once it is
done, 1 if it failed, 3 where it was refused and nothing was done: you are not root, an
activation is in flight, or somebody switches the machine.";

/// Collects garbage.
///
/// # Errors
///
/// [`Error`].
pub async fn gc(args: &Gc, config: &Config, paths: &Paths) -> Result<String, Error> {
    root_only()?;
    let policy = Policy {
        keep: args.keep.unwrap_or(config.gc_keep),
        older_than: args.older_than.unwrap_or(config.gc_older_than),
    };
    let gc::Done { deleted, kept, boots, freed } = gc::run(paths, policy, args.dry_run).await?;
    let verb = if args.dry_run { "would delete" } else { "deleted" };
    let mut text = match deleted.as_slice() {
        [] => format!("no generation is old enough; kept: {}\n", list(&kept)),
        deleted => format!("{verb} generations: {}; kept: {}\n", list(deleted), list(&kept)),
    };
    if let Some(boots) = boots {
        let _ = writeln!(text, "the boot menu was written anew; by default it boots {boots}");
    }
    if let Some(freed) = freed {
        let _ = writeln!(text, "{freed}");
    }
    Ok(text)
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Suspends this machine.
///
/// # Errors
///
/// [`Error`].
pub fn suspend(args: &Suspend, config: &Config) -> Result<String, Error> {
    root_only()?;
    let state = journal::read(&config.state_directory)?.state;
    let since = HostClock::new(&state.floors).now();
    let mark = Suspension { since, reason: args.reason.clone() };
    suspension::set(&config.state_directory, &mark).map_err(Error::Mark)?;
    let ends = match state.phase.name() {
        Some(phase) if !by_hand::is_idle(&state) => format!("; it is {phase}, which ends normally"),
        Some(_) | None => String::new(),
    };
    Ok(format!("suspended: nothing new is begun until `floe-agent resume`{ends}"))
}

/// Ends that.
///
/// # Errors
///
/// [`Error`].
pub fn resume(config: &Config) -> Result<String, Error> {
    root_only()?;
    let was = suspension::lift(&config.state_directory).map_err(Error::Mark)?;
    Ok(if was { "resumed" } else { "was not suspended" }.to_owned())
}

/// Goes back.
///
/// # Errors
///
/// [`Error`].
pub async fn revert(args: &Revert, paths: &Paths) -> Result<String, Error> {
    root_only()?;
    let by_hand::Done { serial, running, ended, reason, reboot } =
        by_hand::revert(paths, args.from, &args.reason).await?;
    let what = serial.map_or_else(|| "what ran".to_owned(), |serial| format!("serial {serial}"));
    let how = ended.map_or_else(|| "reverted".to_owned(), |outcome| outcome.to_string());
    let mut text = format!("{what}: {how} ({reason})\n");
    if let Some(running) = running {
        let _ = writeln!(text, "running: {running}");
    }
    if !reboot.is_empty() {
        let why = list_reasons(&reboot);
        let _ = writeln!(text, "reboot to finish: what it goes back to needs one ({why})");
    }
    let _ =
        writeln!(text, "suspended, so that it is not brought back: `floe-agent resume` ends that");
    Ok(text)
}

fn root_only() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot) }
}

/// How activations ended here, the newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct History(Vec<Shown>);

#[derive(Debug, Serialize)]
struct Shown {
    activation: String,
    at: Timestamp,
    serial: Option<u64>,
    #[serde(serialize_with = "as_text")]
    outcome: floe_proto::report::Outcome,
    reason: String,
    /// What ran when it began.
    from: Option<String>,
    /// What was tried.
    to: Option<String>,
    /// What ran in the end.
    running: Option<String>,
}

fn as_text<S: Serializer>(
    value: &floe_proto::report::Outcome,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}

/// Reads how activations ended here.
///
/// # Errors
///
/// [`Error::History`].
pub fn past(config: &Config) -> Result<History, Error> {
    let entries = history::read(&config.state_directory).map_err(Error::History)?;
    Ok(History(entries.into_iter().rev().map(Shown::from).collect()))
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Self {
            activation: entry.activation.into(),
            at: entry.at,
            serial: entry.serial.map(Serial::get),
            outcome: entry.outcome,
            reason: entry.reason,
            from: entry.from.map(String::from),
            to: entry.to.map(String::from),
            running: entry.running.map(String::from),
        }
    }
}

/// For people: what happened, and below it from where to where.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no activation has ended on this machine yet");
        }
        for Shown { at, serial, outcome, reason, from, to, running, .. } in &self.0 {
            let serial = serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string());
            let why = reason.lines().next().unwrap_or_default();
            writeln!(f, "{at}  {serial:>6}  {outcome:<12} {why}")?;
            match (from, to) {
                (Some(from), Some(to)) => writeln!(f, "    {from} -> {to}")?,
                (Some(from), None) => writeln!(f, "    {from}")?,
                (None, _) => {}
            }
            if running.is_some() && running != to && running != from {
                writeln!(f, "    now {}", running.as_deref().unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would change the machine.
    #[error("only root may do that")]
    NotRoot,
    /// The mark could not be changed.
    #[error("could not change the mark that suspends this machine")]
    Mark(#[source] io::Error),
    /// See there.
    #[error(transparent)]
    History(record::Error),
    /// See there.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// See there.
    #[error(transparent)]
    ByHand(#[from] by_hand::Error),
    /// See there.
    #[error(transparent)]
    Gc(#[from] gc::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotRoot => "use sudo",
            Self::Mark(_) => "look at the disk and at the space in the state directory",
            Self::History(error) => error.advice(),
            Self::Journal(error) => error.advice(),
            Self::ByHand(error) => error.advice(),
            Self::Gc(error) => error.advice(),
        }
    }

    /// Whether it was refused, with nothing done.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotRoot => true,
            Self::ByHand(error) => error.is_refusal(),
            Self::Gc(error) => error.is_refusal(),
            Self::Mark(_) | Self::History(_) | Self::Journal(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use floe_proto::report::Outcome;

    #[test]
    fn the_past_is_told_newest_first_and_as_json() {
        let entry = |serial: u64, outcome, reason: &str| Entry {
            activation: format!("{serial}-a").parse().unwrap(),
            at: Timestamp::from_micros(0),
            serial: Some(serial.try_into().unwrap()),
            outcome,
            reason: reason.to_owned(),
            from: "/nix/store/old".parse().ok(),
            to: "/nix/store/new".parse().ok(),
            running: "/nix/store/old".parse().ok(),
        };
        let entries = [entry(6, Outcome::Confirmed, ""), entry(7, Outcome::RolledBack, "sick\nx")];
        let history = History(entries.into_iter().rev().map(Shown::from).collect());
        let text = history.to_string();
        assert!(text.lines().next().unwrap().ends_with("     7  rolled back  sick"), "{text}");
        assert!(text.contains("/nix/store/old -> /nix/store/new"), "{text}");
        let json = serde_json::to_value(&history).unwrap();
        assert_eq!((&json[0]["serial"], &json[0]["outcome"]), (&7.into(), &"rolled back".into()));
        assert_eq!(json[1]["from"], "/nix/store/old");
    }
}
