//! How an activation ends, and what the host remembers of it: pure.

use std::time::Duration;

use floe_proto::admit::Mark;
use floe_proto::digest::Digest;
use floe_proto::id::ActivationId;
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;

use super::again::Again;
use super::state::{
    Confirmed, Order, Phase, Report, Reverted, Seen, Settled, State, Toplevel, Trial,
};

/// Of how many manifests that had no success it is remembered that they were tried.
const MAX_REMEMBERED: usize = 8;

impl State {
    /// On whose behalf the activation in flight is, or the one that ended last was.
    pub(super) fn rollout(&self) -> &str {
        match (self.phase.order(), &self.settled) {
            (Some(order), _) => &order.rollout,
            (None, Some(settled)) => &settled.rollout,
            (None, None) => "",
        }
    }

    pub(super) fn at(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// An admitted order: run already, tried already, or to be done.
    pub(super) fn begin(self, order: Box<Order>, seen: &Seen, now: Timestamp) -> Self {
        if self.runs_already(&order, seen) {
            return self.confirm_unchanged(&order, now);
        }
        let activation = order.activation.clone();
        let report = match self.again(&order) {
            Again::Try => return self.at(Phase::Fetching(order)),
            Again::Known(report) => {
                Report { activation, running: order.running.clone(), at: now, ..*report }
            }
            Again::Refused(why) => {
                let running = order.running.clone();
                let end = End { outcome: Outcome::Failed, why: why.as_str(), running };
                Report { manifest: Some(order.named()), ..end.report(activation, now) }
            }
        };
        self.at(Phase::Reporting(Box::new(report)))
    }

    /// Whether the machine runs and would boot exactly what came of this payload, and
    /// proved itself by the same checks.
    fn runs_already(&self, order: &Order, seen: &Seen) -> bool {
        let manifest = &order.manifest;
        self.confirmed.as_ref().is_some_and(|confirmed| {
            confirmed.payload == manifest.payload.sha256
                && confirmed.entry == manifest.entry
                && confirmed.health == manifest.health
                && seen.running.as_ref() == Some(&confirmed.toplevel)
                && seen.profile.as_ref() == Some(&confirmed.toplevel)
        })
    }

    fn confirm_unchanged(self, order: &Order, now: Timestamp) -> Self {
        let end = End { outcome: Outcome::Confirmed, why: "", running: order.running.clone() };
        let report = Report {
            manifest: Some(order.named()),
            unchanged: true,
            ..end.report(order.activation.clone(), now)
        };
        let confirmed =
            self.confirmed.clone().map(|known| Confirmed { manifest: order.named(), ..known });
        Self { floors: self.floors.clone().confirmed(order.mark()), confirmed, ..self }.settle(
            order.rollout.clone(),
            Some(order.manifest.payload.sha256),
            report,
        )
    }

    pub(super) fn confirm(self, trial: &Trial, now: Timestamp) -> Self {
        let manifest = &trial.order.manifest;
        let confirmed = Confirmed {
            manifest: trial.order.named(),
            payload: manifest.payload.sha256,
            entry: manifest.entry.clone(),
            health: manifest.health.clone(),
            toplevel: trial.to.clone(),
            before: Some(trial.before.running.clone()),
        };
        let floors = self.floors.clone().confirmed(trial.order.mark());
        let end = End { outcome: Outcome::Confirmed, why: "", running: Some(trial.to.clone()) };
        Self { floors, confirmed: Some(confirmed), ..self }.end(trial, end, now)
    }

    pub(super) fn end(self, trial: &Trial, end: End<'_>, now: Timestamp) -> Self {
        let report = Report {
            manifest: Some(trial.order.named()),
            build: trial.build,
            ..end.report(trial.order.activation.clone(), now)
        };
        let payload = Some(trial.order.manifest.payload.sha256);
        self.settle(trial.order.rollout.clone(), payload, report)
    }

    /// Remembers how it ended, and reports it.
    pub(super) fn settle(self, rollout: String, payload: Option<Digest>, report: Report) -> Self {
        let mut earlier = self.earlier;
        earlier.splice(0..0, self.settled);
        let is_the_same = |settled: &Settled| settled.report.manifest == report.manifest;
        let before = earlier.iter().find(|settled| is_the_same(settled));
        let (tried, known) =
            before.map_or((0, None), |before| (before.attempts, before.reverted.clone()));
        // What is not to be tried again is remembered, so that two that fail are not tried
        // in turns for ever.
        earlier.retain(|settled| !is_the_same(settled) && settled.attempts > 0);
        earlier.truncate(MAX_REMEMBERED);
        let tried = tried.saturating_add(1);
        let (attempts, reverted) = match report.outcome {
            Outcome::Confirmed => {
                // The same under an older serial is no worse.
                earlier.retain(|settled| settled.payload.is_none() || settled.payload != payload);
                (0, None)
            }
            Outcome::Failed | Outcome::Superseded => (tried, known),
            Outcome::RolledBack | Outcome::Quarantined => {
                (tried, Some(Reverted { why: report.reason.clone(), at: report.at }))
            }
        };
        let settled =
            Some(Settled { rollout, attempts, payload, reverted, report: report.clone() });
        Self { settled, earlier, ..self }.at(Phase::Reporting(Box::new(report)))
    }
}

impl Order {
    /// Whether the machine may be rebooted for it now.
    pub(super) fn may_reboot(&self, now: Timestamp) -> bool {
        self.manifest.activation.reboot.wait(now).is_zero()
    }

    fn mark(&self) -> Mark {
        let Self { manifest, digest, .. } = self;
        Mark { epoch: manifest.epoch, serial: manifest.serial, manifest: *digest }
    }
}

/// How an activation ended.
pub(super) struct End<'a> {
    pub(super) outcome: Outcome,
    pub(super) why: &'a str,
    pub(super) running: Option<Toplevel>,
}

impl End<'_> {
    pub(super) fn report(self, activation: ActivationId, now: Timestamp) -> Report {
        Report {
            activation,
            manifest: None,
            outcome: self.outcome,
            reason: self.why.to_owned(),
            running: self.running,
            at: now,
            unchanged: false,
            build: Duration::ZERO,
        }
    }
}
