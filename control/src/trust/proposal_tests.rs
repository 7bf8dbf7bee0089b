//! Ceremonies of several key holders.

use super::super::testing::key;
use super::*;

fn at(year: u32) -> Timestamp {
    format!("{year}-01-01T00:00:00Z").parse().unwrap()
}

fn public(numbers: &[u8]) -> Vec<PublicKey> {
    numbers.iter().map(|number| key(*number).public()).collect()
}

fn id(number: u8) -> KeyId {
    key(number).public().id()
}

/// Two of the root keys 1, 2, 3; one release key, 4.
fn first() -> Proposal {
    let fleet = "fossable.org".parse().unwrap();
    Proposal::first(fleet, (&public(&[1, 2, 3]), 2), (&public(&[4]), 1), at(2100)).unwrap()
}

fn sign(proposal: &mut Proposal, signers: &[u8]) {
    let message = proposal.envelope.message();
    for number in signers {
        let key = key(*number);
        proposal.envelope.attach(&key.public(), key.sign(&message)).unwrap();
    }
}

fn current() -> Verified<Root> {
    let mut first = first();
    sign(&mut first, &[1, 3]);
    first.finish(None).unwrap()
}

#[test]
fn the_first_version_is_believed_once_its_own_threshold_has_signed() {
    let mut first = first();
    sign(&mut first, &[1]);
    assert!(first.finish(None).is_err());
    let [own] = &first.requirements(None)[..] else { panic!("there is one version") };
    assert_eq!((own.missing(), &own.signed, &own.may), (1, &vec![id(1)], &vec![id(2), id(3)]));
    sign(&mut first, &[3]);
    assert_eq!(first.finish(None).unwrap().version, 1);
}

#[test]
fn t014_pieces_of_both_versions_holders_make_a_successor() {
    let current = current();
    let mut drawn = Proposal::after(&current, at(2101)).unwrap();
    drawn.change(Change::AddKey(key(5).public(), KeyRole::Root)).unwrap();
    drawn.change(Change::RemoveKey(id(1), None)).unwrap();
    drawn.change(Change::SetThreshold(KeyRole::Root, 3)).unwrap();

    let mut ours = Proposal::parse(&drawn.to_bytes().unwrap()).unwrap();
    sign(&mut ours, &[2, 3]);
    // The old threshold alone is not enough, and neither is a piece of the new one.
    assert!(ours.finish(Some(&current)).is_err());
    let missing: Vec<_> =
        ours.requirements(Some(&current)).iter().map(Requirement::missing).collect();
    assert_eq!(missing, [0, 1]);
    let mut theirs = drawn.clone();
    sign(&mut theirs, &[5]);
    assert!(theirs.finish(Some(&current)).is_err());
    ours.merge(&theirs).unwrap();
    let next = ours.finish(Some(&current)).unwrap();
    assert_eq!((next.version, next.root.threshold, next.keys.len()), (2, 3, 4));
}

#[test]
fn a_change_takes_the_signatures_away() {
    let current = current();
    let mut drawn = Proposal::after(&current, at(2101)).unwrap();
    sign(&mut drawn, &[1, 2]);
    let signed = drawn.clone();
    drawn.change(Change::RaiseEpoch).unwrap();
    assert!(drawn.requirements(Some(&current)).iter().all(|of| of.signed.is_empty()));
    assert!(matches!(drawn.merge(&signed), Err(Error::Envelope(envelope::Error::OtherPayload))));
}

#[test]
fn t012_what_cannot_be_signed_or_changes_nothing_is_not_drawn_up() {
    let mut drawn = first();
    let before = drawn.clone();
    for change in [
        Change::AddKey(key(4).public(), KeyRole::Release),
        Change::RemoveKey(id(9), None),
        Change::RemoveKey(id(4), Some(KeyRole::Root)),
        // One release key is left, and one must sign.
        Change::RemoveKey(id(4), Some(KeyRole::Release)),
        Change::SetThreshold(KeyRole::Root, 0),
        Change::SetThreshold(KeyRole::Root, 4),
    ] {
        assert!(drawn.change(change.clone()).is_err(), "{change:?}");
        assert_eq!(drawn, before, "{change:?}");
    }
    let many: Vec<u8> = (10..20).collect();
    let fleet = "fossable.org".parse().unwrap();
    let refused = Proposal::first(fleet, (&public(&many), 9), (&public(&[4]), 1), at(2100));
    assert!(matches!(refused, Err(Error::Threshold { threshold: 9, .. })));
}

#[test]
fn a_key_of_both_roles_leaves_one_and_stays_in_the_other() {
    let mut drawn = first();
    drawn.change(Change::AddKey(key(1).public(), KeyRole::Release)).unwrap();
    drawn.change(Change::RemoveKey(id(1), Some(KeyRole::Root))).unwrap();
    assert!(drawn.root().keys.contains(&key(1).public()));
    drawn.change(Change::RemoveKey(id(1), None)).unwrap();
    assert!(!drawn.root().keys.contains(&key(1).public()));
}

#[test]
fn what_a_proposal_changes_is_said() {
    let current = current();
    let mut drawn = Proposal::after(&current, at(2101)).unwrap();
    drawn.change(Change::AddKey(key(5).public(), KeyRole::Release)).unwrap();
    drawn.change(Change::RemoveKey(id(4), None)).unwrap();
    drawn.change(Change::SetThreshold(KeyRole::Root, 1)).unwrap();
    drawn.change(Change::RaiseEpoch).unwrap();
    assert_eq!(
        differences(&current, drawn.root()),
        [
            "1 instead of 2 keys must sign as root".to_owned(),
            format!("{} signs as release no more", id(4)),
            format!("{} signs as release", id(5)),
            "epoch 1 instead of 0: nothing that was pushed before is believed any more".into(),
            "good until 2101-01-01T00:00:00Z instead of 2100-01-01T00:00:00Z".into(),
        ]
    );
}

#[test]
fn a_proposal_for_another_version_or_fleet_is_told_apart() {
    let (current, fleet) = (current(), "fossable.org".parse().unwrap());
    let drawn = Proposal::after(&current, at(2101)).unwrap();
    drawn.follows(&fleet, Some(&current)).unwrap();
    first().follows(&fleet, None).unwrap();
    assert!(matches!(first().follows(&fleet, Some(&current)), Err(Error::NotTheNext { .. })));
    let other = "example.org".parse().unwrap();
    assert!(matches!(drawn.follows(&other, Some(&current)), Err(Error::OtherFleet { .. })));
}
