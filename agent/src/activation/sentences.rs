//! What an activation does, one sentence a test.

use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::reboot::{Policy, Reboot};

use super::event::{Effect, Event, Task};
use super::phase::MAX_FAILED_ROLLBACKS;
use super::played::{assigned, order, toplevel, trial};
use super::reboot::Reason;
use super::state::{
    BootId, Confirmed, Fault, Order, Phase, Report, Seen, State, Toplevel, Trial, Undoing, Uptime,
    Verdict, Way,
};
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;

fn at(phase: Phase) -> State {
    State { phase, ..State::default() }
}

fn now() -> Timestamp {
    Timestamp::default()
}

fn seen(name: &str) -> Seen {
    let system = Some(toplevel(name));
    Seen {
        running: system.clone(),
        profile: system,
        boot: BootId("1".into()),
        at: Uptime::default(),
    }
}

fn report(state: &State) -> &Report {
    let Phase::Reporting(report) = &state.phase else { panic!("{:?}", state.phase) };
    report
}

fn failed(text: &str) -> Event {
    Event::Failed(Fault::new(text))
}

#[test]
fn a_host_that_fails_probation_goes_back_to_what_it_ran() {
    let undoing = at(Phase::Probation(trial())).on(failed("unit `nginx.service` failed"), now());
    let Effect::Perform(Task::Revert(trial, _)) = undoing.effect() else { panic!() };
    assert_eq!(trial.before.running, toplevel("old"));
    let reporting = undoing.on(Event::Reverted(toplevel("old")), now());
    assert_eq!(report(&reporting).outcome, Outcome::RolledBack);
    assert!(report(&reporting).reason.contains("nginx.service"));
    assert_eq!(reporting.confirmed, None);
}

#[test]
fn before_the_timer_is_armed_a_failure_changes_nothing() {
    let order = Box::new(order(7));
    for phase in
        [Phase::Fetching(order.clone()), Phase::Unpacking(order.clone()), Phase::Building(order)]
    {
        let reporting = at(phase).on(failed("no"), now());
        assert_eq!(report(&reporting).outcome, Outcome::Failed);
        assert_eq!(report(&reporting).running, Some(toplevel("old")));
    }
}

#[test]
fn a_failure_to_arm_counts_as_touched() {
    let undoing = at(Phase::Arming(trial())).on(failed("no"), now());
    assert!(matches!(undoing.phase, Phase::RollingBack(..)));
}

#[test]
fn a_timer_that_was_first_makes_the_verdict_a_rollback() {
    let undoing = at(Phase::Disarming(trial(), Verdict::Proven)).on(failed("first"), now());
    assert!(matches!(undoing.phase, Phase::RollingBack(..)));
}

#[test]
fn a_restarted_agent_arms_the_timer_before_it_switches() {
    let resumed = at(Phase::Trying(trial())).resumed(&seen("old"));
    assert!(matches!(resumed.effect(), Effect::Perform(Task::Arm(_))));
}

#[test]
fn a_reboot_before_the_proof_is_a_rollback() {
    let rebooted = Seen { boot: BootId("2".into()), ..seen("old") };
    for phase in [
        Phase::Arming(trial()),
        Phase::Trying(trial()),
        Phase::Probation(trial()),
        Phase::Disarming(trial(), Verdict::Proven),
    ] {
        let resumed = at(phase).resumed(&rebooted);
        assert!(matches!(resumed.phase, Phase::RollingBack(..)));
    }
}

#[test]
fn what_was_proved_is_committed_also_by_the_next_process() {
    let rebooted = Seen { boot: BootId("2".into()), ..seen("new") };
    let resumed = at(Phase::Committing(trial())).resumed(&rebooted);
    let resumed = resumed.on(Event::Saw(rebooted), now());
    assert!(matches!(resumed.effect(), Effect::Perform(Task::Commit(_))));
}

#[test]
fn what_does_not_run_any_more_is_not_committed() {
    let elsewhere = at(Phase::Committing(trial())).on(Event::Saw(seen("old")), now());
    assert!(matches!(elsewhere.phase, Phase::RollingBack(_, Undoing { boot: true, .. })));
    let proven = Phase::Disarming(trial(), Verdict::Proven);
    let elsewhere = at(proven).on(Event::Saw(seen("old")), now());
    assert!(matches!(elsewhere.phase, Phase::RollingBack(_, Undoing { boot: false, .. })));
}

#[test]
fn c25_going_back_is_tried_three_times_then_by_a_reboot_and_then_said_to_be_impossible() {
    let undoing = Undoing { why: Fault::new("x"), boot: false, failures: 0, reboot: false };
    let mut state = at(Phase::RollingBack(trial(), undoing));
    for _ in 1..MAX_FAILED_ROLLBACKS {
        state = state.on(failed("no"), now());
        assert!(matches!(state.phase, Phase::RollingBack(..)));
    }
    state = state.on(failed("no"), now());
    let Phase::RollingBack(_, Undoing { reboot: true, failures: 0, .. }) = &state.phase else {
        panic!("{:?}", state.phase)
    };
    for _ in 0..MAX_FAILED_ROLLBACKS {
        state = state.on(failed("no"), now());
    }
    assert_eq!(report(&state).outcome, Outcome::Quarantined);
}

fn rebooting() -> Box<Trial> {
    Box::new(Trial { way: Way::Reboot(vec![Reason::Kernel]), ..*trial() })
}

/// The machine in another boot than the one in which the trial was prepared.
fn booted(name: &str) -> Seen {
    Seen { boot: BootId("2".into()), at: Uptime(Duration::from_secs(5)), ..seen(name) }
}

#[test]
fn c26_a_system_that_was_chosen_for_one_boot_proves_itself_in_it() {
    for phase in [Phase::Staging(rebooting()), Phase::Rebooting(rebooting())] {
        let resumed = at(phase).resumed(&booted("new"));
        let Phase::Arming(trial) = &resumed.phase else { panic!("{:?}", resumed.phase) };
        assert_eq!(trial.until, Uptime(Duration::from_secs(95)), "its time begins with its boot");
        let proving = resumed.on(Event::Armed, now());
        assert!(matches!(proving.effect(), Effect::Perform(Task::Prove(_))), "nothing is switched");
    }
}

#[test]
fn an_agent_that_starts_anew_before_the_reboot_reboots() {
    let resumed = at(Phase::Rebooting(rebooting())).resumed(&seen("old"));
    assert!(matches!(resumed.effect(), Effect::Perform(Task::Reboot(_))));
    let staging = at(Phase::Staging(rebooting())).resumed(&seen("old"));
    assert!(matches!(staging.effect(), Effect::Perform(Task::Stage(_))));
}

#[test]
fn c28_a_power_cut_in_the_boot_of_a_trial_is_its_end() {
    let in_trial = at(Phase::Rebooting(rebooting())).resumed(&booted("new"));
    let next = Seen { boot: BootId("3".into()), ..seen("old") };
    let back = in_trial.on(Event::Armed, now()).resumed(&next);
    assert!(matches!(back.phase, Phase::RollingBack(_, Undoing { reboot: true, .. })));
}

#[test]
fn a_boot_of_a_default_that_was_not_undone_yet_is_no_failed_way_back() {
    // The power was cut while it was committed, and then the commit failed.
    let resumed = at(Phase::Committing(rebooting())).resumed(&booted("new"));
    let undoing = resumed.on(failed("no"), now());
    let Phase::RollingBack(trial, _) = &undoing.phase else { panic!("{:?}", undoing.phase) };
    assert_eq!(trial.before.boot, booted("new").boot, "a reboot is still to come");
    // And again before the default was undone.
    let third = Seen { boot: BootId("3".into()), ..seen("new") };
    let again = undoing.resumed(&third);
    let Phase::RollingBack(trial, Undoing { failures: 0, .. }) = &again.phase else {
        panic!("{:?}", again.phase)
    };
    assert_eq!(trial.before.boot, third.boot);
    // A default that comes back however often it is undone is given up.
    let mut state = again;
    for boot in 4..10 {
        let profile = Some(toplevel("old"));
        state = state.resumed(&Seen { boot: BootId(boot.to_string()), profile, ..seen("new") });
    }
    let Phase::RollingBack(trial, Undoing { failures: 2, .. }) = &state.phase else {
        panic!("{:?}", state.phase)
    };
    assert_eq!(trial.before.boot, BootId("5".into()));
}

#[test]
fn what_was_chosen_for_one_boot_and_comes_up_on_the_way_back_is_left_by_a_reboot() {
    // The power was cut after that was recorded, and before the choice was taken back.
    let mut state = at(Phase::Rebooting(rebooting())).on(failed("no"), now());
    for boot in ["2", "3"] {
        let seen =
            Seen { boot: BootId(boot.into()), profile: Some(toplevel("old")), ..seen("new") };
        assert!(state.boot_trial(&seen).is_some(), "also where its agent never comes up");
        state = state.clone().boot_overdue(&seen).unwrap();
        let Phase::RollingBack(trial, Undoing { reboot: true, .. }) = &state.phase else {
            panic!("{:?}", state.phase)
        };
        assert_eq!(trial.before.boot, seen.boot, "a reboot is still to come");
    }
    let fourth = Seen { boot: BootId("4".into()), ..seen("new") };
    let Phase::RollingBack(trial, _) = state.resumed(&fourth).phase else { panic!() };
    assert_eq!(trial.before.boot, BootId("3".into()), "not for ever");
}

#[test]
fn the_guard_of_a_boot_acts_only_in_the_boot_of_a_trial() {
    let staged = at(Phase::Rebooting(rebooting()));
    assert!(staged.boot_trial(&seen("old")).is_none(), "not rebooted yet");
    assert!(staged.boot_trial(&booted("old")).is_none(), "it did not come up");
    assert_eq!(staged.boot_trial(&booted("new")), Some(Uptime(Duration::from_secs(90))));
    let overdue = staged.clone().boot_overdue(&booted("new")).unwrap();
    assert!(matches!(overdue.phase, Phase::RollingBack(_, Undoing { reboot: true, .. })));

    let taken_over = staged.resumed(&booted("new"));
    assert_eq!(taken_over.boot_trial(&booted("new")), Some(Uptime(Duration::from_secs(95))));
    assert!(at(Phase::Committing(rebooting())).boot_trial(&booted("new")).is_none());
    assert!(at(Phase::Probation(trial())).boot_trial(&seen("new")).is_none(), "by a switch");
}

#[test]
fn a_window_that_is_closed_is_waited_for_and_then_all_is_looked_at_again() {
    let mut order = order(7);
    order.manifest.activation.reboot =
        Reboot { policy: Policy::IfNeeded, window: "02:00-04:00".parse().ok() };
    let built = || Event::Built {
        to: toplevel("new"),
        before: Box::new(trial().before),
        way: Way::Reboot(vec![Reason::Kernel]),
        build: Duration::ZERO,
    };
    let noon = "2026-11-27T12:00:00Z".parse().unwrap();
    let waiting = at(Phase::Building(Box::new(order))).on(built(), noon);
    assert!(matches!(waiting.effect(), Effect::Perform(Task::AwaitWindow(_))));
    let why = waiting.phase.why().unwrap();
    assert_eq!(why, "it needs a reboot: kernel; the window (02:00-04:00 UTC) is not open");
    let open = "2026-11-28T02:00:00Z".parse().unwrap();
    let building = waiting.on(Event::WindowOpened, open);
    assert!(matches!(building.effect(), Effect::Perform(Task::Build(_))));
    assert!(matches!(building.on(built(), open).effect(), Effect::Perform(Task::Stage(_))));
}

#[test]
fn a_busy_machine_is_waited_for() {
    let undoing = Undoing { why: Fault::new("x"), boot: false, failures: 0, reboot: false };
    let state = at(Phase::RollingBack(trial(), undoing));
    assert_eq!(state.clone().on(Event::Busy, now()), state);
}

#[test]
fn c22_the_guard_leaves_alone_what_is_confirmed_or_somebody_elses() {
    let ours = "7-a".parse().unwrap();
    let other = "8-a".parse().unwrap();
    assert!(at(Phase::Probation(trial())).fired(&ours).is_some());
    assert!(at(Phase::Probation(trial())).fired(&other).is_none());
    assert!(at(Phase::Committing(trial())).fired(&ours).is_none());
    assert!(at(Phase::Idle).fired(&ours).is_none());
}

fn confirmed(toplevel: Toplevel) -> State {
    let order = order(6);
    let confirmed = Confirmed {
        manifest: order.named(),
        payload: order.manifest.payload.sha256,
        entry: order.manifest.entry.clone(),
        health: order.manifest.health,
        toplevel,
        before: None,
    };
    State { confirmed: Some(confirmed), ..State::default() }
}

#[test]
fn a_payload_that_runs_already_is_confirmed_at_once() {
    let reporting = confirmed(toplevel("old")).on(assigned(order(7), seen("old")), now());
    assert!(report(&reporting).unchanged);
    assert_eq!(report(&reporting).outcome, Outcome::Confirmed);
    assert_eq!(reporting.floors.confirmed.unwrap().serial.get(), 7);
    assert_eq!(reporting.confirmed.unwrap().manifest.serial.get(), 7);
}

#[test]
fn a_payload_that_ran_once_and_does_not_now_is_built_again() {
    let elsewhere = Seen { profile: Some(toplevel("humans")), ..seen("old") };
    let mut healthier = order(7);
    healthier.manifest.health.soak_seconds = 11;
    let mut other = order(7);
    other.manifest.payload.sha256 = Digest::of(b"other");
    for event in [
        assigned(order(7), seen("humans")),
        assigned(order(7), elsewhere),
        assigned(healthier, seen("old")),
        assigned(other, seen("old")),
    ] {
        let state = confirmed(toplevel("old")).on(event, now());
        assert!(matches!(state.phase, Phase::Fetching(_)));
    }
}

#[test]
fn what_failed_is_not_tried_again_for_the_same_rollout_and_thrice_in_all() {
    let mut state = State::default();
    for (attempt, rollout) in [(1, "r-1"), (2, "r-2"), (3, "r-3")] {
        let order = || Order { rollout: rollout.into(), ..order(7) };
        state = state.on(assigned(order(), seen("old")), now());
        assert!(matches!(state.phase, Phase::Fetching(_)));
        state = state.on(failed("no"), now());
        assert_eq!(state.settled.as_ref().unwrap().attempts, attempt);
        state = state.on(Event::Reported, now()).on(assigned(order(), seen("old")), now());
        assert_eq!(report(&state).reason, "no");
        state = state.on(Event::Reported, now());
    }
    let fourth = Order { rollout: "r-4".into(), ..order(7) };
    let again = state.clone().on(assigned(fourth, seen("old")), now());
    assert_eq!(report(&again).outcome, Outcome::Failed);
    let next = state.on(assigned(order(8), seen("old")), now());
    assert!(matches!(next.phase, Phase::Fetching(_)), "another manifest starts anew");
}

#[test]
fn two_manifests_that_fail_are_not_tried_in_turns_for_ever() {
    let mut state = State::default();
    let mut tried = 0;
    for turn in 0..40 {
        let rollout = format!("r-{}", turn % 4);
        let order = Order { rollout, ..order(7 + turn % 2) };
        state = state.on(assigned(order, seen("old")), now());
        if matches!(state.phase, Phase::Fetching(_)) {
            tried += 1;
            state = state.on(failed("no"), now());
        }
        state = state.on(Event::Reported, now());
    }
    assert!(tried <= 6, "each of both thrice at most, not {tried} times");
    let twenty = (20..60).fold(state, |state, serial| {
        let state = state.on(assigned(order(serial), seen("old")), now());
        state.on(failed("no"), now()).on(Event::Reported, now())
    });
    assert!(twenty.earlier.len() <= 8);
}

#[test]
fn a_refused_assignment_is_reported_and_nothing_is_fetched() {
    let refused = Event::Refused {
        activation: "0-1".parse().unwrap(),
        rollout: "r-1".into(),
        why: Fault::new("serial 3 is older"),
        running: Some(toplevel("old")),
    };
    let reporting = State::default().on(refused, now());
    assert_eq!(report(&reporting).outcome, Outcome::Failed);
    assert_eq!(report(&reporting).manifest, None);
}

#[test]
fn t105_a_machine_in_somebody_elses_hands_is_let_go() {
    let undoing = Undoing { why: Fault::new("x"), boot: false, failures: 0, reboot: false };
    for phase in [
        Phase::Disarming(trial(), Verdict::Proven),
        Phase::Committing(trial()),
        Phase::RollingBack(trial(), undoing),
    ] {
        assert!(phase.could_be_superseded());
        let state = State { phase, ..State::default() };
        let seen = Seen { running: Some(toplevel("humans")), ..seen("new") };
        let letting_go = state.on(Event::Saw(seen), now());
        assert!(matches!(letting_go.effect(), Effect::Perform(Task::Disarm(_))));
        let reporting = letting_go.on(Event::Disarmed, now());
        let Phase::Reporting(report) = reporting.phase else { panic!() };
        assert_eq!(
            (report.outcome, report.running),
            (Outcome::Superseded, Some(toplevel("humans")))
        );
    }
}
