//! What is on the disk, whole or not at all.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::Authority;

/// Gives the key that waits a certificate; the key.
fn save(store: &Store, host: &str) -> KeyPair {
    let (key, host) = (store.key().unwrap(), host.parse().unwrap());
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let leaf = Authority::new().sign(request.der(), &host);
    store.save(&host, &[leaf.into()]).unwrap();
    key
}

#[test]
fn a_key_is_made_once_and_is_for_root_alone() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    let first = store.key().unwrap().serialize_der();
    assert_eq!(store.key().unwrap().serialize_der(), first);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.path().join("identity")), 0o700);
    assert_eq!(mode(&state.path().join("identity").join(KEY)), 0o600);
}

#[test]
fn without_a_certificate_there_is_no_identity() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    assert!(store.load().unwrap().is_none());
    store.key().unwrap();
    assert!(store.load().unwrap().is_none());
    save(&store, "local-a");
    let enrolled = store.load().unwrap().unwrap();
    assert_eq!(enrolled.host.as_str(), "local-a");
}

#[test]
fn t079_what_a_copied_disk_brought_along_is_put_aside_without_its_key() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    let (original, copy): (HostId, HostId) =
        ("i-0000000000000000a".parse().unwrap(), "i-0000000000000000b".parse().unwrap());
    assert_eq!(store.belong_to(&original).unwrap(), None);
    let key = save(&store, original.as_str()).serialize_der();
    assert_eq!(store.belong_to(&original).unwrap(), None);
    assert!(store.load().unwrap().is_some(), "its own identity stays");

    assert_eq!(store.belong_to(&copy).unwrap().as_deref(), Some(original.as_str()));
    assert!(store.load().unwrap().is_none());
    assert_ne!(store.key().unwrap().serialize_der(), key);
    let stray = state.path().join("identity.stray");
    assert!(stray.join(CERTIFICATE).exists());
    assert!(!stray.join(KEY).exists());

    // A power cut between putting aside and destroying.
    fs::write(stray.join(KEY), "key").unwrap();
    store.belong_to(&copy).unwrap();
    assert!(!stray.join(KEY).exists());
}

#[test]
fn t079_a_key_that_waited_for_another_instance_is_not_used_either() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    store.belong_to(&"i-0000000000000000a".parse().unwrap()).unwrap();
    let key = store.key().unwrap().serialize_der();
    store.belong_to(&"i-0000000000000000b".parse().unwrap()).unwrap();
    assert_ne!(store.key().unwrap().serialize_der(), key);
}

#[test]
fn a_name_that_a_token_gave_is_kept() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    save(&store, "local-www");
    store.belong_to(&"i-0000000000000000b".parse().unwrap()).unwrap();
    assert_eq!(store.load().unwrap().unwrap().host.as_str(), "local-www");
}

#[test]
fn what_a_crash_left_behind_does_not_stand_in_the_way() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    fs::create_dir(state.path().join("identity")).unwrap();
    fs::write(state.path().join("identity/.key.der.new"), "half a k").unwrap();
    let key = store.key().unwrap().serialize_der();
    assert_eq!(store.key().unwrap().serialize_der(), key);
}

fn shown(store: &Store) -> Vec<u8> {
    store.load().unwrap().unwrap().key().unwrap().serialize_der()
}

#[test]
fn t080_a_renewed_identity_has_a_key_of_its_own() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    let first = save(&store, "local-a").serialize_der();
    let next = store.key().unwrap().serialize_der();
    assert_ne!(next, first);
    assert_eq!(store.key().unwrap().serialize_der(), next, "a lost reply: the same again");
    assert_eq!(shown(&store), first, "until there is a certificate");
    assert_eq!(save(&store, "local-a").serialize_der(), next);
    assert_eq!(shown(&store), next);
    assert_ne!(store.key().unwrap().serialize_der(), next, "and so on");
    store.forget_next().unwrap();
    assert_eq!(shown(&store), next);
}

#[test]
fn a_power_cut_leaves_the_old_identity_or_the_new_one() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    let file = |name: &str| state.path().join("identity").join(name);
    let old = save(&store, "local-a").serialize_der();
    let next = save(&store, "local-a").serialize_der();
    // Between the certificate and the key's new place.
    fs::rename(file(KEY), file(NEXT_KEY)).unwrap();
    fs::write(file(KEY), &old).unwrap();
    assert_eq!(shown(&store), next);
    let third = store.key().unwrap().serialize_der();
    assert!(third != old && third != next, "the key in use is not asked for again");
    assert_eq!(shown(&store), next);
}

#[test]
fn a_key_that_is_damaged_while_it_waits_costs_nothing() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    for name in [KEY, NEXT_KEY] {
        store.key().unwrap();
        fs::write(state.path().join("identity").join(name), "damaged").unwrap();
        assert_eq!(store.load().unwrap().is_some(), name == NEXT_KEY);
        let next = save(&store, "local-a").serialize_der();
        assert_eq!(shown(&store), next, "{name}");
    }
}

#[test]
fn evidence_does_not_give_way_to_a_key_that_waited() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::new(state.path());
    save(&store, "i-0000000000000000a");
    for instance in ["i-0000000000000000b", "i-0000000000000000c"] {
        store.belong_to(&instance.parse().unwrap()).unwrap();
        store.key().unwrap();
        assert!(state.path().join("identity.stray").join(CERTIFICATE).exists(), "{instance}");
    }
}
