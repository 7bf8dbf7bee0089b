//! A host that somebody on the machine took back from what it had confirmed.

use floe_proto::digest::Digest;
use floe_proto::id::Epoch;

use super::super::state::{Confirmed, Report, Word};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1);

fn host() -> HostId {
    "local-www-1".parse().unwrap()
}

fn rollout() -> Rollout {
    let release = Release {
        role: "www".parse().unwrap(),
        epoch: Epoch::default(),
        serial: 5.try_into().unwrap(),
        manifest: Digest::of(b"5"),
        payload: Digest::of(b"payload"),
    };
    Rollout::new("r-1".parse().unwrap(), release, [host()], NOW)
}

fn present(reverted: bool) -> Present {
    let Release { epoch, serial, manifest, .. } = rollout().release;
    let confirmed = Some(Confirmed { epoch, serial, manifest, reverted });
    [(host(), Word { confirmed, ..Word::default() })].into()
}

fn ended(rollout: &mut Rollout, outcome: Outcome) {
    let report = Report {
        about: Some(rollout.release.order()),
        manifest: Some(rollout.release.manifest),
        outcome,
        reason: "by hand".into(),
        running: String::new(),
        unchanged: false,
        build_ms: 0,
    };
    rollout.hear(&host(), &Said::Ended(report));
}

#[test]
fn a_rollout_of_the_same_is_not_done_with_it() {
    let mut done = rollout();
    assert_eq!(done.advance(&present(false), NOW), []);
    assert_eq!(done.state, State::Done);
    let mut again = rollout();
    assert_eq!(again.advance(&present(true), NOW), [host()], "it is told");
    assert_eq!(again.state, State::Running);
}

#[test]
fn that_it_went_back_counts_more_than_that_it_confirmed() {
    let mut rollout = rollout();
    rollout.advance(&[(host(), Word::default())].into(), NOW);
    ended(&mut rollout, Outcome::Confirmed);
    rollout.advance(&present(false), NOW);
    assert_eq!(rollout.state, State::Done);
    ended(&mut rollout, Outcome::RolledBack);
    rollout.advance(&present(true), NOW);
    assert_eq!(rollout.state, State::Stopped);
    assert_eq!(rollout.reasons, ["`local-www-1` went back to what it ran before: by hand"]);
}
