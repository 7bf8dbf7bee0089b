//! Our types, as operators are shown them.

use floe_proto::id::{Epoch, HostId, Serial};
use floe_proto::pb;
use floe_proto::report::{Outcome, Phase};
use floe_proto::time::Timestamp;
use floe_proto::transport::MAX_MESSAGE_BYTES;

use crate::rollout::state::{Assignment, Host, Rollout, Standing, State};
use crate::session::presence::Presence;
use crate::store::{Activation, HostRecord, Line, ManifestRecord};

/// A host: what is on record, and what its session, which is newer, says instead.
pub(super) fn host(
    record: HostRecord,
    presence: Option<Presence>,
    assignment: Option<&Assignment>,
    latest: Option<&Activation>,
) -> pb::Host {
    let now = presence.unwrap_or_else(|| Presence {
        online: false,
        last_seen: record.last_seen.unwrap_or_default(),
        agent_version: record.agent_version,
        system: record.system,
        running: record.running,
        confirmed: None,
        suspended: None,
    });
    let confirmed = now.confirmed.or(record.confirmed);
    let (epoch, serial) = about(confirmed.map(|confirmed| (confirmed.epoch, confirmed.serial)));
    pb::Host {
        id: record.id.into(),
        role: record.role.into(),
        online: now.online,
        last_seen: now.last_seen.as_micros(),
        agent_version: now.agent_version,
        system: now.system,
        epoch,
        serial,
        running: now.running,
        assigned_serial: assignment.map_or(0, |assignment| assignment.release.serial.get()),
        activation: latest.map(activation),
        enrolled: record.enrolled.as_micros(),
        certificate_expires: record.standing.expires.as_micros(),
        revoked: at(record.standing.revoked.as_ref()),
        revoked_reason: why(record.standing.revoked),
        conflict: at(record.standing.conflict.as_ref()),
        conflict_reason: why(record.standing.conflict),
        suspended: now.suspended.as_ref().map_or(0, |suspended| suspended.since.as_micros().max(1)),
        suspended_reason: now.suspended.map(|suspended| suspended.reason).unwrap_or_default(),
        adopted: record.adopted.map_or(0, |since| since.as_micros().max(1)),
    }
}

fn at(since: Option<&(Timestamp, String)>) -> i64 {
    since.map_or(0, |(at, _)| at.as_micros())
}

fn why(since: Option<(Timestamp, String)>) -> String {
    since.map(|(_, reason)| reason).unwrap_or_default()
}

/// Manifests that were published, as many as fit into a message.
pub(super) fn manifests(records: Vec<ManifestRecord>) -> pb::ListManifestsReply {
    let mut room = MAX_MESSAGE_BYTES / 2;
    let fits = records.into_iter().enumerate().take_while(|(at, record)| {
        let left = room.checked_sub(record.envelope.len());
        room = left.unwrap_or_default();
        *at == 0 || left.is_some()
    });
    let manifest = |record: ManifestRecord| pb::PublishedManifest {
        manifest_envelope: record.envelope,
        publisher: record.publisher,
        published: record.published.unwrap_or_default().as_micros(),
    };
    pb::ListManifestsReply { manifests: fits.map(|(_, record)| manifest(record)).collect() }
}

/// One activation.
pub(super) fn activation(activation: &Activation) -> pb::Activation {
    let (epoch, serial) = about(activation.about);
    pb::Activation {
        id: activation.id.to_string(),
        epoch,
        serial,
        phase: phase(activation.phase).into(),
        outcome: activation.outcome.map_or(pb::Outcome::Unspecified, Outcome::into).into(),
        reason: activation.reason.clone(),
        started: activation.started.as_micros(),
        ended: activation.ended.map_or(0, |ended| ended.as_micros()),
        unchanged: activation.unchanged,
        build_ms: activation.build_ms,
    }
}

/// One line of a build or trial.
pub(super) fn line(line: Line) -> pb::LogLine {
    pb::LogLine {
        at: line.at.as_micros(),
        phase: phase(line.phase).into(),
        text: line.text,
        activation: line.activation.into(),
    }
}

fn about(number: Option<(Epoch, Serial)>) -> (u64, u64) {
    number.map_or((0, 0), |(epoch, serial)| (u64::from(epoch.get()), serial.get()))
}

fn phase(phase: Option<Phase>) -> pb::Phase {
    phase.map_or(pb::Phase::Unspecified, Phase::into)
}

/// A rollout as it stands: canary first, then by id.
pub(super) fn rollout(rollout: &Rollout) -> pb::Rollout {
    let mut hosts: Vec<_> = rollout.hosts.iter().collect();
    hosts.sort_by_key(|(_, host)| host.wave);
    pb::Rollout {
        id: rollout.id.to_string(),
        role: rollout.release.role.to_string(),
        epoch: u64::from(rollout.release.epoch.get()),
        serial: rollout.release.serial.get(),
        state: rollout_state(rollout.state).into(),
        reasons: rollout.reasons.clone(),
        hosts: hosts.into_iter().map(|(id, host)| rollout_host(id, host)).collect(),
        started: rollout.started.as_micros(),
        ended: rollout.ended.map_or(0, |ended| ended.as_micros()),
        retry: rollout.retry,
    }
}

fn rollout_state(state: State) -> pb::RolloutState {
    match state {
        State::Running => pb::RolloutState::Running,
        State::Done => pb::RolloutState::Done,
        State::Stopped => pb::RolloutState::Stopped,
        State::Superseded => pb::RolloutState::Superseded,
    }
}

fn rollout_host(id: &HostId, host: &Host) -> pb::RolloutHost {
    let (state, phase) = standing(host.standing);
    pb::RolloutHost {
        host: id.to_string(),
        wave: host.wave.number(),
        state: state.into(),
        phase: phase.into(),
        reason: host.reason.clone(),
        unchanged: host.unchanged,
        build_ms: host.build_ms,
    }
}

fn standing(standing: Standing) -> (pb::RolloutHostState, pb::Phase) {
    use pb::RolloutHostState as Shown;

    let shown = match standing {
        Standing::Activating(phase) => return (Shown::Activating, phase.into()),
        Standing::Untouched => Shown::Untouched,
        Standing::Offline => Shown::Offline,
        Standing::Assigned => Shown::Assigned,
        Standing::Ended(Outcome::Confirmed) => Shown::Confirmed,
        Standing::Ended(Outcome::Failed) => Shown::Failed,
        Standing::Ended(Outcome::RolledBack) => Shown::RolledBack,
        Standing::Ended(Outcome::Superseded) => Shown::Superseded,
        Standing::Ended(Outcome::Quarantined) => Shown::Quarantined,
    };
    (shown, pb::Phase::Unspecified)
}
