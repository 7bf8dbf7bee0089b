//! Watching a rollout to its end, across restarts of the control plane.

use std::time::Duration;

use floe_proto::pb::{self, ShowRolloutRequest};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;

use super::connection::{Connection, Error};
use super::progress::Progress;
use super::view::rollout::{HostState, RolloutHostView, RolloutView};

/// For how long a control plane may be gone.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// A silence in which it is said who is not connected.
const QUIET: Duration = Duration::from_secs(3);

/// How watching ended.
pub(super) enum Watched {
    /// The rollout has ended like this.
    Ended(RolloutView),
    /// The operator pressed ^C; the rollout goes on.
    Left(RolloutView),
}

/// Reports what changes in the rollout that `seen` is of, until it has ended.
pub(super) async fn watch(
    connection: &Connection,
    seen: RolloutView,
    progress: &Progress,
) -> Result<Watched, Error> {
    let mut seen = seen;
    for line in changes(None, &seen) {
        progress.note(&line);
    }
    let mut gone_since = None;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while seen.state.is_open() {
        let stop = tokio::select! {
            followed = follow(connection, &mut seen, progress, &mut gone_since) => followed,
            _ = &mut interrupted => return Ok(Watched::Left(seen)),
        };
        let Err(error) = stop else { continue };
        if !error.is_lost() {
            return Err(error);
        }
        let since = *gone_since.get_or_insert_with(|| {
            progress.note("the control plane went away; the rollout waits for it, and so do we");
            Instant::now()
        });
        if since.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = &mut interrupted => return Ok(Watched::Left(seen)),
        }
    }
    Ok(Watched::Ended(seen))
}

/// One stream of changes, until it ends or breaks.
async fn follow(
    connection: &Connection,
    seen: &mut RolloutView,
    progress: &Progress,
    gone_since: &mut Option<Instant>,
) -> Result<(), Error> {
    let refusal = connection.refusal("watch the rollout");
    let request = ShowRolloutRequest { rollout: seen.id.clone() };
    let mut operator = connection.operator.clone();
    let mut stream = operator.watch_rollout(request).await.map_err(&refusal)?.into_inner();
    let mut said = Vec::new();
    loop {
        let rollout = match timeout(QUIET, stream.next()).await {
            Ok(Some(rollout)) => rollout,
            Ok(None) => break,
            Err(_) => {
                let news = lost(seen);
                for line in news.iter().filter(|line| !said.contains(*line)) {
                    progress.note(line);
                }
                said = news;
                continue;
            }
        };
        let next = RolloutView::from(rollout.map_err(&refusal)?);
        if gone_since.take().is_some() {
            progress.note("the control plane is back");
        }
        for line in changes(Some(seen), &next) {
            progress.note(&line);
        }
        progress.detail(&format!("{}, {}", next.headline(), next.count()));
        *seen = next;
        if !seen.state.is_open() {
            return Ok(());
        }
    }
    // The server ended the stream of a rollout that goes on: it is shutting down.
    Err(refusal(tonic::Status::unavailable("the stream ended")))
}

/// What is new in `after`: a line for each host; and what is waited for, if nobody works.
fn changes(before: Option<&RolloutView>, after: &RolloutView) -> Vec<String> {
    let known = |host: &RolloutHostView| {
        before.and_then(|before| before.hosts.iter().find(|known| known.host == host.host))
    };
    let is_news = |host: &RolloutHostView| match known(host) {
        Some(known) => known.standing() != host.standing(),
        None => host.state != HostState::Untouched,
    };
    let line = |host: &RolloutHostView| {
        let reason = host.reason.lines().next().unwrap_or_default();
        let reason = super::view::printable(reason);
        let colon = if reason.is_empty() { "" } else { ": " };
        format!("{}  {}{colon}{reason}", host.host, host.standing())
    };
    let mut lines: Vec<_> = after.hosts.iter().filter(|host| is_news(host)).map(line).collect();
    if is_waiting(after) {
        let is_new = |reason: &&String| before.is_none_or(|known| !known.reasons.contains(reason));
        lines.extend(after.reasons.iter().filter(is_new).map(|reason| waiting(reason)));
        if !before.is_some_and(is_waiting) {
            lines.push(LEAVE.to_owned());
        }
    }
    lines
}

/// Who is at work and has lost the connection. For a moment that is so in every
/// activation, when the new system's agent takes over.
fn lost(rollout: &RolloutView) -> Vec<String> {
    let is_lost = |reason: &&String| !is_waiting(rollout) && reason.contains("not connected");
    rollout.reasons.iter().filter(is_lost).map(|reason| waiting(reason)).collect()
}

fn waiting(reason: &str) -> String {
    let reason = reason.strip_prefix("waiting for ").unwrap_or(reason);
    format!("waiting: {}", super::view::printable(reason))
}

/// Said where nobody is at work, since it may stay so for long.
const LEAVE: &str = "^C leaves; the rollout goes on when it can, or until a newer push replaces it";

/// Whether it is open, and no host works on it.
fn is_waiting(rollout: &RolloutView) -> bool {
    let is_at_work = |host: &RolloutHostView| match host.state {
        HostState::Assigned | HostState::Activating => true,
        HostState::Untouched
        | HostState::Confirmed
        | HostState::Failed
        | HostState::RolledBack
        | HostState::Superseded
        | HostState::Quarantined
        | HostState::Offline
        | HostState::Unknown => false,
    };
    rollout.state.is_open() && !rollout.hosts.iter().any(is_at_work)
}

/// The rollout that a control plane answered with.
pub(super) fn view(rollout: pb::Rollout) -> RolloutView {
    rollout.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(states: &[(&str, pb::RolloutHostState, pb::Phase)]) -> RolloutView {
        let host =
            |(host, state, phase): &(&str, pb::RolloutHostState, pb::Phase)| pb::RolloutHost {
                host: (*host).to_owned(),
                state: (*state).into(),
                phase: (*phase).into(),
                ..pb::RolloutHost::default()
            };
        let hosts = states.iter().map(host).collect();
        pb::Rollout { hosts, ..pb::Rollout::default() }.into()
    }

    #[test]
    fn only_what_changed_is_said() {
        use pb::Phase::{Building, Fetching, Unspecified};
        use pb::RolloutHostState::{Activating, Confirmed, Untouched};
        let first = rollout(&[("a", Activating, Fetching), ("b", Untouched, Unspecified)]);
        assert_eq!(changes(None, &first), ["a  fetching"]);
        let second = rollout(&[("a", Activating, Building), ("b", Untouched, Unspecified)]);
        assert_eq!(changes(Some(&first), &second), ["a  building"]);
        assert_eq!(changes(Some(&second), &second), [""; 0]);
        let third = rollout(&[("a", Confirmed, Unspecified), ("b", Activating, Fetching)]);
        assert_eq!(changes(Some(&second), &third), ["a  confirmed", "b  fetching"]);
    }

    #[test]
    fn who_waits_for_something_that_may_never_come_is_told_how_to_leave() {
        let mut first = rollout(&[]);
        first.reasons = vec!["no host of role `www` is enrolled yet".into()];
        let waiting = "waiting: no host of role `www` is enrolled yet";
        assert_eq!(changes(None, &first), [waiting, LEAVE]);
        assert_eq!(changes(Some(&first), &first), [""; 0]);
        let mut second = first.clone();
        second.reasons = vec!["no host of role `www` is connected".into()];
        let waiting = "waiting: no host of role `www` is connected";
        assert_eq!(changes(Some(&first), &second), [waiting]);
        assert_eq!(lost(&second), [""; 0]);
    }

    #[test]
    fn a_host_that_lost_its_connection_at_work_is_named() {
        let activating = pb::RolloutHostState::Activating;
        let mut view = rollout(&[("a", activating, pb::Phase::Probation)]);
        view.reasons = vec!["waiting for the canary `a` (probation, not connected)".into()];
        assert_eq!(lost(&view), ["waiting: the canary `a` (probation, not connected)"]);
        view.reasons = vec!["waiting for the canary `a` (probation)".into()];
        assert_eq!(lost(&view), [""; 0]);
    }
}
