//! The loop around the decisions: record, act, learn, repeat.
//!
//! Decides nothing itself. Holds no task of its own: whoever drops the future stops
//! it at once, which is as safe as a crash, and recovery from that is the same code.

use floe_proto::id::{ActivationId, Serial};
use floe_proto::time::Timestamp;
use log::{info, warn};
use tokio::sync::watch;

use super::door::{Admitted, Believed, Door};
use super::event::{Effect, Event};
use super::ports::{Assignment, Clock, Journal, Machine, News, Progress, Reports, Tell, Unwritten};
use super::state::{Fault, Order, Phase, State};

/// What the loop is given.
#[derive(Debug)]
pub struct Ports<M, J, C, R, T> {
    /// The machine that this agent keeps.
    pub machine: M,
    /// What survives a power cut.
    pub journal: J,
    /// The only source of time.
    pub clock: C,
    /// The way of an outcome to the control plane.
    pub reports: R,
    /// Who wants to know what happens meanwhile.
    pub tell: T,
    /// Who judges what may run here.
    pub door: Door,
    /// Whose signatures count: the newest, at each time that something is judged.
    pub trust: watch::Receiver<Believed>,
}

/// Why the loop ended, without anything being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// This process must end, so that systemd starts the agent of the system that
    /// runs now; that one goes on from the journal.
    HandOver,
    /// Nobody will send an assignment any more.
    Closed,
}

/// The exit code of a process that hands over: `EX_TEMPFAIL` of sysexits.h. The unit
/// has `Restart=always`, so that any code would do; this one says why.
pub const HAND_OVER_CODE: u8 = 75;

/// Keeps one host on what it is assigned, from `state` on. A `watch` and not a
/// queue: only the newest assignment counts.
///
/// # Errors
///
/// [`Unwritten`]: the next step could not be recorded, so it was not taken. End the
/// process; the next one starts from what is on disk.
pub async fn drive<M: Machine, J: Journal, C: Clock, R: Reports, T: Tell>(
    state: State,
    mut ports: Ports<M, J, C, R, T>,
    mut wanted: watch::Receiver<Option<Assignment>>,
) -> Result<Exit, Unwritten> {
    // What was assigned before this was called counts as well.
    wanted.mark_changed();
    let resumed = resumed(state.clone(), &ports).await;
    let mut state = ports.enter(state, resumed).await?;
    loop {
        if state.phase.could_be_superseded() {
            let seen = ports.machine.look().await;
            let next = state.clone().on(Event::Saw(seen), ports.clock.now());
            state = ports.enter(state, next).await?;
        }
        let event = match state.effect() {
            Effect::Perform(task) => tokio::select! {
                event = ports.machine.perform(task) => event,
                why = ports.interruption(&state, wanted.clone()) => Event::Failed(why),
            },
            Effect::Report(report) => {
                ports.reports.deliver(report).await;
                ports.skip_what_was_answered(&state, &mut wanted);
                Event::Reported
            }
            Effect::Await => match next_wanted(&mut wanted, &ports.machine).await {
                Next::Assigned(assignment) => ports.receive(&state, assignment).await,
                Next::Resumed => return Ok(Exit::HandOver),
                Next::Closed => return Ok(Exit::Closed),
            },
        };
        let event = ports.judge_again(&state).map_or_else(Event::Failed, |()| event);
        let from = state.phase.clone();
        let next = state.clone().on(event, ports.clock.now());
        state = ports.enter(state, next).await?;
        if from.hands_over_to(&state.phase) {
            info!("handing over to the agent of the system that runs now");
            return Ok(Exit::HandOver);
        }
    }
}

/// Where to go on after a start of this process.
async fn resumed<M: Machine, J, C: Clock, R, T>(
    state: State,
    ports: &Ports<M, J, C, R, T>,
) -> State {
    if state.phase == Phase::Idle {
        return state;
    }
    let seen = ports.machine.look().await;
    let state = state.resumed(&seen);
    // The machine is not trusted to have kept the order safe while it was off. And judged by
    // its own root and role, a new system must take what it was made from: the next version
    // would be refused as well, and nobody could reach this host any more.
    match ports.judge(&state) {
        Ok(()) => state,
        Err(why) => state.on(Event::Failed(why), ports.clock.now()),
    }
}

impl<M, J, C: Clock, R, T> Ports<M, J, C, R, T> {
    fn admit(&self, envelope: &[u8], state: &State) -> Result<Admitted, Fault> {
        self.door.admit(envelope, &self.trust.borrow(), &state.floors, self.clock.now())
    }

    /// What was believed when it came, and is not kept yet, must be believed by a trust
    /// root that came since: its key may have been revoked.
    fn judge_again(&mut self, state: &State) -> Result<(), Fault> {
        if !self.trust.has_changed().unwrap_or(false) {
            return Ok(());
        }
        self.trust.mark_unchanged();
        self.judge(state)
    }

    /// Whether what is in flight is believed by the trust root of now.
    fn judge(&self, state: &State) -> Result<(), Fault> {
        if let Some(order) = state.unproven_order() {
            self.admit(order.envelope.as_bytes(), state)?;
        }
        if let Some(order) = state.tried_order() {
            self.door.readmit(order, &self.trust.borrow(), &state.floors).map_err(|why| {
                let why = format!("the new system's agent would refuse the next version: {why}");
                Fault::new(why)
            })?;
        }
        Ok(())
    }

    /// Ends where what is only waited for, or only watched, must not go on. Never in the
    /// midst of anything else: what has begun is seen to its end.
    async fn interruption(
        &self,
        state: &State,
        mut wanted: watch::Receiver<Option<Assignment>>,
    ) -> Fault {
        let mut trust = self.trust.clone();
        let waiting = match &state.phase {
            Phase::Waiting(order, _) => Some(order),
            Phase::Probation(_) => None,
            Phase::Idle
            | Phase::Fetching(_)
            | Phase::Unpacking(_)
            | Phase::Building(_)
            | Phase::Staging(_)
            | Phase::Rebooting(_)
            | Phase::Arming(_)
            | Phase::Trying(_)
            | Phase::Disarming(..)
            | Phase::Committing(_)
            | Phase::RollingBack(..)
            | Phase::Reporting(_) => return std::future::pending().await,
        };
        loop {
            tokio::select! {
                Ok(()) = trust.changed() => if let Err(why) = self.judge(state) { return why },
                Ok(()) = wanted.changed(), if waiting.is_some() => {
                    let newest = wanted.borrow_and_update().clone();
                    let admitted = newest.and_then(|newest| self.admit(&newest.envelope, state).ok());
                    if let (Some(order), Some(admitted)) = (waiting, admitted)
                        && admitted.digest != order.digest
                    {
                        let serial = admitted.manifest.serial;
                        return Fault::new(format!(
                            "serial {serial} came while this one waited for its window to reboot in"
                        ));
                    }
                }
                // Nobody can say anything any more.
                else => std::future::pending().await,
            }
        }
    }
}

impl<M: Machine, J: Journal, C: Clock, R, T: Tell> Ports<M, J, C, R, T> {
    /// Records `next`, says so, and returns it. Nothing is written where nothing changed.
    async fn enter(&mut self, state: State, next: State) -> Result<State, Unwritten> {
        if next == state {
            return Ok(next);
        }
        self.journal.write(&next).await?;
        let (activation, manifest) = match (next.phase.order(), next.phase.report()) {
            (Some(order), _) => (order.activation.clone(), Some(order.named())),
            (None, Some(report)) => (report.activation.clone(), report.manifest),
            (None, None) => return Ok(next),
        };
        if let (Some(phase), Some(manifest)) = (next.phase.name(), manifest) {
            info!(
                rollout = next.rollout(), activation:% = activation, serial:% = manifest.serial,
                phase:% = phase;
                "phase changed",
            );
            let why = next.phase.why().unwrap_or_default();
            let news = News::Entered(why);
            self.tell.tell(Progress { activation, manifest, phase, at: self.clock.now(), news });
        }
        Ok(next)
    }

    /// The first thing that happens to an assignment: is it believed, is it for us?
    async fn receive(&self, state: &State, assignment: Assignment) -> Event {
        let (now, seen) = (self.clock.now(), self.machine.look().await);
        let Assignment { envelope, rollout, retry } = assignment;
        match self.admit(&envelope, state) {
            Ok(admitted) => Event::Assigned {
                order: Box::new(Order {
                    activation: name(Some(admitted.manifest.serial), now),
                    rollout,
                    retry,
                    envelope: admitted.envelope,
                    digest: admitted.digest,
                    manifest: admitted.manifest,
                    running: seen.running.clone(),
                }),
                seen,
                floors: Box::new(admitted.floors),
            },
            Err(why) => {
                warn!(rollout = rollout.as_str(), why:% = why; "assignment refused");
                let activation = name(None, now);
                Event::Refused { activation, rollout, why, running: seen.running }
            }
        }
    }

    /// An assignment that came while it was being carried out was answered by the
    /// report that the control plane has just acknowledged.
    fn skip_what_was_answered(
        &self,
        state: &State,
        wanted: &mut watch::Receiver<Option<Assignment>>,
    ) {
        let Some(settled) = &state.settled else { return };
        let Some(answered) = settled.report.manifest else { return };
        let newest = wanted.borrow().clone();
        let is_the_same = newest.is_some_and(|assignment| {
            assignment.rollout == settled.rollout
                && self
                    .admit(&assignment.envelope, state)
                    .is_ok_and(|admitted| admitted.digest == answered.digest)
        });
        if is_the_same {
            wanted.mark_unchanged();
        }
    }
}

/// What an idle host waits for.
enum Next {
    Assigned(Assignment),
    /// What was assigned before the machine was resumed may not be wanted any more: the
    /// next process asks anew.
    Resumed,
    Closed,
}

/// The newest assignment; while the machine is suspended none.
async fn next_wanted(
    wanted: &mut watch::Receiver<Option<Assignment>>,
    machine: &impl Machine,
) -> Next {
    while wanted.changed().await.is_ok() {
        let suspended = tokio::select! {
            biased;
            () = machine.unsuspended() => false,
            () = std::future::ready(()) => true,
        };
        if suspended {
            machine.unsuspended().await;
        }
        match wanted.borrow_and_update().clone() {
            Some(_) if suspended => return Next::Resumed,
            Some(newest) => return Next::Assigned(newest),
            None => {}
        }
    }
    Next::Closed
}

/// One name for each attempt: no two begin in the same microsecond.
pub fn name(serial: Option<Serial>, now: Timestamp) -> ActivationId {
    let serial = serial.map_or(0, Serial::get);
    let name = format!("{serial}-{:x}", now.as_micros().unsigned_abs());
    name.parse().unwrap_or_else(|error| unreachable!("digits and a hyphen: {error}"))
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
