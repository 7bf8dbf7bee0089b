//! What `floe-agent guard` does when the dead man's timer fires: go back, if nobody
//! has confirmed.
//!
//! It is the OLD system's program, so it works whatever the new one broke. It holds
//! the journal's lock from reading to the end, so that of agent and guard exactly one
//! acts; the same pure core says what is to be done.

use floe_proto::digest::Digest;
use floe_proto::id::ActivationId;

use super::clock::HostClock;
use super::journal::{self, HostJournal, Loss};
use super::machine::HostMachine;
use super::paths::{AGENT_UNIT, Paths};
use super::process::{self, Process};
use super::{commit, salvage};
use crate::activation::event::{Effect, Event};
use crate::activation::ports::{
    Clock as _, Connection, Journal as _, Locate, Machine as _, NotLocated, Progress, Tell,
    Unwritten,
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
    let (mut journal, found) = HostJournal::hold(&paths.state)?;
    if found.loss != Loss::None {
        let went_back = salvage::go_back(&paths).await?.is_some();
        drop(journal);
        return if went_back { restart_agent().await } else { Ok(Done::Nothing) };
    }
    let Some(mut state) = found.state.fired(activation) else { return Ok(Done::Nothing) };
    log::warn!(activation:% = activation; "not confirmed in time: going back");
    record(&mut journal, &state).await?;

    let clock = HostClock::new(&state.floors);
    let machine = HostMachine::new(paths, Vec::new(), Alone);
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
            Effect::Report(_) | Effect::Await => break,
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
    drop(journal);

    restart_agent().await
}

/// Records what is being done, if there is room to: it is done all the same. The agent
/// then begins again from an older state, which leads to the same end.
async fn record(journal: &mut HostJournal, state: &State) -> Result<(), Unwritten> {
    match journal.write(state).await {
        Err(Unwritten::Disk(error)) => {
            log::error!(error:% = error; "could not write the journal; going on without it");
            Ok(())
        }
        written @ (Ok(()) | Err(Unwritten::Overtaken)) => written,
    }
}

/// The agent that runs, if any, is the new system's, or knows an older journal.
async fn restart_agent() -> Result<Done, Error> {
    let restart = ["restart", "--no-block", AGENT_UNIT];
    Process::new("systemctl").args(restart).output().await?.success()?;
    Ok(Done::Settled)
}

/// A guard has no line to the control plane, and needs none.
#[derive(Debug)]
struct Alone;

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
