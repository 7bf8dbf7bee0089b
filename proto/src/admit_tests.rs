//! What a host may run, and what it remembers of it.

use super::*;
use crate::envelope::Envelope;
use crate::manifest::{self, tests::full};
use crate::root::{self, tests};
use crate::verify;

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn verified(change: impl FnOnce(&mut Manifest)) -> Verified<Manifest> {
    let mut manifest = full();
    change(&mut manifest);
    let mut trust = tests::root(1, &[2]);
    (trust.epoch, trust.fleet) = (manifest.epoch, manifest.fleet.clone());
    let trust = Envelope::sign(root::TYPE, &trust.to_bytes().unwrap(), &[&tests::key(1)]).unwrap();
    let signed = Envelope::sign(manifest::TYPE, &manifest.to_bytes().unwrap(), &[&tests::key(2)]);
    let trust = verify::pinned_root(&trust).unwrap();
    verify::manifest(&signed.unwrap(), &trust, manifest.created).unwrap()
}

fn host() -> Host {
    Host {
        fleet: "fossable.org".parse().unwrap(),
        role: "www.fossable.org".parse().unwrap(),
        system: "aarch64-linux".into(),
        agent: AgentVersion::new(0, 1, 0),
    }
}

fn confirmed(serial: u64, epoch: u32) -> Floors {
    let mark = verified(|m| {
        (m.serial, m.floor) = (serial.try_into().unwrap(), Serial::FIRST);
        m.epoch = Epoch::new(epoch);
    });
    Floors::default().confirmed(Mark::of(&mark))
}

fn admits(manifest: &Verified<Manifest>, floors: &Floors) -> Result<(), Error> {
    admit(manifest, &host(), floors, now())
}

#[test]
fn a_fresh_host_runs_what_is_meant_for_it() {
    assert_eq!(admits(&verified(|_| ()), &Floors::default()), Ok(()));
}

#[test]
fn t022_t039_what_is_meant_for_somebody_else_is_refused() {
    let none = Floors::default();
    let role = verified(|m| m.role = "mail.fossable.org".parse().unwrap());
    assert!(matches!(admits(&role, &none), Err(Error::Role { .. })));
    let fleet = verified(|m| m.fleet = "example.org".parse().unwrap());
    assert!(matches!(admits(&fleet, &none), Err(Error::Fleet { .. })));
    let system = verified(|m| m.system = "x86_64-linux".into());
    assert!(matches!(admits(&system, &none), Err(Error::System { .. })));
    let agent = verified(|m| m.min_agent = AgentVersion::new(0, 2, 0));
    assert!(matches!(admits(&agent, &none), Err(Error::AgentTooOld { .. })));
}

#[test]
fn t024_order_is_epoch_then_serial() {
    let old_epoch = verified(|m| m.serial = 900.try_into().unwrap());
    assert!(matches!(admits(&old_epoch, &confirmed(7, 1)), Err(Error::BelowConfirmed { .. })));
    let new_epoch = verified(|m| {
        (m.serial, m.floor, m.epoch) = (Serial::FIRST, Serial::FIRST, Epoch::new(2));
    });
    assert_eq!(admits(&new_epoch, &confirmed(900, 1)), Ok(()));
}

#[test]
fn t025_a_serial_may_not_jump() {
    let far = verified(|m| m.serial = (42 + MAX_JUMP + 1).try_into().unwrap());
    assert!(matches!(admits(&far, &confirmed(42, 0)), Err(Error::Jump { .. })));
    let near = verified(|m| m.serial = (42 + MAX_JUMP).try_into().unwrap());
    assert_eq!(admits(&near, &confirmed(42, 0)), Ok(()));
}

#[test]
fn t027_nothing_goes_below_what_was_confirmed_or_signed_as_floor() {
    let older = verified(|_| ());
    assert!(matches!(admits(&older, &confirmed(43, 0)), Err(Error::BelowConfirmed { .. })));
    let newer = verified(|m| {
        (m.serial, m.floor) = (60.try_into().unwrap(), 50.try_into().unwrap());
    });
    let raised = Floors::default().seen(&newer, now());
    assert!(matches!(admits(&older, &raised), Err(Error::BelowFloor { .. })));
}

#[test]
fn one_serial_has_one_manifest() {
    let same = verified(|_| ());
    let floors = Floors::default().confirmed(Mark::of(&same));
    assert_eq!(admits(&same, &floors), Ok(()));
    let twin = verified(|m| m.source.dirty = true);
    assert_eq!(admits(&twin, &floors), Err(Error::Equivocation { serial: 42.try_into().unwrap() }));
}

#[test]
fn t036_a_clock_that_runs_behind_is_not_believed() {
    let newer = verified(|m| {
        m.created = "2027-03-01T00:00:00Z".parse().unwrap();
        m.expires = "2027-06-01T00:00:00Z".parse().unwrap();
    });
    let floors = Floors::default().seen(&newer, newer.created);
    assert!(matches!(admits(&verified(|_| ()), &floors), Err(Error::Expired { .. })));
    let future = verified(|m| m.created = "2026-11-23T00:05:01Z".parse().unwrap());
    assert!(matches!(admits(&future, &Floors::default()), Err(Error::FromTheFuture { .. })));
}

/// Each is a little ahead, and none carries the host further than its clock goes.
#[test]
fn t037_no_number_of_manifests_takes_a_host_to_another_year() {
    let (mut floors, clock) = (Floors::default(), now());
    let mut admitted = 0;
    for ahead in 0..100 {
        let next = verified(|m| m.created = clock.after(MAX_AHEAD * ahead));
        if admits(&next, &floors).is_ok() {
            (floors, admitted) = (floors.seen(&next, clock), admitted + 1);
        }
    }
    assert_eq!((floors.newest_signed, admitted), (Some(clock), 2));
    // Nor one that is believed because the clock was ahead for a while.
    let ahead = clock.after(MAX_AHEAD * 1000);
    let floors = floors.seen(&verified(|_| ()), ahead);
    assert_eq!(floors.newest_signed, Some(clock));
}

#[test]
fn floors_never_fall() {
    let floors = confirmed(43, 0);
    assert_eq!(floors.clone().confirmed(Mark::of(&verified(|_| ()))), floors);

    let raised = Floors::default().seen(&verified(|_| ()), now());
    let confirmed = floors.confirmed;
    for both in [floors.clone().merged(raised.clone()), raised.clone().merged(floors)] {
        assert_eq!(both, Floors { confirmed, ..raised.clone() });
    }
}

#[test]
fn what_a_newer_agent_remembers_besides_costs_nothing_that_is_known() {
    let floors = confirmed(43, 0).seen(&verified(|_| ()), now());
    let mut written = serde_json::to_value(&floors).unwrap();
    written["confirmed"]["signer"] = "a newer agent's".into();
    written["admitted"] = written["confirmed"].clone();
    assert_eq!(serde_json::from_value::<Floors>(written).unwrap(), floors);
}
