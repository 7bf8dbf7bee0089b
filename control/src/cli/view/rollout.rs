//! A rollout: where it stands, host by host, and who was not touched.

use std::fmt::Write as _;

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::{Serialize, Serializer};

use super::activation::{phase, some, time, words};
use super::{Page, View, ago, table};

/// `floe rollout show`: `{id, role, epoch, serial, retry, state, reasons, started, ended,
/// hosts}`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RolloutView {
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) epoch: u64,
    pub(crate) serial: u64,
    /// Hosts try it again where they went back from it before.
    pub(crate) retry: bool,
    pub(crate) state: State,
    /// What is waited for, or what stopped it.
    pub(crate) reasons: Vec<String>,
    pub(crate) started: Option<Timestamp>,
    /// `null` while it runs.
    pub(crate) ended: Option<Timestamp>,
    /// Canary first.
    pub(crate) hosts: Vec<RolloutHostView>,
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Done,
    Stopped,
    Superseded,
    Unknown,
}

/// One host of a rollout.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RolloutHostView {
    pub(crate) host: String,
    /// 1 for the canary's.
    pub(crate) wave: u32,
    pub(crate) state: HostState,
    /// What is being done; `null` unless it is activating.
    #[serde(serialize_with = "words")]
    pub(crate) phase: Option<&'static str>,
    /// Why it stands there; may be empty.
    pub(crate) reason: String,
    /// The payload was running already.
    pub(crate) unchanged: bool,
    /// Milliseconds that Nix took; `null` where it was not started.
    pub(crate) build_ms: Option<u64>,
}

/// Where a host of a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostState {
    Untouched,
    Assigned,
    Activating,
    Confirmed,
    Failed,
    RolledBack,
    Superseded,
    Quarantined,
    Offline,
    Unknown,
}

impl From<pb::Rollout> for RolloutView {
    fn from(rollout: pb::Rollout) -> Self {
        let state = rollout.state();
        Self {
            id: rollout.id,
            role: rollout.role,
            epoch: rollout.epoch,
            serial: rollout.serial,
            retry: rollout.retry,
            state: State::from(state),
            reasons: rollout.reasons,
            started: time(rollout.started),
            ended: time(rollout.ended),
            hosts: rollout.hosts.into_iter().map(RolloutHostView::from).collect(),
        }
    }
}

impl From<pb::RolloutState> for State {
    fn from(state: pb::RolloutState) -> Self {
        match state {
            pb::RolloutState::Unspecified => Self::Unknown,
            pb::RolloutState::Running => Self::Running,
            pb::RolloutState::Done => Self::Done,
            pb::RolloutState::Stopped => Self::Stopped,
            pb::RolloutState::Superseded => Self::Superseded,
        }
    }
}

impl From<pb::RolloutHost> for RolloutHostView {
    fn from(host: pb::RolloutHost) -> Self {
        let state = HostState::from(host.state());
        Self {
            state,
            phase: phase(host.phase).filter(|_| state == HostState::Activating),
            host: host.host,
            wave: host.wave,
            reason: host.reason,
            unchanged: host.unchanged,
            build_ms: some(host.build_ms),
        }
    }
}

impl From<pb::RolloutHostState> for HostState {
    fn from(state: pb::RolloutHostState) -> Self {
        match state {
            pb::RolloutHostState::Unspecified => Self::Unknown,
            pb::RolloutHostState::Untouched => Self::Untouched,
            pb::RolloutHostState::Assigned => Self::Assigned,
            pb::RolloutHostState::Activating => Self::Activating,
            pb::RolloutHostState::Confirmed => Self::Confirmed,
            pb::RolloutHostState::Failed => Self::Failed,
            pb::RolloutHostState::RolledBack => Self::RolledBack,
            pb::RolloutHostState::Superseded => Self::Superseded,
            pb::RolloutHostState::Quarantined => Self::Quarantined,
            pb::RolloutHostState::Offline => Self::Offline,
        }
    }
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Superseded => "superseded",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it goes on.
    pub(crate) const fn is_open(self) -> bool {
        match self {
            Self::Running | Self::Unknown => true,
            Self::Done | Self::Stopped | Self::Superseded => false,
        }
    }
}

impl HostState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Assigned => "assigned",
            Self::Activating => "activating",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::Superseded => "superseded",
            Self::Quarantined => "quarantined",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for HostState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        words(&Some(self.as_str()), serializer)
    }
}

impl RolloutView {
    /// One line: `rollout r-3 of www serial 7: stopped`.
    pub(crate) fn headline(&self) -> String {
        let Self { id, role, serial, state, .. } = self;
        let again = if self.retry { " (tried again)" } else { "" };
        format!("rollout {id} of {role} serial {serial}{again}: {}", state.as_str())
    }

    /// `2 of 3 confirmed`.
    pub(crate) fn count(&self) -> String {
        let done = self.hosts.iter().filter(|host| host.state == HostState::Confirmed).count();
        format!("{done} of {} confirmed", self.hosts.len())
    }

    /// Who was not touched, and why; empty where everybody was.
    fn untouched(&self) -> String {
        let left: Vec<_> = self
            .hosts
            .iter()
            .filter(|host| matches!(host.state, HostState::Untouched))
            .map(|host| host.host.as_str())
            .collect();
        let why = match self.state {
            _ if left.is_empty() => return String::new(),
            // The reasons say so already.
            State::Stopped => return String::new(),
            State::Superseded => "a newer rollout took over before their wave",
            State::Running | State::Unknown => "their wave has not begun",
            State::Done => "the rollout ended without them",
        };
        format!("not touched: {} ({why})\n", left.join(", "))
    }
}

impl RolloutHostView {
    /// The state, or the phase while it activates.
    pub(crate) fn standing(&self) -> String {
        let standing = self.phase.unwrap_or(self.state.as_str());
        if self.unchanged { format!("{standing} (unchanged)") } else { standing.into() }
    }
}

impl View for RolloutView {
    fn text(&self, page: Page) -> String {
        let now = page.now;
        let when = match (self.started, self.ended) {
            (Some(started), Some(ended)) => {
                let took = Timestamp::since(ended, started);
                format!("{}, took {:.1}s", ago(now, Some(started)), took.as_secs_f64())
            }
            (started, _) => format!("started {}", ago(now, started)),
        };
        let mut text = format!("{} ({when})\n", self.headline());
        for reason in &self.reasons {
            let _ = writeln!(text, "  {reason}");
        }
        if self.hosts.is_empty() {
            return text;
        }
        let rows = self.hosts.iter().map(|host| {
            [
                host.host.clone(),
                if host.wave == 1 { "canary".into() } else { host.wave.to_string() },
                host.standing(),
                host.build_ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms")),
                host.reason.lines().next().unwrap_or_default().into(),
            ]
        });
        text.push('\n');
        text.push_str(&table(page, ["HOST", "WAVE", "STATE", "NIX", "REASON"], rows));
        text + &self.untouched()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_380_000_000_000);

    fn host(host: &str, wave: u32, state: pb::RolloutHostState, reason: &str) -> pb::RolloutHost {
        pb::RolloutHost {
            host: host.into(),
            wave,
            state: state.into(),
            phase: pb::Phase::Probation.into(),
            reason: reason.into(),
            unchanged: false,
            build_ms: u64::from(wave == 1) * 5300,
        }
    }

    fn stopped() -> RolloutView {
        let untouched = pb::RolloutHostState::Untouched;
        RolloutView::from(pb::Rollout {
            id: "r-3".into(),
            role: "www".into(),
            epoch: 0,
            serial: 7,
            state: pb::RolloutState::Stopped.into(),
            reasons: vec![
                "`local-www-1` went back to what it ran before: unit nginx.service failed".into(),
                "`local-www-2`, `local-www-3` were not touched: the rollout stopped first".into(),
            ],
            hosts: vec![
                host(
                    "local-www-1",
                    1,
                    pb::RolloutHostState::RolledBack,
                    "unit nginx.service failed",
                ),
                host("local-www-2", 2, untouched, ""),
                host("local-www-3", 2, untouched, ""),
            ],
            started: NOW.as_micros() - 65_000_000,
            ended: NOW.as_micros() - 1_500_000,
            retry: false,
        })
    }

    #[test]
    fn who_was_not_touched_is_said_and_why() {
        insta::assert_snapshot!(stopped().text(Page::endless(NOW)));
    }

    #[test]
    fn the_json_of_a_rollout() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&stopped()).unwrap());
    }

    #[test]
    fn a_host_that_activates_shows_its_phase() {
        let mut rollout = stopped();
        (rollout.state, rollout.ended) = (State::Running, None);
        rollout.reasons = vec!["waiting for the canary `local-www-1` (building)".into()];
        let mut activating = host("local-www-1", 1, pb::RolloutHostState::Activating, "");
        activating.phase = pb::Phase::Building.into();
        rollout.hosts[0] = activating.into();
        insta::assert_snapshot!(rollout.text(Page::endless(NOW)));
    }
}
