//! Which signed bytes become documents, and which do not (catalogue A).

use super::*;
use crate::key::SecretKey;
use crate::manifest::tests::full;
use crate::root::tests::{key, root};

const NOW: &str = "2026-11-23T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn pinned(threshold: u32, release: &[u8]) -> Verified<Root> {
    let bytes = root(threshold, release).to_bytes().unwrap();
    pinned_root(&Envelope::sign(root::TYPE, &bytes, &[&key(1)]).unwrap()).unwrap()
}

fn signed_by(keys: &[&SecretKey]) -> Vec<u8> {
    Envelope::sign(manifest::TYPE, &full().to_bytes().unwrap(), keys).unwrap()
}

#[test]
fn t001_a_manifest_signed_by_a_release_key_is_believed() {
    let manifest = manifest(&signed_by(&[&key(2)]), &pinned(1, &[2]), now()).unwrap();
    assert_eq!(*manifest, full());
    assert_eq!(manifest.digest(), Digest::of(&full().to_bytes().unwrap()));
}

#[test]
fn t002_no_single_bit_flip_is_believed() {
    let (root, good) = (pinned(1, &[2]), signed_by(&[&key(2)]));
    let honest = manifest(&good, &root, now()).unwrap();
    for at in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        // Flips of the key id, or of insignificant bytes, change nothing.
        if let Ok(manifest) = manifest(&flipped, &root, now()) {
            assert_eq!(manifest, honest, "bit {at}");
        }
    }
}

#[test]
fn t007_a_document_of_another_kind_is_not_a_manifest() {
    let as_root = Envelope::sign(root::TYPE, &full().to_bytes().unwrap(), &[&key(2)]).unwrap();
    let refused = manifest(&as_root, &pinned(1, &[2]), now());
    assert!(matches!(refused, Err(Error::OtherKind { .. })));
}

#[test]
fn t007_t009_a_preview_is_believed_as_one_and_by_enough_release_keys_only() {
    let (two, three, root) = (key(2), key(3), pinned(2, &[2, 3]));
    let sign = |kind, keys: &[&SecretKey]| {
        Envelope::sign(kind, &full().to_bytes().unwrap(), keys).unwrap()
    };
    let good = sign(preview::TYPE, &[&two, &three]);
    assert_eq!(**preview(&good, &root, now()).unwrap(), full());
    assert!(matches!(manifest(&good, &root, now()), Err(Error::OtherKind { .. })));
    let once = sign(preview::TYPE, &[&two, &two]);
    let refused = preview(&once, &root, now());
    assert!(matches!(refused, Err(Error::TooFewSignatures { .. })));
    let refused = preview(&sign(manifest::TYPE, &[&two, &three]), &root, now());
    assert!(matches!(refused, Err(Error::OtherKind { .. })));
    let over = full().expires;
    assert!(matches!(preview(&good, &root, over), Err(Error::Expired { .. })));
}

#[test]
fn t009_t010_a_threshold_counts_keys_not_signatures_and_not_ids() {
    let root = pinned(2, &[2, 3]);
    let (two, three, stranger) = (key(2), key(3), key(9));
    let refused = |keys: &[&SecretKey]| {
        matches!(manifest(&signed_by(keys), &root, now()), Err(Error::TooFewSignatures { .. }))
    };
    assert!(refused(&[]));
    assert!(refused(&[&two]));
    assert!(refused(&[&two, &two]));
    assert!(refused(&[&two, &stranger]));
    assert!(!refused(&[&two, &three]));

    let text = String::from_utf8(signed_by(&[&two, &three])).unwrap();
    let relabelled = text.replace(&two.public().id().to_string(), "whoever");
    assert!(manifest(relabelled.as_bytes(), &root, now()).is_ok());
    // One signature twice, and under another name (CVE-2026-6966); `sign` would not.
    let mut twice: serde_json::Value = serde_json::from_slice(&signed_by(&[&two])).unwrap();
    let mut again = twice["signatures"][0].clone();
    for name in [again["keyid"].clone(), "somebody else".into()] {
        again["keyid"] = name;
        twice["signatures"].as_array_mut().unwrap().push(again.clone());
        let refused = manifest(twice.to_string().as_bytes(), &root, now());
        assert!(matches!(refused, Err(Error::TooFewSignatures { found: 1, .. })));
    }
}

#[test]
fn t021_a_manifest_of_another_fleet_is_refused() {
    let mut other = full();
    other.fleet = "example.org".parse().unwrap();
    let signed = Envelope::sign(manifest::TYPE, &other.to_bytes().unwrap(), &[&key(2)]).unwrap();
    assert!(matches!(manifest(&signed, &pinned(1, &[2]), now()), Err(Error::OtherFleet { .. })));
}

#[test]
fn t025_only_the_trust_root_raises_the_epoch() {
    let mut later = full();
    later.epoch = Epoch::new(1);
    let signed = Envelope::sign(manifest::TYPE, &later.to_bytes().unwrap(), &[&key(2)]).unwrap();
    assert!(matches!(manifest(&signed, &pinned(1, &[2]), now()), Err(Error::OtherEpoch { .. })));
}

#[test]
fn t154_nothing_new_is_believed_after_the_end_of_manifest_or_root() {
    let (root, signed) = (pinned(1, &[2]), signed_by(&[&key(2)]));
    let at = |text: &str| manifest(&signed, &root, text.parse().unwrap());
    assert!(matches!(at("2027-02-20T20:28:00Z"), Err(Error::Expired { .. })));
    assert!(matches!(at("2027-11-22T00:00:00Z"), Err(Error::RootExpired { .. })));
}

/// A successor of `of` with these root keys and threshold, signed by `by`.
fn next(of: &Root, threshold: u32, roots: &[u8], by: &[u8]) -> Vec<u8> {
    let mut document = Root { version: of.version + 1, ..of.clone() };
    document.keys = of.release.keys.iter().map(|id| listed(of, *id)).collect();
    for number in roots {
        let public = key(*number).public();
        if !document.keys.contains(&public) {
            document.keys.push(public);
        }
    }
    document.root =
        Signers { threshold, keys: roots.iter().map(|n| key(*n).public().id()).collect() };
    by_keys(&document, by)
}

fn listed(root: &Root, id: crate::key::KeyId) -> PublicKey {
    *root.keys.iter().find(|key| key.id() == id).unwrap()
}

fn by_keys(root: &Root, by: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = by.iter().map(|number| key(*number)).collect();
    let keys: Vec<_> = keys.iter().collect();
    Envelope::sign(root::TYPE, &root.to_bytes().unwrap(), &keys).unwrap()
}

#[test]
fn t014_a_successor_needs_the_thresholds_of_both_root_roles() {
    let one = pinned(1, &[20]);
    let of_three = successor(&next(&one, 3, &[1, 2, 3, 4, 5], &[1, 2, 3]), &one).unwrap();
    assert_eq!(of_three.version, 2);
    // (threshold, root keys, signed by, believed), as in tuf-conformance.
    let cases: [(u32, &[u8], &[u8], bool); 9] = [
        (3, &[1, 2, 3, 4, 5], &[1, 2, 3], true),
        (3, &[1, 2, 3, 4, 5], &[1, 2], false),
        (3, &[1, 2, 3, 4, 5], &[1, 1, 1], false),
        (1, &[1], &[1, 2, 3], true),
        (1, &[1], &[1], false),
        (5, &[1, 2, 3, 4, 5], &[1, 2, 3], false),
        (3, &[5, 6, 7], &[1, 2, 3], false),
        (3, &[5, 6, 7], &[5, 6, 7], false),
        (3, &[5, 6, 7], &[1, 2, 5, 6, 7], true),
    ];
    for (threshold, roots, by, believed) in cases {
        let offered = successor(&next(&of_three, threshold, roots, by), &of_three);
        assert_eq!(offered.is_ok(), believed, "{threshold} of {roots:?} by {by:?}");
    }
}

#[test]
fn t013_only_the_very_next_version_follows() {
    let one = pinned(1, &[2]);
    for version in [1, 3, u32::MAX] {
        let other = by_keys(&Root { version, ..Root::clone(&one) }, &[1]);
        assert!(matches!(successor(&other, &one), Err(Error::NotTheNext { .. })), "{version}");
    }
}

#[test]
fn t021_t024_a_successor_is_of_the_same_fleet_and_no_earlier_epoch() {
    let two = Root { version: 2, ..root(1, &[2]) };
    let mut raised = root(1, &[2]);
    raised.epoch = Epoch::new(5);
    let one = pinned_root(&by_keys(&raised, &[1])).unwrap();
    let refused = successor(&by_keys(&two, &[1]), &one);
    assert!(matches!(refused, Err(Error::OtherEpoch { .. })));
    let foreign = Root { fleet: "example.org".parse().unwrap(), ..two.clone() };
    let refused = successor(&by_keys(&foreign, &[1]), &pinned(1, &[2]));
    assert!(matches!(refused, Err(Error::OtherFleet { .. })));
    let later = Root { epoch: Epoch::new(6), ..two };
    assert_eq!(successor(&by_keys(&later, &[1]), &one).unwrap().epoch, Epoch::new(6));
}

#[test]
fn t017_an_expired_root_still_names_its_successor() {
    let over = Root { expires: "2020-01-01T00:00:00Z".parse().unwrap(), ..root(1, &[2]) };
    let one = pinned_root(&by_keys(&over, &[1])).unwrap();
    let fresh = Root { version: 2, ..root(1, &[2]) };
    let two = successor(&by_keys(&fresh, &[1]), &one).unwrap();
    let signed = signed_by(&[&key(2)]);
    assert!(matches!(manifest(&signed, &one, now()), Err(Error::RootExpired { .. })));
    assert!(manifest(&signed, &two, now()).is_ok());
}

#[test]
fn a_release_key_that_a_successor_does_not_list_signs_nothing_more() {
    let (one, signed) = (pinned(1, &[2, 3]), signed_by(&[&key(2)]));
    assert!(manifest(&signed, &one, now()).is_ok());
    let without = Root { version: 2, ..root(1, &[3]) };
    let two = successor(&by_keys(&without, &[1]), &one).unwrap();
    assert!(matches!(manifest(&signed, &two, now()), Err(Error::TooFewSignatures { .. })));
}

#[test]
fn a_root_must_be_signed_by_its_own_root_keys() {
    let bytes = root(1, &[2]).to_bytes().unwrap();
    let by_release = Envelope::sign(root::TYPE, &bytes, &[&key(2)]).unwrap();
    assert!(matches!(pinned_root(&by_release), Err(Error::TooFewSignatures { .. })));
}

fn a_login(change: impl FnOnce(&mut Login), signer: u8) -> Vec<u8> {
    let mut login = Login {
        schema: login::SCHEMA,
        fleet: "fossable.org".parse().unwrap(),
        operator: "ada".into(),
        request: Digest::of(b"request"),
        created: LOGIN_TIME.parse().unwrap(),
    };
    change(&mut login);
    let key = SecretKey::from_seed(&[signer; 32]);
    Envelope::sign(login::TYPE, &login.to_bytes().unwrap(), &[&key]).unwrap()
}

const LOGIN_TIME: &str = "2026-11-22T20:28:00Z";

fn try_login(envelope: &[u8], seconds: i64) -> Result<Verified<Login>, Error> {
    let key = SecretKey::from_seed(&[9; 32]).public();
    let created: Timestamp = LOGIN_TIME.parse().unwrap();
    let now = Timestamp::from_micros(created.as_micros() + seconds * 1_000_000);
    login(envelope, &key, &"fossable.org".parse().unwrap(), b"request", now)
}

#[test]
fn t069_a_login_is_for_one_key_one_fleet_one_request_and_five_minutes() {
    let good = a_login(|_| {}, 9);
    for seconds in [-300, 0, 300] {
        assert_eq!(try_login(&good, seconds).unwrap().operator, "ada");
    }
    for seconds in [-301, 301] {
        let late = try_login(&good, seconds).unwrap_err();
        assert!(matches!(late, Error::NotOfNow { .. }), "{late}");
    }
    let refusal = |envelope: Vec<u8>| try_login(&envelope, 0).unwrap_err();
    assert!(matches!(refusal(a_login(|_| {}, 8)), Error::OtherLoginKey));
    let other_fleet = a_login(|login| login.fleet = "example.org".parse().unwrap(), 9);
    assert!(matches!(refusal(other_fleet), Error::OtherFleet { .. }));
    let other_request = a_login(|login| login.request = Digest::of(b"another"), 9);
    assert!(matches!(refusal(other_request), Error::OtherRequest));
}

#[test]
fn t007_a_login_is_signed_as_one_and_as_nothing_else() {
    let key = SecretKey::from_seed(&[9; 32]);
    let payload = Envelope::parse(&a_login(|_| {}, 9)).unwrap().into_payload();
    let as_manifest = Envelope::sign(manifest::TYPE, &payload, &[&key]).unwrap();
    assert!(matches!(try_login(&as_manifest, 0), Err(Error::OtherKind { .. })));
}

fn secret_set() -> SecretSet {
    SecretSet {
        schema: 1,
        fleet: full().fleet,
        role: full().role,
        epoch: full().epoch,
        serial: full().serial,
        created: full().created,
        secrets: Vec::new(),
    }
}

fn sign_secrets(set: &SecretSet, keys: &[&SecretKey]) -> Vec<u8> {
    Envelope::sign(secret::TYPE, &set.to_bytes().unwrap(), keys).unwrap()
}

#[test]
fn t007_t009_secrets_are_believed_as_secrets_and_by_enough_release_keys_only() {
    let root = pinned(2, &[2, 3]);
    let (two, three) = (key(2), key(3));
    let good = sign_secrets(&secret_set(), &[&two, &three]);
    assert_eq!(*secrets(&good, &root, now()).unwrap(), secret_set());
    let once = sign_secrets(&secret_set(), &[&two, &two]);
    assert!(matches!(secrets(&once, &root, now()), Err(Error::TooFewSignatures { .. })));
    let refused = manifest(&good, &root, now());
    assert!(matches!(refused, Err(Error::OtherKind { .. })), "no manifest");
    let as_manifest = signed_by(&[&two, &three]);
    assert!(matches!(secrets(&as_manifest, &root, now()), Err(Error::OtherKind { .. })));

    let elsewhere = SecretSet { fleet: "example.org".parse().unwrap(), ..secret_set() };
    let refused = secrets(&sign_secrets(&elsewhere, &[&two, &three]), &root, now());
    assert!(matches!(refused, Err(Error::OtherFleet { .. })));
    assert!(matches!(secrets(&good, &root, root.expires), Err(Error::RootExpired { .. })));
}

#[test]
fn kept_secrets_are_the_document_that_was_verified_and_no_other() {
    let root = pinned(1, &[2]);
    let good = sign_secrets(&secret_set(), &[&key(2)]);
    let digest = secrets(&good, &root, now()).unwrap().digest();
    assert_eq!(kept_secrets(&good, digest).unwrap().digest(), digest);
    let other = SecretSet { serial: full().serial.next().unwrap(), ..secret_set() };
    let refused = kept_secrets(&sign_secrets(&other, &[&key(2)]), digest);
    assert!(matches!(refused, Err(Error::OtherDocument)));
}
