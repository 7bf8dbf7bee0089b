//! What `floe-agent revert` does: go back because somebody on the machine says so.
//!
//! Under the journal's lock, as the dead man's guard: of the agent, its guard and this one
//! exactly one acts. It suspends the machine before it acts, so that what is left is not
//! brought back by the control plane. Where this process dies in the midst of it, what was
//! on trial is undone by the agent; an idle machine is what boots by default, and the same
//! typed again goes on.

use std::io;
use std::time::Duration;

use floe_proto::id::Serial;
use floe_proto::report::Outcome;
use tokio::time::sleep;

use super::clock::HostClock;
use super::disk::RealDisk;
use super::guard::{self, Alone};
use super::journal::{self, Found, HostJournal, Loss};
use super::machine::{self, HostMachine};
use super::paths::{AGENT_UNIT, Paths};
use super::process::Process;
use super::switch::{self, Switch};
use super::trial::Action;
use super::{commit, preflight, roots, suspension, system, unit};
use crate::activation::by_hand::{NoWayBack, WayBack};
use crate::activation::drive;
use crate::activation::ports::{Clock as _, Journal as _, Suspension, Unwritten};
use crate::activation::reboot::Reason;
use crate::activation::state::{Fault, Phase, State, Toplevel};
use crate::activation::verdict;
use crate::telemetry::Chain;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was left; `None` where no manifest is known of it.
    pub serial: Option<Serial>,
    /// What the machine runs now.
    pub running: Option<Toplevel>,
    /// How what was in flight ended; `None` where nothing was.
    pub ended: Option<Outcome>,
    /// What decided.
    pub reason: String,
    /// Why only a reboot ends it: what is left still runs, and does not boot any more.
    pub reboot: Vec<Reason>,
}

/// How long a switch back may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How often, and how long apart, the journal's lock is asked for: the agent holds it for
/// the time of a write.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Goes back, because of `reason`, and suspends the machine. `from` is what is to be left,
/// where somebody says so.
///
/// # Errors
///
/// [`Error`].
pub async fn revert(paths: &Paths, from: Option<Serial>, reason: &str) -> Result<Done, Error> {
    let (journal, Found { state, loss }) = hold(paths).await?;
    if loss != Loss::None {
        return Err(Error::Lost);
    }
    let clock = HostClock::new(&state.floors);
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let why = Fault::new(format!("by hand on the machine{why}"));
    let way = state.clone().back_by_hand(&system::look(), from, why.clone(), clock.now())?;
    if let WayBack::Leave(back) = &way {
        preflight::nobody_switches().await?;
        if !back.join("bin/switch-to-configuration").exists() {
            return Err(Error::Gone(back.clone()));
        }
        if !back.join("etc/systemd/system").join(AGENT_UNIT).exists() {
            return Err(Error::NoAgent(back.clone()));
        }
    }
    let mark = Suspension { since: clock.now(), reason: format!("reverted {why}") };
    let suspend = || suspension::set(&paths.state, &mark).map_err(Error::Mark);
    let done = match way {
        WayBack::Leave(back) => {
            suspend()?;
            leave(state, journal, &clock, back, &why, paths).await?
        }
        WayBack::Undo(undoing) => {
            let mut journal = journal;
            // On record first: whatever becomes of this process, it is gone back. Without the
            // mark the same is not tried again either, unless an operator asks for it.
            guard::record(&mut journal, &undoing).await?;
            if let Err(error) = suspend() {
                log::warn!("{}", Chain(&error));
            }
            // The agent ends in the midst of what it does, and its successor waits for our
            // lock. That one may be broken: then there is nobody to wait for.
            let restart = Process::new("systemctl").args(["restart", AGENT_UNIT]).output().await;
            if let Err(error) = restart {
                log::warn!("{}", Chain(&error));
            }
            let machine = HostMachine::new(paths.clone(), Vec::new(), Alone);
            settled(guard::go_back(*undoing, journal, &machine, &clock).await?)
        }
        WayBack::GiveUp(given_up) => {
            suspend()?;
            let mut journal = journal;
            journal.write(&given_up).await?;
            drop(journal);
            unit::stop(&machine::UNITS).await.map_err(switch::Error::from)?;
            settled(*given_up)
        }
    };
    guard::restart_agent().await?;
    done.judged()
}

impl Done {
    /// Whether the machine is back: an error where it is not.
    fn judged(self) -> Result<Self, Error> {
        match self.ended {
            None | Some(Outcome::RolledBack | Outcome::Failed) => Ok(self),
            Some(outcome @ (Outcome::Confirmed | Outcome::Superseded | Outcome::Quarantined)) => {
                Err(Error::NotBack { outcome, reason: self.reason })
            }
        }
    }
}

/// The journal, and its lock.
///
/// # Errors
///
/// [`Error::Held`] where somebody keeps it.
pub(super) async fn hold(paths: &Paths) -> Result<(HostJournal, Found), Error> {
    for _ in 0..TRIES {
        if let Some(held) = HostJournal::try_hold(RealDisk, &paths.state)? {
            return Ok(held);
        }
        sleep(PAUSE).await;
    }
    Err(Error::Held)
}

/// How what was in flight ended: by what was decided, which the disk may not have taken.
fn settled(state: State) -> Done {
    let (running, reboot) = (system::running(), Vec::new());
    match state.settled {
        None => Done { serial: None, running, ended: None, reason: String::new(), reboot },
        Some(settled) => Done {
            serial: settled.report.manifest.map(|manifest| manifest.serial),
            running,
            ended: Some(settled.report.outcome),
            reason: settled.report.reason,
            reboot,
        },
    }
}

/// Switches to `back`, makes it what boots, and records that what was confirmed was left.
/// What could not be switched to while the machine runs is only made what boots.
async fn leave(
    state: State,
    mut journal: HostJournal,
    clock: &HostClock,
    back: Toplevel,
    why: &Fault,
    paths: &Paths,
) -> Result<Done, Error> {
    let confirmed = state.confirmed.as_ref().map(|confirmed| confirmed.manifest.serial);
    let activation = drive::name(confirmed, clock.now());
    let reboot = system::reboot_reasons(&back);
    if reboot.is_empty() {
        let switch = Switch {
            activation: &activation,
            purpose: "by-hand",
            action: Action::Test,
            toplevel: &back,
            limit: LIMIT,
            guarded: false,
        };
        let ended = switch.anew(paths).await?;
        let after = switch::after(ended, &back).await.map_err(switch::Error::from)?;
        verdict::of_rollback(&after, &back).map_err(commit::Error::NotBack)?;
    }
    commit::commit(&back, &activation, "by-hand-boot", paths).await?;
    roots::forget_candidate(&back);
    // From somebody else's system to what was confirmed: no manifest was left.
    let returns = state.confirmed.as_ref().is_some_and(|confirmed| confirmed.toplevel == back);
    let running = system::running();
    let next = if returns {
        state
    } else {
        state.left_by_hand(running.clone().unwrap_or(back), activation, why, clock.now())
    };
    // Also where it says nothing new: an agent that waits to write must not go on from before.
    journal.write(&next).await?;
    let (serial, reason) = (confirmed.filter(|_| !returns), why.to_string());
    Ok(Done { serial, running, ended: None, reason, reboot })
}

/// Whether nothing is in flight, as far as the machine is concerned.
pub fn is_idle(state: &State) -> bool {
    matches!(state.phase, Phase::Idle | Phase::Reporting(_))
}

/// Why the machine was not brought back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("cannot go back: {0}")]
    NoWay(NoWayBack),
    /// The guard goes back at this moment, or a `floe-agent` that somebody else typed.
    #[error("somebody else is at work on this machine: they hold the activation journal")]
    Held,
    /// Somebody switches the machine, or it cannot be told.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// What was recorded was collected.
    #[error("the system to go back to, `{0}`, is not in the store any more")]
    Gone(Toplevel),
    /// It could not be reached any more.
    #[error(
        "the system to go back to, `{0}`, has no floe-agent, so that nobody could reach this machine"
    )]
    NoAgent(Toplevel),
    /// It was tried, and did not come to be.
    #[error("the machine is not back ({outcome}): {reason}")]
    NotBack {
        /// How it ended instead.
        outcome: Outcome,
        /// What decided.
        reason: String,
    },
    /// Nobody knows what there is to go back from.
    #[error("the activation journal is damaged in every copy")]
    Lost,
    /// See there.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Somebody else wrote to it, or nothing can be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The mark could not be set; nothing was done.
    #[error("could not suspend this machine; nothing was done")]
    Mark(#[source] io::Error),
    /// The switch back failed.
    #[error(transparent)]
    Commit(#[from] commit::Error),
    /// The agent could not be started again.
    #[error(transparent)]
    Agent(#[from] guard::Error),
}

impl From<NoWayBack> for Error {
    fn from(why: NoWayBack) -> Self {
        Self::NoWay(why)
    }
}

impl From<switch::Error> for Error {
    fn from(error: switch::Error) -> Self {
        Self::Commit(error.into())
    }
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoWay(NoWayBack::Committing(_)) | Self::Held => {
                "look at `floe-agent status`, and try again when that has ended"
            }
            Self::NoWay(NoWayBack::Underway(_)) => {
                "look at `floe-agent status`: once that has ended, the machine is back"
            }
            Self::NoWay(NoWayBack::WentBack { .. } | NoWayBack::IsAnother { .. }) => {
                "look at `floe-agent status` and at `floe-agent history`: is there anything to leave?"
            }
            Self::NoWay(
                NoWayBack::NothingConfirmed | NoWayBack::NothingBefore | NoWayBack::IsBack(_),
            )
            | Self::Gone(_)
            | Self::NoAgent(_) => {
                "choose a generation yourself: `nix-env -p /nix/var/nix/profiles/system --list-generations`"
            }
            Self::NotBack { .. } => {
                "look at `floe-agent status` and ask who works on this machine; a reboot leads to what it would boot"
            }
            Self::Lost => "reboot the host: its boot default is the last confirmed system",
            Self::Preflight(error) => error.advice(),
            Self::Journal(error) => error.advice(),
            Self::Unwritten(_) | Self::Mark(_) => {
                "free space in the state directory, or mend the disk"
            }
            Self::Commit(error) => error.advice(),
            Self::Agent(error) => error.advice(),
        }
    }

    /// Whether it was refused, with nothing done.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoWay(_)
            | Self::Held
            | Self::Gone(_)
            | Self::NoAgent(_)
            | Self::Preflight(preflight::Error::Busy) => true,
            Self::Preflight(_)
            | Self::NotBack { .. }
            | Self::Lost
            | Self::Journal(_)
            | Self::Unwritten(_)
            | Self::Mark(_)
            | Self::Commit(_)
            | Self::Agent(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::event::Event;
    use crate::activation::phase::MAX_FAILED_ROLLBACKS;
    use crate::activation::played::{old, trial};
    use crate::activation::state::Undoing;
    use floe_proto::time::Timestamp;

    fn ended(events: impl IntoIterator<Item = Event>) -> Result<Done, Error> {
        let why = Fault::new("by hand");
        let undoing = Undoing { why, boot: false, failures: 0, reboot: true };
        let phase = Phase::RollingBack(trial(), undoing);
        let state = State { phase, ..State::default() };
        let end =
            events.into_iter().fold(state, |state, event| state.on(event, Timestamp::default()));
        settled(end).judged()
    }

    #[test]
    fn only_a_machine_that_is_back_is_said_to_be() {
        assert!(ended([Event::Reverted(old())]).is_ok());
        let never = (0..MAX_FAILED_ROLLBACKS).map(|_| Event::Failed(Fault::new("no")));
        let Err(error @ Error::NotBack { outcome: Outcome::Quarantined, .. }) = ended(never) else {
            panic!()
        };
        assert!(!error.is_refusal(), "something was done");
    }
}
