//! What `step` promises: a sentence a test, then the promises as properties.

use floe_proto::digest::Digest;
use floe_proto::id::{Epoch, Serial};
use floe_proto::report::Phase;
use proptest::prelude::*;

use super::super::state::{Confirmed, Report, Word};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1);

fn release(serial: u64) -> Release {
    Release {
        role: "www".parse().unwrap(),
        epoch: Epoch::default(),
        serial: serial.try_into().unwrap(),
        manifest: Digest::of(&serial.to_be_bytes()),
        payload: Digest::of(b"payload"),
    }
}

fn host(number: usize) -> HostId {
    format!("local-www-{number}").parse().unwrap()
}

fn rollout(hosts: usize) -> Rollout {
    Rollout::new("r-1".parse().unwrap(), release(5), (1..=hosts).map(host), NOW)
}

fn present(hosts: impl IntoIterator<Item = usize>) -> Present {
    hosts.into_iter().map(|number| (host(number), Word::default())).collect()
}

fn confirmed(epoch: Epoch, serial: Serial, manifest: Digest) -> Word {
    let confirmed = Some(Confirmed { epoch, serial, manifest, reverted: false });
    Word { confirmed, ..Word::default() }
}

fn ended(outcome: Outcome, reason: &str) -> Said {
    Said::Ended(Report {
        about: Some(release(5).order()),
        manifest: Some(release(5).manifest),
        outcome,
        reason: reason.to_owned(),
        running: String::new(),
        unchanged: false,
        build_ms: 7,
    })
}

fn enters(phase: Phase) -> Said {
    Said::Entered { about: release(5).order(), phase, detail: String::new() }
}

fn says(rollout: &mut Rollout, number: usize, said: &Said) {
    rollout.hear(&host(number), said);
}

fn standing(rollout: &Rollout, number: usize) -> Standing {
    rollout.hosts[&host(number)].standing
}

#[test]
fn the_canary_is_the_first_host_that_is_connected_and_the_rest_waits_for_it() {
    let mut rollout = rollout(3);
    let here = present([2, 3]);
    assert_eq!(rollout.advance(&here, NOW), [host(2)]);
    assert_eq!(rollout.reasons, ["waiting for the canary `local-www-2` (told, nothing heard yet)"]);
    assert_eq!(rollout.advance(&here, NOW), []);

    says(&mut rollout, 2, &ended(Outcome::Confirmed, ""));
    assert_eq!(rollout.advance(&here, NOW), [host(3)]);
    assert_eq!(standing(&rollout, 1), Standing::Offline);

    says(&mut rollout, 3, &ended(Outcome::Confirmed, ""));
    assert_eq!(rollout.advance(&here, NOW), []);
    assert_eq!(rollout.state, State::Done);
    assert_eq!(rollout.reasons, ["`local-www-1` is not connected; gets it when it returns"]);
    assert_eq!(rollout.ended, Some(NOW));

    assert_eq!(rollout.advance(&present([1, 2, 3]), NOW), [host(1)], "it returned");
    assert_eq!(rollout.state, State::Done);
    assert!(rollout.is_pending(&host(1)));
}

#[test]
fn a_canary_that_goes_back_stops_it_and_the_rest_is_named_as_untouched() {
    let mut rollout = rollout(3);
    let here = present(1..=3);
    rollout.advance(&here, NOW);
    says(&mut rollout, 1, &ended(Outcome::RolledBack, "nginx.service failed"));
    assert_eq!(rollout.advance(&here, NOW), []);
    assert_eq!((rollout.state, rollout.ended), (State::Stopped, Some(NOW)));
    assert_eq!(
        rollout.reasons,
        [
            "`local-www-1` went back to what it ran before: nginx.service failed",
            "`local-www-2`, `local-www-3` were not touched: the rollout stopped first",
        ]
    );
    assert_eq!(standing(&rollout, 2), Standing::Untouched);
}

#[test]
fn what_is_withdrawn_goes_to_nobody_and_ends_when_those_at_work_have() {
    let mut rollout = rollout(3);
    let here = present(1..=3);
    rollout.advance(&here, NOW);
    says(&mut rollout, 1, &ended(Outcome::Confirmed, ""));
    rollout.advance(&here, NOW);
    says(&mut rollout, 2, &enters(Phase::Building));
    rollout.withdraw("nobody believes it".into());
    assert_eq!(rollout.advance(&present(1..=4), NOW), []);
    assert_eq!((rollout.state, rollout.ended), (State::Stopped, None));
    assert_eq!(rollout.reasons[0], "nobody believes it");
    assert!(rollout.reasons[1].starts_with("`local-www-3` was not touched"));
    assert!(!(1..=4).any(|number| rollout.is_pending(&host(number))));
    assert_eq!(standing(&rollout, 3), Standing::Untouched);
    says(&mut rollout, 3, &ended(Outcome::Confirmed, ""));
    says(&mut rollout, 2, &ended(Outcome::RolledBack, "x"));
    assert_eq!(rollout.advance(&here, NOW), []);
    assert_eq!(rollout.ended, Some(NOW));
    assert_eq!(standing(&rollout, 3), Standing::Ended(Outcome::Confirmed));
}

#[test]
fn a_stopped_rollout_ends_when_those_at_work_have() {
    let mut rollout = rollout(3);
    let here = present(1..=3);
    rollout.advance(&here, NOW);
    says(&mut rollout, 1, &ended(Outcome::Confirmed, ""));
    assert_eq!(rollout.advance(&here, NOW), [host(2), host(3)]);
    says(&mut rollout, 2, &ended(Outcome::Failed, "disk full"));
    rollout.advance(&here, NOW);
    assert_eq!((rollout.state, rollout.ended), (State::Stopped, None));
    assert!(rollout.is_pending(&host(3)), "it was told before the stop");

    says(&mut rollout, 3, &ended(Outcome::Confirmed, ""));
    rollout.advance(&here, NOW);
    assert_eq!((rollout.state, rollout.ended), (State::Stopped, Some(NOW)));
}

#[test]
fn nobody_connected_is_said_and_waited_for() {
    let mut rollout = rollout(1);
    assert_eq!(rollout.advance(&Present::new(), NOW), []);
    assert_eq!(rollout.state, State::Running);
    assert_eq!(
        rollout.reasons,
        [
            "no host of role `www` is connected",
            "`local-www-1` is not connected; gets it when it returns"
        ]
    );
    assert_eq!(rollout.advance(&present([1]), NOW), [host(1)]);
}

#[test]
fn a_role_without_hosts_waits_for_the_first() {
    let mut rollout = rollout(0);
    rollout.advance(&Present::new(), NOW);
    assert_eq!(rollout.reasons, ["no host of role `www` is enrolled yet"]);
    rollout.join(&host(1));
    assert_eq!(rollout.advance(&present([1]), NOW), [host(1)]);
}

#[test]
fn a_canary_that_disconnects_is_waited_for_and_not_replaced() {
    let mut rollout = rollout(2);
    rollout.advance(&present([1, 2]), NOW);
    says(&mut rollout, 1, &enters(Phase::Probation));
    assert_eq!(rollout.advance(&present([2]), NOW), []);
    assert_eq!(
        rollout.reasons,
        ["waiting for the canary `local-www-1` (probation, not connected)"]
    );
}

#[test]
fn who_has_confirmed_it_already_is_not_told() {
    let mut rollout = rollout(2);
    let Release { epoch, serial, manifest, .. } = release(5);
    let mut here = present([1, 2]);
    here.insert(host(1), confirmed(epoch, serial, manifest));
    assert_eq!(rollout.advance(&here, NOW), [host(2)]);
    assert!(rollout.hosts[&host(1)].unchanged);
}

#[test]
fn who_has_confirmed_more_stops_it_before_anybody_is_touched() {
    let mut rollout = rollout(2);
    let Release { epoch, serial, manifest, .. } = release(6);
    let mut here = present([1, 2]);
    here.insert(host(2), confirmed(epoch, serial, manifest));
    assert_eq!(rollout.advance(&here, NOW), []);
    assert_eq!(rollout.state, State::Stopped);
    assert!(rollout.reasons[0].contains("has confirmed serial 6 already"), "{:?}", rollout.reasons);
}

#[test]
fn a_confirmation_of_another_manifest_under_the_serial_is_none() {
    let mut rollout = rollout(2);
    rollout.advance(&present([1, 2]), NOW);
    let Said::Ended(mut report) = ended(Outcome::Confirmed, "") else { unreachable!() };
    report.manifest = Some(Digest::of(b"forged"));
    says(&mut rollout, 1, &Said::Ended(report));
    rollout.advance(&present([1, 2]), NOW);
    assert_eq!(rollout.state, State::Stopped);
}

#[test]
fn a_host_that_did_not_believe_the_manifest_has_failed_what_it_was_told() {
    let mut rollout = rollout(2);
    rollout.advance(&present([1, 2]), NOW);
    let Said::Ended(mut report) = ended(Outcome::Failed, "not signed by a release key") else {
        unreachable!()
    };
    (report.about, report.manifest) = (None, None);
    says(&mut rollout, 2, &Said::Ended(report.clone()));
    assert_eq!(standing(&rollout, 2), Standing::Untouched, "it was told nothing");
    says(&mut rollout, 1, &Said::Ended(report));
    rollout.advance(&present([1, 2]), NOW);
    assert_eq!(rollout.state, State::Stopped);
}

#[test]
fn a_newer_rollout_supersedes_and_ends_it() {
    let mut rollout = rollout(2);
    rollout.advance(&present([1, 2]), NOW);
    rollout.supersede(&"r-2".parse().unwrap(), NOW);
    says(&mut rollout, 1, &ended(Outcome::Confirmed, ""));
    assert_eq!(rollout.advance(&present([1, 2]), NOW), []);
    assert_eq!((rollout.state, rollout.ended), (State::Superseded, Some(NOW)));
    assert!(!rollout.is_pending(&host(1)));
}

/// What may happen while a rollout runs.
#[derive(Clone, Debug)]
enum Event {
    Connects(usize),
    Disconnects(usize),
    Enters(usize, Phase),
    /// The host ends the way that it always does; may come at any time, and twice.
    Ends(usize),
    Joins(usize),
}

const HOSTS: usize = 6;

fn any_event() -> impl Strategy<Value = Event> {
    let number = 1..=HOSTS;
    prop_oneof![
        number.clone().prop_map(Event::Connects),
        number.clone().prop_map(Event::Disconnects),
        (number.clone(), prop::sample::select(Phase::ALL.to_vec()))
            .prop_map(|(number, phase)| Event::Enters(number, phase)),
        number.clone().prop_map(Event::Ends),
        number.prop_map(Event::Joins),
    ]
}

/// A rollout with the hosts' fates, which only those who were told meet.
struct World {
    rollout: Rollout,
    here: Present,
    fates: Vec<Outcome>,
    told: Vec<HostId>,
}

impl World {
    fn new(fates: Vec<Outcome>) -> Self {
        Self { rollout: rollout(4), here: Present::new(), fates, told: Vec::new() }
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Connects(number) => {
                self.here.entry(host(*number)).or_default();
            }
            Event::Disconnects(number) => {
                self.here.remove(&host(*number));
            }
            Event::Enters(number, phase) => {
                if self.told.contains(&host(*number)) {
                    says(&mut self.rollout, *number, &enters(*phase));
                }
            }
            Event::Ends(number) => {
                if self.told.contains(&host(*number)) {
                    let said = ended(self.fates[number - 1], "x");
                    says(&mut self.rollout, *number, &said);
                }
            }
            Event::Joins(number) => self.rollout.join(&host(*number)),
        }
        let told = self.rollout.advance(&self.here, NOW);
        self.told.extend(told);
    }

    fn canary_confirmed(&self) -> bool {
        self.told.first().is_some_and(|canary| {
            self.rollout.hosts[canary].standing == Standing::Ended(Outcome::Confirmed)
        })
    }
}

fn any_fates() -> impl Strategy<Value = Vec<Outcome>> {
    let fate = prop_oneof![
        6 => Just(Outcome::Confirmed),
        1 => prop::sample::select(Outcome::ALL.to_vec()),
    ];
    prop::collection::vec(fate, HOSTS)
}

proptest! {
    #[test]
    fn one_host_before_it_confirmed_and_nobody_after_a_stop(
        fates in any_fates(),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut world = World::new(fates);
        for event in events {
            let (state, told) = (world.rollout.state, world.told.clone());
            world.happens(&event);
            prop_assert!(world.told.len() <= 1 || world.canary_confirmed());
            prop_assert!(state != State::Stopped || world.told == told);
            prop_assert!(state != State::Stopped || world.rollout.state == State::Stopped);
            let mut once = world.told.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), world.told.len(), "told twice");
            for (id, host) in &world.rollout.hosts {
                let touched = host.standing.is_at_work() || host.standing.has_ended();
                prop_assert_eq!(touched, world.told.contains(id));
            }
        }
    }

    #[test]
    fn when_all_are_connected_and_answer_it_ends_and_says_the_same(
        fates in any_fates(),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut world = World::new(fates);
        for event in events {
            world.happens(&event);
        }
        for _ in 0..3 {
            for number in 1..=HOSTS {
                world.happens(&Event::Connects(number));
                world.happens(&Event::Ends(number));
            }
        }
        let good = world.told.iter().all(|id| {
            world.rollout.hosts[id].standing == Standing::Ended(Outcome::Confirmed)
        });
        prop_assert!(world.rollout.ended.is_some());
        if good {
            prop_assert_eq!(world.rollout.state, State::Done);
            prop_assert_eq!(world.told.len(), world.rollout.hosts.len());
        } else {
            prop_assert_eq!(world.rollout.state, State::Stopped);
            prop_assert!(!world.rollout.reasons.is_empty());
        }
        // Stepping again, and hearing everything again, changes nothing.
        let before = world.rollout.clone();
        for number in 1..=HOSTS {
            world.happens(&Event::Ends(number));
            world.happens(&Event::Enters(number, Phase::Trying));
        }
        prop_assert_eq!(&world.rollout, &before);
    }

    #[test]
    fn the_order_of_the_good_reports_of_a_wave_is_irrelevant(
        order in Just((2..=4usize).collect::<Vec<_>>()).prop_shuffle(),
        twice in prop::collection::vec(1..=4usize, 0..6),
    ) {
        let mut world = World::new(vec![Outcome::Confirmed; HOSTS]);
        for number in 1..=4 {
            world.happens(&Event::Connects(number));
        }
        for number in [1].into_iter().chain(order).chain(twice) {
            world.happens(&Event::Ends(number));
        }
        let mut straight = World::new(vec![Outcome::Confirmed; HOSTS]);
        for number in 1..=4 {
            straight.happens(&Event::Connects(number));
        }
        for number in 1..=4 {
            straight.happens(&Event::Ends(number));
        }
        prop_assert_eq!(world.rollout, straight.rollout);
    }
}
