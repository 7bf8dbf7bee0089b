//! The table of crash points (docs/trust.md 4.4), row by row, with the real loop, guard and
//! journal: what the machine ends on where the agent is killed there, and where the power fails.
//!
//! A row is where the crash falls: before, in the midst of or after an effect. After one, and
//! before what came of it is on the disk, is the moment between two phases. What is said of a
//! real machine by a story of `tests/stories` has its row there.

use std::time::Duration;

use floe_proto::report::Outcome::{self, Confirmed, RolledBack};

use super::doom::Doing::{
    Arm, Build, Commit, Disarm, Fetch, Prove, Reboot, Report, Revert, Stage, Try, Unpack,
};
use super::doom::Doom::{AtStep, In};
use super::doom::How::{Fails, Killed, KilledAndGuarded, PowerCut, TimerFires};
use super::doom::When::{After, Before, Half};
use super::doom::{Doing, Doom, How, When};
use super::power_cut_world::World;
use crate::activation::played::{new, old};
use crate::activation::reboot::Reason;
use crate::activation::state::Way;

/// What one activation came to, into whose processes `dooms` fell, each once.
fn ends(way: Way, dooms: &[Doom]) -> World {
    let world = World::new(way, false, 7);
    world.doom(dooms);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(world.live_to_the_end());
    world
}

/// The outcome of the last report; the machine is where it says, and nothing is left armed.
fn outcome(world: &World) -> Outcome {
    let inner = world.inner();
    let is = [&inner.machine.running, &inner.machine.profile, &inner.machine.default];
    let outcome = inner.reports.last().expect("a report").outcome;
    let right = if outcome == Confirmed { new() } else { old() };
    assert_eq!(is, [&right, &right, &right], "{outcome:?}");
    assert!(!inner.machine.armed && !inner.machine.chosen);
    outcome
}

fn by_switch(dooms: &[Doom]) -> Outcome {
    outcome(&ends(Way::Switch, dooms))
}

fn by_reboot(dooms: &[Doom]) -> Outcome {
    outcome(&ends(Way::Reboot(vec![Reason::Kernel]), dooms))
}

fn row(doing: Doing, when: When, how: How) -> Outcome {
    by_switch(&[In(doing, when, how)])
}

/// Wherever it falls, nothing was touched yet: what was begun is taken up again.
fn is_taken_up_again(doing: Doing, when: When) {
    for how in [Killed, PowerCut, KilledAndGuarded] {
        assert_eq!(row(doing, when, how), Confirmed, "{doing:?} {when:?} {how:?}");
    }
}

#[test]
fn c01_before_the_order_is_on_the_disk_nothing_has_happened() {
    for step in 0..9 {
        assert_eq!(by_switch(&[AtStep(step)]), Confirmed, "step {step}");
    }
}

#[test]
fn c02_an_order_that_is_on_the_disk_is_taken_up_again() {
    is_taken_up_again(Fetch, Before);
}

#[test]
fn c03_c04_a_download_is_taken_up_again_in_its_midst_and_when_it_is_done() {
    is_taken_up_again(Fetch, Half);
    is_taken_up_again(Fetch, After);
}

#[test]
fn c05_unpacking_is_begun_again() {
    is_taken_up_again(Unpack, Half);
}

#[test]
fn c06_c07_a_build_is_begun_again_in_its_midst_and_before_its_result_is_on_record() {
    is_taken_up_again(Build, Half);
    is_taken_up_again(Build, After);
}

/// From here on the disk says that a timer may be armed: a boot, or the timer, ends it.
fn is_a_trial(doing: Doing, when: When) {
    assert_eq!(row(doing, when, Killed), Confirmed, "{doing:?} {when:?}");
    assert_eq!(row(doing, when, PowerCut), RolledBack, "{doing:?} {when:?}");
}

#[test]
fn c08_before_the_timer_is_armed_a_restart_arms_it_and_a_boot_ends_the_trial() {
    is_a_trial(Arm, Before);
    assert_eq!(row(Arm, Before, KilledAndGuarded), Confirmed, "there is no guard yet");
}

#[test]
fn c09_c10_an_armed_timer_ends_what_nobody_goes_on_with_before_anything_is_switched() {
    for (doing, when) in [(Arm, After), (Try, Before)] {
        is_a_trial(doing, when);
        let world = ends(Way::Switch, &[In(doing, when, KilledAndGuarded)]);
        assert_eq!(outcome(&world), RolledBack);
        assert_eq!(world.inner().switches, 0, "the new system never ran");
    }
}

#[test]
fn c11_c14_a_switch_that_the_agent_did_not_see_the_end_of_is_gone_on_from() {
    for when in [Half, After] {
        is_a_trial(Try, when);
        assert_eq!(row(Try, when, KilledAndGuarded), RolledBack);
    }
}

#[test]
fn c12_a_switch_that_fails_is_undone_however_far_it_came() {
    for when in [Before, Half, After] {
        assert_eq!(row(Try, when, Fails), RolledBack);
    }
}

#[test]
fn c15_probation_is_gone_on_with_and_left_by_the_guard_where_nobody_does() {
    for when in [Before, Half, After] {
        is_a_trial(Prove, when);
        assert_eq!(row(Prove, when, KilledAndGuarded), RolledBack);
    }
}

#[test]
fn c18_c19_c20_a_commit_goes_forward_and_a_boot_of_the_old_system_goes_back_whole() {
    for when in [Before, Half, After] {
        for how in [Killed, KilledAndGuarded] {
            assert_eq!(row(Commit, when, how), Confirmed, "{when:?} {how:?}");
        }
    }
    // What was set so far is set back: profile and boot entry are one system's.
    assert_eq!(row(Commit, Before, PowerCut), RolledBack);
    assert_eq!(row(Commit, Half, PowerCut), RolledBack);
    assert_eq!(row(Commit, After, PowerCut), Confirmed, "it boots the new system");
}

#[test]
fn c21_what_is_confirmed_raises_the_floors_whichever_write_is_the_last() {
    for step in 0..70 {
        let world = ends(Way::Switch, &[AtStep(step)]);
        let is_new = outcome(&world) == Confirmed;
        assert_eq!(world.floors().confirmed.is_some(), is_new, "step {step}");
    }
}

#[test]
fn c22_what_is_confirmed_has_no_timer_any_more() {
    for how in [TimerFires, KilledAndGuarded] {
        assert_eq!(row(Report, Before, how), Confirmed, "{how:?}");
        assert_eq!(row(Commit, After, how), Confirmed, "{how:?}");
    }
    // The timer is disarmed before the commit; where it was first, it has its way.
    assert_eq!(row(Disarm, Before, KilledAndGuarded), RolledBack);
    assert_eq!(row(Disarm, After, KilledAndGuarded), Confirmed);
}

#[test]
fn c23_a_report_is_delivered_again_under_the_same_name_until_it_is_answered() {
    for how in [Killed, PowerCut] {
        let world = ends(Way::Switch, &[In(Report, Before, how)]);
        assert_eq!((outcome(&world), world.inner().reports.len()), (Confirmed, 1));
        let world = ends(Way::Switch, &[In(Report, After, how)]);
        assert_eq!(outcome(&world), Confirmed);
        let [first, second] = world.inner().reports.clone().try_into().expect("two reports");
        assert_eq!(first, second, "the same, so that the control plane can tell");
    }
}

#[test]
fn c24_going_back_is_gone_on_with() {
    for when in [Before, Half, After] {
        for how in [Killed, PowerCut, Fails, TimerFires, KilledAndGuarded] {
            let sick = [In(Prove, After, Fails), In(Revert, when, how)];
            assert_eq!(by_switch(&sick), RolledBack, "{when:?} {how:?}");
        }
    }
}

#[test]
fn c26_what_is_to_be_booted_once_is_chosen_again_and_the_machine_rebooted_once() {
    for (doing, when) in [(Stage, Half), (Stage, After), (Reboot, Before)] {
        let world = ends(Way::Reboot(vec![Reason::Kernel]), &[In(doing, when, Killed)]);
        assert_eq!(outcome(&world), Confirmed, "{doing:?} {when:?}");
        assert_eq!(world.inner().machine.reboots, 1, "{doing:?} {when:?}");
    }
    // The power did what was to be done; or it boots the old system, where nothing was chosen.
    assert_eq!(by_reboot(&[In(Stage, After, PowerCut)]), Confirmed);
    assert_eq!(by_reboot(&[In(Reboot, Before, PowerCut)]), Confirmed);
    assert_eq!(by_reboot(&[In(Stage, Half, PowerCut)]), RolledBack);
}

#[test]
fn a_way_back_that_is_cut_before_the_choice_is_taken_back_is_gone_on_with_in_that_boot() {
    for how in [PowerCut, KilledAndGuarded] {
        let dooms =
            [In(Stage, After, Fails), In(Revert, Before, PowerCut), In(Revert, Before, how)];
        assert_eq!(by_reboot(&dooms), RolledBack, "{how:?}");
    }
}

#[test]
fn c28_a_boot_that_is_cut_off_before_the_commit_has_failed() {
    assert_eq!(by_reboot(&[In(Prove, Half, Killed)]), Confirmed);
    assert_eq!(by_reboot(&[In(Prove, Half, PowerCut)]), RolledBack);
    assert_eq!(by_reboot(&[In(Disarm, After, PowerCut)]), RolledBack);
}

#[test]
fn c31_where_the_timer_fires_while_the_agent_is_at_work_one_of_both_acts() {
    for doing in [Fetch, Unpack, Build, Arm, Try, Prove, Disarm, Commit, Report] {
        for when in [Before, Half, After] {
            let world = ends(Way::Switch, &[In(doing, when, TimerFires)]);
            // Where it was armed and found the trial, the agent is overtaken.
            let is_overtaken = [Arm, Try, Prove].contains(&doing);
            let expected = if is_overtaken { RolledBack } else { Confirmed };
            assert_eq!(outcome(&world), expected, "{doing:?} {when:?}");
        }
    }
}

#[test]
fn c32_t117_a_clock_that_jumps_a_day_changes_no_outcome() {
    let world = World::new(Way::Switch, false, 7);
    world.inner().jump = Duration::from_secs(86_400);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(world.live_to_the_end());
    assert_eq!(outcome(&world), Confirmed);
}
