//! Which number is next, and what may be gone back to.

use floe_proto::digest::Digest;
use floe_proto::key::SecretKey;
use floe_proto::manifest;
use floe_proto::root::{self, Signers};

use super::super::state::tests::older;
use super::*;

fn role() -> Role {
    "www".parse().unwrap()
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn trust(release: u8, epoch: u32) -> Verified<Root> {
    let signers = |number| Signers { threshold: 1, keys: vec![key(number).public().id()] };
    let root = Root {
        schema: root::SCHEMA,
        fleet: "fossable.org".parse().unwrap(),
        version: 1,
        epoch: Epoch::new(epoch),
        expires: "2027-11-22T00:00:00Z".parse().unwrap(),
        keys: vec![key(1).public(), key(release).public()],
        root: signers(1),
        release: signers(release),
    };
    let signed = Envelope::sign(root::TYPE, &root.to_bytes().unwrap(), &[&key(1)]).unwrap();
    verify::pinned_root(&signed).unwrap()
}

/// Serial and payload of a manifest that key 2 signed.
fn signed(serial: u64, payload: &str) -> Vec<u8> {
    published(serial, payload, |_| ())
}

fn published(serial: u64, payload: &str, change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let mut manifest = older();
    (manifest.serial, manifest.floor) = (serial.try_into().unwrap(), Serial::FIRST);
    manifest.payload.sha256 = Digest::of(payload.as_bytes());
    change(&mut manifest);
    Envelope::sign(manifest::TYPE, &manifest.to_bytes().unwrap(), &[&key(2)]).unwrap()
}

fn entry(envelope: &[u8]) -> Entry {
    read(envelope, &role(), &trust(2, 0), &[]).unwrap()
}

fn serial(number: u64) -> Serial {
    number.try_into().unwrap()
}

/// What `--revert` takes of `entries`, newest first.
fn reverted(entries: &[Entry], asked: Option<u64>) -> Result<u64, Error> {
    revert(&role(), entries, asked.map(serial)).map(|found| found.serial.get())
}

#[test]
fn t156_going_back_twice_and_back_from_going_back_are_what_was_asked() {
    let mut entries = vec![entry(&signed(2, "B")), entry(&signed(1, "A"))];
    let push = |entries: &mut Vec<Entry>, asked: Option<u64>| {
        let next = next_serial(&role(), entries.first(), Epoch::new(0)).unwrap();
        let payload = revert(&role(), entries, asked.map(serial)).unwrap().payload;
        let again = published(next.get(), "", |manifest| manifest.payload = payload);
        entries.insert(0, entry(&again));
        (next.get(), payload.sha256)
    };
    let (a, b) = (Digest::of(b"A"), Digest::of(b"B"));
    assert_eq!(push(&mut entries, None), (3, a));
    // Back from going back: what ran before that.
    assert_eq!(push(&mut entries, None), (4, b));
    assert_eq!(push(&mut entries, Some(1)), (5, a));
    assert_eq!(push(&mut entries, Some(3)), (6, a));
    // A renewal has the same payload, and is nothing to go back to.
    assert_eq!(push(&mut entries, None), (7, b));
}

#[test]
fn what_is_not_there_is_not_gone_back_to() {
    assert_eq!(reverted(&[], None), Err(Error::Nothing { role: role() }));
    let only = [entry(&signed(1, "A"))];
    assert!(matches!(reverted(&only, None), Err(Error::NoOther { .. })));
    assert!(matches!(reverted(&only, Some(1)), Err(Error::IsNewest { .. })));
    assert!(matches!(reverted(&only, Some(7)), Err(Error::NoOther { .. })));
}

#[test]
fn t027_what_a_floor_forbids_is_not_signed_again_and_the_floor_stays() {
    let raised = published(5, "E", |manifest| manifest.floor = serial(4));
    let entries = [&raised, &signed(4, "D"), &signed(3, "C")].map(|envelope| entry(envelope));
    assert_eq!(reverted(&entries, None), Ok(4));
    assert!(matches!(reverted(&entries, Some(3)), Err(Error::BelowFloor { .. })));
    let floor =
        |asked: Option<u64>| next_floor(entries.first(), Epoch::new(0), asked.map(serial)).get();
    assert_eq!([floor(None), floor(Some(2)), floor(Some(6))], [4, 4, 6]);
    // Serials and floors begin anew in the next epoch.
    assert_eq!(next_floor(entries.first(), Epoch::new(1), None), Serial::FIRST);
    assert_eq!(next_serial(&role(), entries.first(), Epoch::new(1)), Ok(Serial::FIRST));
}

#[test]
fn what_a_withdrawn_key_signed_counts_as_a_number_and_not_as_a_payload() {
    let (now, before) = (trust(3, 0), [trust(2, 0)]);
    let entry = |number, payload| read(&signed(number, payload), &role(), &now, &before).unwrap();
    let entries = [entry(2, "B"), entry(1, "A")];
    assert_eq!(next_serial(&role(), entries.first(), Epoch::new(0)), Ok(serial(3)));
    for refused in [reverted(&entries, None), reverted(&entries, Some(1))] {
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Error::Withdrawn { .. }) && refused.is_refusal(), "{refused}");
    }
    assert!(matches!(renew(&role(), &entries), Err(Error::Withdrawn { .. })));
}

#[test]
fn t022_what_nobody_of_ours_signed_for_this_role_is_not_listened_to() {
    let stranger = read(&signed(9000, "X"), &role(), &trust(3, 0), &[]);
    assert!(matches!(stranger, Err(Error::Unbelieved { .. })));
    let other = read(&signed(1, "A"), &"mail".parse().unwrap(), &trust(2, 0), &[]).unwrap_err();
    assert!(other.to_string().contains("it is for the role `www`"), "{other}");
}

#[test]
fn what_expired_can_be_renewed() {
    let expired = published(3, "C", |manifest| {
        manifest.created = "2020-01-01T00:00:00Z".parse().unwrap();
        manifest.expires = "2020-02-01T00:00:00Z".parse().unwrap();
    });
    assert_eq!(renew(&role(), &[entry(&expired)]).unwrap().serial, serial(3));
}
