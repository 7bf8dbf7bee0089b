//! What the activation says, in generated types.
//!
//! Generated types begin below this file. What people wrote or programs printed is
//! cut here to what the protocol allows, so that no message is refused for length.

use floe_proto::id::ActivationId;
use floe_proto::pb;
use floe_proto::pb::from_agent::Message;
use floe_proto::report::Phase;
use floe_proto::time::Timestamp;

use crate::activation::ports::{News, Progress, Suspension};
use crate::activation::state::Report;

/// Bounds of `session.proto`, in bytes.
const MAX_DETAIL: usize = 1024;
pub(super) const MAX_REASON: usize = 4 * 1024;
pub(super) const MAX_LINE: usize = 4 * 1024;
pub(super) const MAX_ENVELOPE: usize = 256 * 1024;

/// That a phase was entered, or what was written in it.
pub(super) fn progress(progress: Progress) -> Message {
    let Progress { activation, manifest, phase, at, news } = progress;
    match news {
        News::Entered(detail) => Message::Progress(pb::Progress {
            activation: activation.into(),
            epoch: manifest.epoch.get().into(),
            serial: manifest.serial.get(),
            phase: pb::Phase::from(phase).into(),
            at: at.as_micros(),
            detail: cut(detail, MAX_DETAIL),
        }),
        News::Wrote(lines) => output(activation, phase, at, lines),
    }
}

/// Lines that were written in a phase; they were cut before.
pub(super) fn output(
    activation: ActivationId,
    phase: Phase,
    at: Timestamp,
    lines: Vec<String>,
) -> Message {
    Message::Output(pb::Output {
        activation: activation.into(),
        phase: pb::Phase::from(phase).into(),
        lines,
        at: at.as_micros(),
    })
}

/// A sign of life, and whether the machine is suspended.
pub(super) fn heartbeat(suspended: Option<&Suspension>) -> Message {
    Message::Heartbeat(pb::Heartbeat { suspended: suspended.map(suspension) })
}

/// That the machine is suspended.
pub(super) fn suspension(suspension: &Suspension) -> pb::Suspended {
    let reason = cut(suspension.reason.clone(), MAX_DETAIL);
    pb::Suspended { since: suspension.since.as_micros(), reason }
}

/// What became of secrets that came.
pub(super) fn placed(placed: pb::SecretsPlaced) -> pb::SecretsPlaced {
    pb::SecretsPlaced { problem: cut(placed.problem, MAX_DETAIL), ..placed }
}

/// What came of an activation. A manifest that was not believed has no name: epoch
/// and serial are 0 and the digest is empty.
pub(super) fn report(report: Report) -> Message {
    let manifest = report.manifest;
    Message::Report(pb::Report {
        activation: report.activation.into(),
        epoch: manifest.map_or(0, |manifest| manifest.epoch.get().into()),
        serial: manifest.map_or(0, |manifest| manifest.serial.get()),
        manifest_digest: manifest.map(|manifest| manifest.digest.to_string()).unwrap_or_default(),
        outcome: pb::Outcome::from(report.outcome).into(),
        reason: cut(report.reason, MAX_REASON),
        running: report.running.map(String::from).unwrap_or_default(),
        at: report.at.as_micros(),
        unchanged: report.unchanged,
        build_ms: u64::try_from(report.build.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The longest beginning of `text` that has at most `limit` bytes.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("straße".to_owned(), 5), "stra");
        assert_eq!(cut("straße".to_owned(), 6), "straß");
        assert_eq!(cut("straße".to_owned(), 7), "straße");
    }
}
