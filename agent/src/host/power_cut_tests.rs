//! The promise of an activation, with the real loop, the real guard and the real journal,
//! over a disk that loses what was not synced. Only the machine is played.
//!
//! The power fails before any step of the disk, before and after any effect, and again
//! while that is recovered from; the agent is killed; the dead man's timer fires while the
//! agent is away and while it is at work. The journal must never be lost, the machine must
//! end where the last report says, and what was gone back from never runs again.

use floe_proto::report::Outcome;
use proptest::prelude::*;

use super::doom::{Doom, How, When};
use super::power_cut_world::World;
use crate::activation::played::{new, old};
use crate::activation::reboot::Reason;
use crate::activation::state::Way;

/// Lives through `dooms`, and then undisturbed to the end; checks the end.
async fn endure(world: &World, dooms: &[Doom]) {
    for doom in dooms {
        world.doom(&[*doom]);
        if world.live().await {
            break;
        }
    }
    world.doom(&[]);
    world.live_to_the_end().await;
    let inner = world.inner();
    let is = [&inner.machine.running, &inner.machine.profile, &inner.machine.default];
    let last = inner.reports.last().expect("a report");
    match last.outcome {
        Outcome::Confirmed => assert_eq!(is, [&new(), &new(), &new()], "{dooms:?}"),
        Outcome::Failed | Outcome::RolledBack => {
            assert_eq!(is, [&old(), &old(), &old()], "{dooms:?}: {last:?}");
        }
        Outcome::Superseded | Outcome::Quarantined => panic!("{dooms:?}: {last:?}"),
    }
    assert!(!inner.machine.armed && !inner.machine.chosen, "{dooms:?}: {:?}", inner.machine);
}

fn run(way: Way, panics: bool, chance: u32, dooms: &[Doom]) -> World {
    let world = World::new(way, panics, chance);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(endure(&world, dooms));
    world
}

fn ways() -> [Way; 2] {
    [Way::Switch, Way::Reboot(vec![Reason::Kernel])]
}

#[test]
fn t097_the_power_fails_before_each_step_of_the_disk_and_again_before_each_step_after_that() {
    for way in ways() {
        for first in 0..140 {
            run(way.clone(), false, first + 1, &[Doom::AtStep(first)]);
            for second in 0..12 {
                let dooms = [Doom::AtStep(first), Doom::AtStep(second)];
                run(way.clone(), false, first * 7 + second, &dooms);
            }
        }
    }
}

#[test]
fn t097_each_effect_is_cut_before_in_its_midst_and_after_it() {
    let hows = [How::Killed, How::PowerCut, How::Fails, How::TimerFires, How::KilledAndGuarded];
    for way in ways() {
        for number in 1..=12 {
            for when in [When::Before, When::Half, When::After] {
                for how in hows {
                    for second in hows {
                        let dooms = [
                            Doom::AtEffect { number, when, how },
                            Doom::AtEffect { number: 1, when, how: second },
                        ];
                        run(way.clone(), false, number, &dooms);
                    }
                }
            }
        }
    }
}

fn any_doom() -> impl Strategy<Value = Doom> {
    let when = prop_oneof![Just(When::Before), Just(When::Half), Just(When::After)];
    let how = prop_oneof![
        2 => Just(How::Killed),
        3 => Just(How::PowerCut),
        1 => Just(How::Fails),
        2 => Just(How::TimerFires),
        2 => Just(How::KilledAndGuarded),
    ];
    prop_oneof![
        (0..120u32).prop_map(Doom::AtStep),
        (1..12u32, when, how).prop_map(|(number, when, how)| Doom::AtEffect { number, when, how }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn t101_crash_upon_crash_the_machine_ends_where_it_says(
        by_reboot in any::<bool>(),
        panics in any::<bool>(),
        chance in any::<u32>(),
        dooms in prop::collection::vec(any_doom(), 0..6),
    ) {
        let [switch, reboot] = ways();
        run(if by_reboot { reboot } else { switch }, panics, chance, &dooms);
    }
}
