//! One attempt of one host.

use floe_proto::time::Timestamp;
use floe_proto::{pb, wire};
use serde::{Serialize, Serializer};

/// `{id, epoch, serial, phase, outcome, reason, unchanged, started, ended, build_ms}`
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ActivationView {
    pub(crate) id: String,
    pub(crate) epoch: u64,
    pub(crate) serial: u64,
    /// What is being done, such as `rolling_back`; `null` once it has ended.
    #[serde(serialize_with = "words")]
    pub(crate) phase: Option<&'static str>,
    /// What came of it, such as `rolled_back`; `null` while it runs.
    #[serde(serialize_with = "words")]
    pub(crate) outcome: Option<&'static str>,
    /// Why; may be empty.
    pub(crate) reason: String,
    /// The payload was running already.
    pub(crate) unchanged: bool,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// Milliseconds that Nix took; `null` where it was not started.
    pub(crate) build_ms: Option<u64>,
}

impl From<pb::Activation> for ActivationView {
    fn from(activation: pb::Activation) -> Self {
        let outcome = outcome(activation.outcome);
        Self {
            phase: outcome.is_none().then(|| phase(activation.phase)).flatten(),
            outcome,
            id: activation.id,
            epoch: activation.epoch,
            serial: activation.serial,
            reason: activation.reason,
            unchanged: activation.unchanged,
            started: time(activation.started),
            ended: time(activation.ended),
            build_ms: some(activation.build_ms),
        }
    }
}

impl ActivationView {
    /// The outcome, or what is being done.
    pub(crate) fn standing(&self) -> String {
        let standing = self.outcome.or(self.phase).unwrap_or("unknown");
        if self.unchanged { format!("{standing} (unchanged)") } else { standing.into() }
    }
}

/// The phase's name; `None` for one that was not sent.
pub(crate) fn phase(number: i32) -> Option<&'static str> {
    match wire::phase(number) {
        Some(phase) => Some(phase.as_str()),
        None if number == 0 => None,
        None => Some("unknown"),
    }
}

/// The outcome's name; `None` for one that was not sent.
fn outcome(number: i32) -> Option<&'static str> {
    match wire::outcome(number) {
        Some(outcome) => Some(outcome.as_str()),
        None if number == 0 => None,
        None => Some("unknown"),
    }
}

/// Names in JSON are one word each, for scripts.
pub(crate) fn words<S: Serializer>(
    name: &Option<&'static str>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    name.map(|name| name.replace(' ', "_")).serialize(serializer)
}

/// 0 means that there is none.
pub(crate) fn time(micros: i64) -> Option<Timestamp> {
    (micros != 0).then(|| Timestamp::from_micros(micros))
}

/// 0 means that there is none.
pub(crate) fn some(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}
