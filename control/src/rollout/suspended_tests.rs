//! A host that is suspended on the machine: rollouts go past it, and say why.

use floe_proto::digest::Digest;
use floe_proto::id::Epoch;
use floe_proto::report::Phase;

use super::super::state::{Report, Suspended, Word};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1);

fn host(number: usize) -> HostId {
    format!("local-www-{number}").parse().unwrap()
}

fn release() -> Release {
    Release {
        role: "www".parse().unwrap(),
        epoch: Epoch::default(),
        serial: 5.try_into().unwrap(),
        manifest: Digest::of(b"5"),
        payload: Digest::of(b"payload"),
    }
}

fn rollout(hosts: usize) -> Rollout {
    Rollout::new("r-1".parse().unwrap(), release(), (1..=hosts).map(host), NOW)
}

/// So many connected hosts, of which these are suspended.
fn present(hosts: usize, suspended: &[usize]) -> Present {
    let word = |number| {
        let asleep = suspended.contains(&number);
        let suspended = asleep.then(|| Suspended { since: NOW, reason: "new disk".into() });
        (host(number), Word { suspended, ..Word::default() })
    };
    (1..=hosts).map(word).collect()
}

fn confirms(rollout: &mut Rollout, number: usize) {
    let report = Report {
        about: Some(release().order()),
        manifest: Some(release().manifest),
        outcome: Outcome::Confirmed,
        reason: String::new(),
        running: String::new(),
        unchanged: false,
        build_ms: 0,
    };
    rollout.hear(&host(number), &Said::Ended(report));
}

#[test]
fn it_is_no_canary_and_gets_it_once_it_is_resumed() {
    let mut rollout = rollout(2);
    assert_eq!(rollout.advance(&present(2, &[1]), NOW), [host(2)], "the first that can be told");
    confirms(&mut rollout, 2);
    assert_eq!(rollout.advance(&present(2, &[1]), NOW), []);
    assert_eq!(rollout.state, State::Done);
    let why = "`local-www-1` is suspended on the machine (new disk); gets it when it is resumed";
    assert_eq!(rollout.reasons, [why]);
    assert_eq!(rollout.hosts[&host(1)].standing, Standing::Offline);

    assert_eq!(rollout.advance(&present(1, &[]), NOW), [host(1)], "resumed");
}

#[test]
fn who_waits_for_a_yes_counts_as_away_and_gets_it_then() {
    let mut rollout = rollout(2);
    let mut held = present(2, &[]);
    held.get_mut(&host(1)).unwrap().held = true;
    assert_eq!(rollout.advance(&held, NOW), [host(2)]);
    confirms(&mut rollout, 2);
    rollout.advance(&held, NOW);
    assert_eq!(rollout.state, State::Done);
    assert!(rollout.reasons[0].contains("was in use before"), "{:?}", rollout.reasons);
    assert_eq!(rollout.advance(&present(2, &[]), NOW), [host(1)], "somebody said yes");
}

#[test]
fn where_nobody_can_be_told_that_is_said() {
    let mut rollout = rollout(2);
    assert_eq!(rollout.advance(&present(1, &[1]), NOW), []);
    let expected = [
        "no host of role `www` can be told now",
        "`local-www-1` is suspended on the machine (new disk); gets it when it is resumed",
        "`local-www-2` is not connected; gets it when it returns",
    ];
    assert_eq!(
        (rollout.state, rollout.reasons.as_slice()),
        (State::Running, &expected.map(String::from)[..])
    );
}

#[test]
fn what_it_is_at_work_on_it_ends_and_what_it_was_only_told_waits() {
    let mut rollout = rollout(1);
    rollout.advance(&present(1, &[]), NOW);
    rollout.advance(&present(1, &[1]), NOW);
    assert!(rollout.reasons[1].contains("suspended on the machine"), "{:?}", rollout.reasons);
    let entered =
        Said::Entered { about: release().order(), phase: Phase::Building, detail: String::new() };
    rollout.hear(&host(1), &entered);
    rollout.advance(&present(1, &[1]), NOW);
    assert_eq!(rollout.reasons, ["waiting for the canary `local-www-1` (building)"]);
    confirms(&mut rollout, 1);
    rollout.advance(&present(1, &[1]), NOW);
    assert_eq!(rollout.state, State::Done);
}

#[test]
fn who_was_told_and_is_suspended_since_keeps_nobody_waiting() {
    let mut rollout = rollout(3);
    assert_eq!(rollout.advance(&present(3, &[]), NOW), [host(1)]);
    assert_eq!(rollout.advance(&present(3, &[1]), NOW), [host(2)], "another canary");
    let failed = Report {
        about: Some(release().order()),
        manifest: Some(release().manifest),
        outcome: Outcome::Failed,
        reason: "sick".into(),
        running: String::new(),
        unchanged: false,
        build_ms: 0,
    };
    rollout.hear(&host(2), &Said::Ended(failed));
    rollout.advance(&present(3, &[1]), NOW);
    assert_eq!((rollout.state, rollout.ended), (State::Stopped, Some(NOW)));
    rollout.advance(&present(3, &[]), NOW);
    assert!(!rollout.is_pending(&host(1)), "resumed, it is not told any more");
}
