//! How an activation ends, and what the host remembers of it: pure.

use std::time::Duration;

use floe_proto::admit::Mark;
use floe_proto::id::ActivationId;
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;

use super::state::{Confirmed, Order, Phase, Report, Seen, Settled, State, Toplevel, Trial};

/// How often a manifest is tried that does not come to be confirmed.
pub const MAX_ATTEMPTS: u32 = 3;

/// Of how many manifests that had no success it is remembered that they were tried.
const MAX_REMEMBERED: usize = 8;

impl State {
    pub(super) fn at(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// An admitted order: run already, tried already, or to be done.
    pub(super) fn begin(self, order: Box<Order>, seen: &Seen, now: Timestamp) -> Self {
        if self.runs_already(&order, seen) {
            return self.confirm_unchanged(&order, now);
        }
        let known = self.settled.iter().chain(&self.earlier);
        match known.into_iter().find(|settled| settled.rules_out(&order)) {
            Some(settled) => {
                let report = Report {
                    activation: order.activation.clone(),
                    running: order.running.clone(),
                    at: now,
                    ..settled.report.clone()
                };
                self.at(Phase::Reporting(Box::new(report)))
            }
            None => self.at(Phase::Fetching(order)),
        }
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
        Self { floors: self.floors.clone().confirmed(order.mark()), confirmed, ..self }
            .settle(order.rollout.clone(), report)
    }

    pub(super) fn confirm(self, trial: &Trial, now: Timestamp) -> Self {
        let manifest = &trial.order.manifest;
        let confirmed = Confirmed {
            manifest: trial.order.named(),
            payload: manifest.payload.sha256,
            entry: manifest.entry.clone(),
            health: manifest.health.clone(),
            toplevel: trial.to.clone(),
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
        self.settle(trial.order.rollout.clone(), report)
    }

    /// Remembers how it ended, and reports it.
    pub(super) fn settle(self, rollout: String, report: Report) -> Self {
        let mut earlier = self.earlier;
        earlier.splice(0..0, self.settled);
        let is_the_same = |settled: &Settled| settled.report.manifest == report.manifest;
        let before =
            earlier.iter().find(|settled| is_the_same(settled)).map_or(0, |found| found.attempts);
        // What is not to be tried again is remembered, so that two that fail are not tried
        // in turns for ever.
        earlier.retain(|settled| !is_the_same(settled) && settled.attempts > 0);
        earlier.truncate(MAX_REMEMBERED);
        let attempts = match report.outcome {
            Outcome::Confirmed => 0,
            Outcome::Failed | Outcome::RolledBack | Outcome::Superseded | Outcome::Quarantined => {
                before.saturating_add(1)
            }
        };
        let settled = Some(Settled { rollout, attempts, report: report.clone() });
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

impl Settled {
    /// Whether `order` was tried before without success, and is not to be tried again:
    /// for the same rollout never, for another one as long as attempts are left.
    fn rules_out(&self, order: &Order) -> bool {
        self.report.manifest == Some(order.named())
            && self.report.outcome != Outcome::Confirmed
            && (self.rollout == order.rollout || self.attempts >= MAX_ATTEMPTS)
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
