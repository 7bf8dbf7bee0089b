//! What follows from an event: pure, and the only place that decides.
//!
//! Read [`State::on`] beside the diagram in `mod.rs`: each arm is an arrow. What
//! has to be done is derived from the phase ([`State::effect`]), so that recovery
//! is no second program.

use floe_proto::id::ActivationId;
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;

use super::event::{Effect, Event, Task};
use super::phase::MAX_FAILED_ROLLBACKS;
use super::settle::End;
use super::state::{
    Fault, Order, Phase, Report, Seen, State, Trial, Undoing, Uptime, Verdict, Way,
};

/// Why what was proved is not committed after all.
const GONE: &str = "the new system did not run any more when it was to be committed";

impl State {
    /// Where `event` leads. What does not belong to the phase leads nowhere: the
    /// phase stays, and its effect is performed again.
    #[must_use]
    pub fn on(self, event: Event, now: Timestamp) -> Self {
        use Phase::{
            Arming, Building, Committing, Disarming, Fetching, Idle, Probation, Rebooting,
            Reporting, RollingBack, Staging, Trying, Unpacking, Waiting,
        };
        let Self { floors, confirmed, settled, earlier, unsent, phase } = self;
        let state = Self { floors, confirmed, settled, earlier, unsent, phase: Idle };
        match (phase, event) {
            (Idle, Event::Assigned { order, seen, floors }) => {
                Self { floors: *floors, ..state }.begin(order, &seen, now)
            }
            (Idle, Event::Refused { activation, rollout, why, running }) => {
                let end = End { outcome: Outcome::Failed, why: why.as_str(), running };
                let report = end.report(activation, now);
                state.settle(rollout, None, report)
            }

            // Nothing has touched the machine yet: a failure leaves it as it is.
            (Fetching(order), Event::Fetched) => state.at(Unpacking(order)),
            (Unpacking(order), Event::Unpacked) => state.at(Building(order)),
            (Building(order), Event::Built { to, before, way, build }) => {
                let until = before.at.after(order.manifest.deadline());
                match way {
                    Way::Reboot(reasons) if !order.may_reboot(now) => {
                        state.at(Waiting(order, reasons))
                    }
                    way @ (Way::Switch | Way::Reboot(_)) => {
                        let phase = if way == Way::Switch { Arming } else { Staging };
                        let trial = Trial { order: *order, to, before: *before, way, until, build };
                        state.at(phase(Box::new(trial)))
                    }
                }
            }
            (Waiting(order, _), Event::WindowOpened) => state.at(Building(order)),
            (
                Fetching(order) | Unpacking(order) | Building(order) | Waiting(order, _),
                Event::Failed(why),
            ) => {
                let running = order.running.clone();
                let end = End { outcome: Outcome::Failed, why: why.as_str(), running };
                let report = Report {
                    manifest: Some(order.named()),
                    ..end.report(order.activation.clone(), now)
                };
                let payload = Some(order.manifest.payload.sha256);
                state.settle(order.rollout, payload, report)
            }

            (Staging(trial), Event::Staged) => state.at(Rebooting(trial)),
            (Arming(trial), Event::Armed) => match trial.way {
                Way::Switch => state.at(Trying(trial)),
                // The machine was booted with it.
                Way::Reboot(_) => state.at(Probation(trial)),
            },
            (Trying(trial), Event::Tried) => state.at(Probation(trial)),
            (Probation(trial), Event::Proven) => state.at(Disarming(trial, Verdict::Proven)),
            (Disarming(trial, Verdict::Proven), Event::Disarmed) => state.at(Committing(trial)),
            (Committing(trial), Event::Committed) => state.confirm(&trial, now),

            // From here on the machine may have been touched, even by a switch that
            // failed half way: there is always something to undo.
            (
                Staging(trial)
                | Rebooting(trial)
                | Arming(trial)
                | Trying(trial)
                | Probation(trial)
                | Disarming(trial, Verdict::Proven),
                Event::Failed(why),
            ) => state.at(trial.undone(why)),
            (Committing(trial), Event::Failed(why)) => state.at(trial.uncommitted(why)),
            (RollingBack(trial, undoing), Event::Reverted(running)) => {
                let why = undoing.why.as_str();
                let end = End { outcome: Outcome::RolledBack, why, running: Some(running) };
                state.end(&trial, end, now)
            }
            (RollingBack(trial, mut undoing), Event::Failed(again)) => {
                undoing.failures += 1;
                if undoing.failures < MAX_FAILED_ROLLBACKS {
                    return state.at(RollingBack(trial, undoing));
                }
                if !undoing.reboot {
                    // The boot default is the old system: once, and as the last resort.
                    let undoing = Undoing { failures: 0, reboot: true, ..undoing };
                    return state.at(RollingBack(trial, undoing));
                }
                let why = format!("{}; and going back failed: {again}", undoing.why);
                let end = End { outcome: Outcome::Quarantined, why: &why, running: None };
                state.end(&trial, end, now)
            }

            // Somebody else switched the machine: disarm, touch nothing.
            (
                Staging(trial)
                | Rebooting(trial)
                | Disarming(trial, Verdict::Proven)
                | Committing(trial)
                | RollingBack(trial, _),
                Event::Saw(seen),
            ) if trial.is_superseded_by(&seen) => {
                state.at(Disarming(trial, Verdict::Superseded(seen.running)))
            }
            // Somebody went back to the old system: proof of what does not run is none.
            (Disarming(trial, Verdict::Proven), Event::Saw(seen)) if !trial.runs_on(&seen) => {
                state.at(trial.undone(Fault::new(GONE)))
            }
            (Committing(trial), Event::Saw(seen)) if !trial.runs_on(&seen) => {
                state.at(trial.uncommitted(Fault::new(GONE)))
            }
            // A timer that cannot be stopped finds the phase `Reporting`, and does nothing.
            (
                Disarming(trial, Verdict::Superseded(running)),
                Event::Disarmed | Event::Failed(_),
            ) => {
                let why = "somebody else switched this machine meanwhile; it was left alone";
                state.end(&trial, End { outcome: Outcome::Superseded, why, running }, now)
            }

            (Reporting(_), Event::Reported) => state.reported(),
            (phase, _) => state.at(phase),
        }
    }

    /// Where to go on after a restart of the agent, on a machine that looks like `seen`.
    ///
    /// While the agent was away the timer may have fired, so it is armed again before
    /// anything is switched. After a reboot the old system runs, since the boot
    /// default was never touched before `Committing`: what is left is to make sure. Only
    /// where the new system was chosen for one boot it may be that which runs, and this the
    /// boot in which it proves itself.
    #[must_use]
    pub fn resumed(self, seen: &Seen) -> Self {
        use Phase::{
            Arming, Building, Committing, Disarming, Fetching, Idle, Probation, Rebooting,
            Reporting, RollingBack, Staging, Trying, Unpacking, Waiting,
        };
        let rebooted = |trial: &Trial| trial.before.boot != seen.boot;
        let phase = match self.phase {
            // Whoever rebooted it: it was chosen already.
            Staging(trial) | Rebooting(trial) if rebooted(&trial) && trial.runs_on(seen) => {
                Arming(Box::new(trial.tried_in(seen)))
            }
            Rebooting(trial) if rebooted(&trial) => {
                let why = "the machine did not come up with the new system, and is back";
                trial.undone(Fault::new(why))
            }
            Staging(trial)
            | Arming(trial)
            | Trying(trial)
            | Probation(trial)
            | Disarming(trial, Verdict::Proven)
                if rebooted(&trial) =>
            {
                let why = "the machine was rebooted before it had proved itself";
                trial.undone(Fault::new(why))
            }
            Trying(trial) => Arming(trial),
            // The boot default may be the new system already, so that this boot says nothing of
            // the way back: that begins anew in it.
            Committing(trial) if rebooted(&trial) && trial.runs_on(seen) => {
                Committing(Box::new(trial.in_the_boot_of(seen)))
            }
            RollingBack(trial, undoing) if rebooted(&trial) => {
                trial.still_to_be_undone(undoing, seen)
            }
            phase @ (Idle | Fetching(_) | Unpacking(_) | Building(_) | Waiting(..) | Staging(_)
            | Rebooting(_) | Arming(_) | Probation(_) | Disarming(..) | Committing(_)
            | RollingBack(..) | Reporting(_)) => phase,
        };
        Self { phase, ..self }
    }

    /// Where the dead man's timer of `activation` leads when it fires; `None` where
    /// there is nothing for it to do.
    #[must_use]
    pub fn fired(self, activation: &ActivationId) -> Option<Self> {
        use Phase::{
            Arming, Building, Committing, Disarming, Fetching, Idle, Probation, Rebooting,
            Reporting, RollingBack, Staging, Trying, Unpacking, Waiting,
        };
        let phase = match self.phase {
            Arming(trial)
            | Trying(trial)
            | Probation(trial)
            | Disarming(trial, Verdict::Proven)
                if trial.order.activation == *activation =>
            {
                trial.overdue()
            }
            // The agent may have died while it went back.
            RollingBack(trial, undoing) if trial.order.activation == *activation => {
                RollingBack(trial, undoing)
            }
            Idle | Fetching(_) | Unpacking(_) | Building(_) | Waiting(..) | Staging(_)
            | Rebooting(_) | Arming(_) | Trying(_) | Probation(_) | Disarming(..)
            | Committing(_) | RollingBack(..) | Reporting(_) => {
                return None;
            }
        };
        Some(Self { phase, ..self })
    }

    /// The trial of a new system that this boot is for, if it is one: until when it may
    /// take, as time since boot. Where no agent comes up in it, nobody has armed a timer.
    pub fn boot_trial(&self, seen: &Seen) -> Option<Uptime> {
        match &self.phase {
            Phase::Staging(trial) | Phase::Rebooting(trial)
                if trial.before.boot != seen.boot && trial.runs_on(seen) =>
            {
                Some(Uptime::default().after(trial.order.manifest.deadline()))
            }
            Phase::Arming(trial)
            | Phase::Probation(trial)
            | Phase::Disarming(trial, Verdict::Proven)
                if trial.before.boot == seen.boot && trial.is_by_reboot() =>
            {
                Some(trial.until)
            }
            // Chosen before that was undone: it is on its way back from here, and its agent
            // may not come up.
            Phase::RollingBack(trial, undoing)
                if undoing.reboot && trial.before.boot != seen.boot && trial.runs_on(seen) =>
            {
                Some(Uptime::default().after(trial.order.manifest.deadline()))
            }
            Phase::Idle
            | Phase::Fetching(_)
            | Phase::Unpacking(_)
            | Phase::Building(_)
            | Phase::Waiting(..)
            | Phase::Staging(_)
            | Phase::Rebooting(_)
            | Phase::Arming(_)
            | Phase::Trying(_)
            | Phase::Probation(_)
            | Phase::Disarming(..)
            | Phase::Committing(_)
            | Phase::RollingBack(..)
            | Phase::Reporting(_) => None,
        }
    }

    /// Where a boot leads that was for a trial whose time is over; see
    /// [`Self::boot_trial`]. `None` where there is none.
    #[must_use]
    pub fn boot_overdue(self, seen: &Seen) -> Option<Self> {
        self.boot_trial(seen)?;
        let phase = match self.phase {
            Phase::Staging(trial) | Phase::Rebooting(trial) => trial.tried_in(seen).overdue(),
            Phase::Arming(trial) | Phase::Probation(trial) | Phase::Disarming(trial, _) => {
                trial.overdue()
            }
            Phase::RollingBack(trial, undoing) => trial.still_to_be_undone(undoing, seen),
            Phase::Idle
            | Phase::Fetching(_)
            | Phase::Unpacking(_)
            | Phase::Building(_)
            | Phase::Waiting(..)
            | Phase::Trying(_)
            | Phase::Committing(_)
            | Phase::Reporting(_) => return None,
        };
        Some(Self { phase, ..self })
    }

    /// What this phase does.
    pub fn effect(&self) -> Effect<'_> {
        Effect::Perform(match &self.phase {
            Phase::Idle => return Effect::Await,
            Phase::Reporting(report) => return Effect::Report(report),
            Phase::Fetching(order) => Task::Fetch(order),
            Phase::Unpacking(order) => Task::Unpack(order),
            Phase::Building(order) => Task::Build(order),
            Phase::Waiting(order, _) => Task::AwaitWindow(order),
            Phase::Staging(trial) => Task::Stage(trial),
            Phase::Rebooting(trial) => Task::Reboot(trial),
            Phase::Arming(trial) => Task::Arm(trial),
            Phase::Trying(trial) => Task::Try(trial),
            Phase::Probation(trial) => Task::Prove(trial),
            Phase::Disarming(trial, _) => Task::Disarm(trial),
            Phase::Committing(trial) => Task::Commit(trial),
            Phase::RollingBack(trial, undoing) => Task::Revert(trial, undoing),
        })
    }

    /// The order of a new system that is on trial: what it was made from must still be
    /// believed when it is kept, though it may have expired meanwhile.
    pub fn tried_order(&self) -> Option<&Order> {
        match &self.phase {
            Phase::Staging(trial)
            | Phase::Rebooting(trial)
            | Phase::Arming(trial)
            | Phase::Trying(trial)
            | Phase::Probation(trial)
            | Phase::Disarming(trial, Verdict::Proven) => Some(&trial.order),
            Phase::Idle
            | Phase::Fetching(_)
            | Phase::Unpacking(_)
            | Phase::Building(_)
            | Phase::Waiting(..)
            | Phase::Disarming(_, Verdict::Superseded(_))
            | Phase::Committing(_)
            | Phase::RollingBack(..)
            | Phase::Reporting(_) => None,
        }
    }

    /// An order that is not yet acted on is verified again after a restart; later on,
    /// a key that expired meanwhile must not stop the way back.
    pub fn unproven_order(&self) -> Option<&Order> {
        if self.phase.trial().is_none() { self.phase.order() } else { None }
    }
}
