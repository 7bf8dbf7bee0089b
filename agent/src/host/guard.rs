//! What `floe-agent guard` does when the dead man's timer fires: go back, if nobody
//! has confirmed.
//!
//! It is the OLD system's program, so it works whatever the new one broke. It holds
//! the journal's lock from reading to the end, so that of agent and guard exactly one
//! acts; the same pure core says what is to be done.
//!
//! `floe-agent guard --boot` is the timer of a system that was booted to be tried: it
//! comes with each boot, before the agent does, and reboots where that never comes up.

use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::ActivationId;
use tokio::time::sleep;

use super::clock::HostClock;
use super::disk::RealDisk;
use super::journal::{self, HostJournal, Loss};
use super::machine::HostMachine;
use super::paths::{AGENT_UNIT, Paths};
use super::process::{self, Process};
use super::{commit, salvage, system, timer};
use crate::activation::event::{Effect, Event};
use crate::activation::ports::{
    Clock, Connection, Journal, Locate, Machine, NotLocated, Progress, Tell, Unwritten,
};
use crate::activation::state::State;

/// What the guard found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing: the activation was confirmed, undone, or never touched the machine.
    Nothing,
    /// The machine was brought back, or found in somebody else's hands.
    Settled,
}

/// Goes back from `activation`, if that is still to be done, and has the agent report.
///
/// # Errors
///
/// [`Error`]: the journal could not be read, so nothing was done; or the agent could
/// not be started again. systemd then runs the guard once more.
pub async fn run(paths: Paths, activation: &ActivationId) -> Result<Done, Error> {
    act(paths, |state| state.fired(activation)).await
}

/// Waits until the time of the system that this boot is to try is over, and goes back from
/// it, if nobody has confirmed it by then. Ends at once in every other boot.
///
/// # Errors
///
/// As [`run`].
pub async fn run_in_boot(paths: Paths) -> Result<Done, Error> {
    loop {
        let seen = system::look();
        let Some(until) = journal::read(&paths.state)?.state.boot_trial(&seen) else {
            return Ok(Done::Nothing);
        };
        // Later than the agent's own deadline and its timer's: who knows more comes first.
        let left = seen.at.until(until.after(2 * timer::GRACE));
        if left.is_zero() {
            return act(paths, |state| state.boot_overdue(&system::look())).await;
        }
        sleep(left.min(GLANCE)).await;
    }
}

/// How often is looked whether an agent has taken the trial over.
const GLANCE: Duration = Duration::from_secs(10);

/// Goes back, if `overdue` says of the journal's state that this is to be done.
async fn act(paths: Paths, overdue: impl FnOnce(State) -> Option<State>) -> Result<Done, Error> {
    let (journal, found) = HostJournal::hold(RealDisk, &paths.state)?;
    if found.loss != Loss::None {
        let went_back = salvage::go_back(&paths).await?.is_some();
        drop(journal);
        if went_back {
            restart_agent().await?;
            return Ok(Done::Settled);
        }
        return Ok(Done::Nothing);
    }
    let Some(state) = overdue(found.state) else { return Ok(Done::Nothing) };
    log::warn!("not confirmed in time: going back");
    let clock = HostClock::new(&state.floors);
    let machine = HostMachine::new(paths, Vec::new(), Alone);
    go_back(state, journal, &machine, &clock).await?;
    restart_agent().await?;
    Ok(Done::Settled)
}

/// Carries out `state`, which goes back, until what is left is to report it; says how it
/// ended.
pub(super) async fn go_back(
    mut state: State,
    mut journal: impl Journal,
    machine: &impl Machine,
    clock: &impl Clock,
) -> Result<State, Unwritten> {
    record(&mut journal, &state).await?;
    let mut event = Event::Saw(machine.look().await);
    loop {
        let next = state.clone().on(event, clock.now());
        if next != state {
            record(&mut journal, &next).await?;
            state = next;
        }
        let task = match state.effect() {
            Effect::Perform(task) => task,
            // Reporting is the agent's.
            Effect::Report(_) | Effect::Await => return Ok(state),
        };
        event = machine.perform(task).await;
        // Somebody may have switched the machine while that was tried.
        if matches!(event, Event::Busy | Event::Failed(_)) {
            let failed = state.clone().on(event, clock.now());
            if failed != state {
                record(&mut journal, &failed).await?;
                state = failed;
            }
            event = Event::Saw(machine.look().await);
        }
    }
}

/// Records what is being done, if there is room to: it is done all the same. The agent
/// then begins again from an older state, which leads to the same end.
pub(super) async fn record(journal: &mut impl Journal, state: &State) -> Result<(), Unwritten> {
    match journal.write(state).await {
        Err(Unwritten::Disk(error)) => {
            log::error!(error:% = error; "could not write the journal; going on without it");
            Ok(())
        }
        written @ (Ok(()) | Err(Unwritten::Overtaken)) => written,
    }
}

/// The agent that runs, if any, is the new system's, or knows an older journal.
pub(super) async fn restart_agent() -> Result<(), Error> {
    let restart = ["restart", "--no-block", AGENT_UNIT];
    Process::new("systemctl").args(restart).output().await?.success()?;
    Ok(())
}

/// A guard has no line to the control plane, and needs none.
#[derive(Debug)]
pub(super) struct Alone;

impl Locate for Alone {
    async fn locate(&self, _: Digest) -> Result<String, NotLocated> {
        Err(NotLocated("the guard does not ask".to_owned()))
    }
}

impl Connection for Alone {
    fn is_connected(&self) -> bool {
        false
    }

    async fn connected(&self) {
        std::future::pending().await
    }
}

impl Tell for Alone {
    fn tell(&self, _: Progress) {}
}

/// Why the guard could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not know what there is to do.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Somebody else wrote to the journal that it holds.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// It could not go back without a journal.
    #[error(transparent)]
    Salvage(#[from] commit::Error),
    /// It could not start the agent.
    #[error("went back, but could not start the agent again")]
    NoAgent(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Journal(error) => error.advice(),
            Self::Salvage(error) => error.advice(),
            Self::Unwritten(_) => "reboot the host: its boot default is the system it came from",
            Self::NoAgent(error) => error.advice(),
        }
    }
}
