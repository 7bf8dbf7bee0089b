//! Why a rollout stands where it does, in words for people: pure.

use floe_proto::id::HostId;
use floe_proto::report::Outcome;

use super::state::{Host, Present, Rollout, Standing, Word};

/// Whether a host that was not told yet can be.
pub(super) fn tellable(present: &Present, id: &HostId) -> bool {
    present.get(id).is_some_and(|word| word.suspended.is_none() && !word.held)
}

/// Whether a host was told, said nothing of it, and begins nothing now. What it has begun
/// for all that it says itself.
pub(super) fn asleep(present: &Present, id: &HostId, host: &Host) -> bool {
    host.standing == Standing::Assigned
        && present.get(id).is_some_and(|word| word.suspended.is_some())
}

/// Why it cannot, and when it will be.
pub(super) fn gone(present: &Present, id: &HostId) -> String {
    match present.get(id) {
        Some(Word { held: true, .. }) => {
            "was in use before; gets it when somebody says yes to what changes".to_owned()
        }
        Some(Word { suspended: Some(suspended), .. }) => {
            format!("is {suspended}; gets it when it is resumed")
        }
        Some(_) | None => "is not connected; gets it when it returns".to_owned(),
    }
}

/// One sentence for each host that ended other than wanted.
pub(super) fn failures(rollout: &Rollout) -> Vec<String> {
    let sentence = |(id, host): (&HostId, &Host)| {
        let Standing::Ended(outcome) = host.standing else { return None };
        let what = match outcome {
            Outcome::Confirmed => return None,
            Outcome::Failed => "failed, nothing on it was changed",
            Outcome::RolledBack => "went back to what it ran before",
            Outcome::Superseded => "was switched by somebody else meanwhile and left alone",
            Outcome::Quarantined => "could neither go on nor back and needs a human",
        };
        Some(if host.reason.is_empty() {
            format!("`{id}` {what}")
        } else {
            format!("`{id}` {what}: {}", host.reason)
        })
    };
    rollout.hosts.iter().filter_map(sentence).collect()
}

/// Why it stopped, and whom that spared.
pub(super) fn stopped(rollout: &Rollout, mut reasons: Vec<String>) -> Vec<String> {
    reasons.splice(0..0, rollout.withdrawn.clone());
    let standing = |wanted: fn(Standing) -> bool| {
        rollout.hosts.iter().filter(move |(_, host)| wanted(host.standing)).map(|(id, _)| id)
    };
    let spared: Vec<_> =
        standing(|s| matches!(s, Standing::Untouched | Standing::Offline)).collect();
    if !spared.is_empty() {
        let verb = if spared.len() == 1 { "was" } else { "were" };
        reasons.push(format!("{} {verb} not touched: the rollout stopped first", names(&spared)));
    }
    let at_work: Vec<_> = standing(Standing::is_at_work).collect();
    if !at_work.is_empty() {
        let verb = if at_work.len() == 1 { "was" } else { "were" };
        reasons.push(format!("{} {verb} already at work when it stopped", names(&at_work)));
    }
    reasons
}

pub(super) fn at_work(what: &str, id: &HostId, host: &Host, present: &Present) -> String {
    let doing = match host.standing {
        Standing::Activating(phase) => phase.as_str(),
        Standing::Untouched | Standing::Offline | Standing::Assigned | Standing::Ended(_) => {
            "told, nothing heard yet"
        }
    };
    let gone = if present.contains_key(id) { "" } else { ", not connected" };
    format!("waiting for {what}`{id}` ({doing}{gone})")
}

/// At most ten names; a fleet has hundreds.
pub(super) fn names(ids: &[&HostId]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = ids.iter().take(SHOWN).map(|id| format!("`{id}`")).collect();
    match ids.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
