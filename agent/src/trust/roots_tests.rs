//! The walk from one trust root to the next, and what the disk remembers of it.

use std::fs;

use super::*;
use crate::testing::trust::{changed_root, root};

fn fleet() -> Fleet {
    "fossable.org".parse().unwrap()
}

/// Version `number`; root key 1 signs all of them, the release key is the number.
fn version(number: u8) -> Vec<u8> {
    root(number.into(), &[1], &[number + 100], &[1])
}

struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn start(&self, pinned: &[u8]) -> Result<Roots, Error> {
        Roots::begin(self.0.path(), &fleet(), pinned)
    }

    fn file(&self, version: u32) -> PathBuf {
        self.0.path().join("trust").join(format!("{version}.json"))
    }
}

fn is_refused(result: &Result<u32, Error>) -> bool {
    matches!(result, Err(Error::Refused(_)))
}

#[test]
fn t013_the_walk_takes_one_step_after_the_other() {
    let host = Host::new();
    let roots = host.start(&version(1)).unwrap();
    assert!(is_refused(&roots.offer(&version(3))), "a version is missing");
    assert!(is_refused(&roots.offer(&version(1))), "no step");
    assert_eq!(roots.offer(&version(2)).unwrap(), 2);
    assert_eq!(roots.offer(&version(3)).unwrap(), 3);
    assert!(is_refused(&roots.offer(&version(2))), "a step back");
    assert_eq!(roots.believed().borrow().root.version, 3);
}

#[test]
fn t016_what_is_refused_leaves_no_trace_and_the_next_good_one_is_taken() {
    let host = Host::new();
    let roots = host.start(&version(1)).unwrap();
    let believed = roots.believed();
    let by_a_stranger = root(2, &[1], &[102], &[9]);
    for bad in [by_a_stranger.as_slice(), b"no envelope", &version(7)] {
        assert!(is_refused(&roots.offer(bad)));
        assert!(!believed.has_changed().unwrap());
        assert!(!host.file(2).exists());
    }
    assert_eq!(roots.offer(&version(2)).unwrap(), 2);
}

#[test]
fn t016_a_restart_goes_on_from_the_newest_and_never_back() {
    let host = Host::new();
    for number in 2..=5 {
        let roots = host.start(&version(1)).unwrap();
        roots.offer(&version(number)).unwrap();
    }
    assert_eq!(host.start(&version(1)).unwrap().version(), 5);
    assert_eq!(look(host.0.path(), &fleet(), &version(1)).unwrap().root.version, 5);
    assert!(!host.file(3).exists(), "the disk does not fill up");
}

#[test]
fn t017_an_expired_root_still_leads_to_the_next() {
    let host = Host::new();
    let expired = changed_root(1, &[1], &[2], &[1], |root| {
        root.expires = "2020-01-01T00:00:00Z".parse().unwrap();
    });
    assert_eq!(host.start(&expired).unwrap().offer(&version(2)).unwrap(), 2);
}

#[test]
fn t014_the_root_key_may_change_if_both_sign() {
    let host = Host::new();
    let roots = host.start(&version(1)).unwrap();
    assert!(is_refused(&roots.offer(&root(2, &[5], &[2], &[5]))));
    assert!(is_refused(&roots.offer(&root(2, &[5], &[2], &[1]))));
    assert_eq!(roots.offer(&root(2, &[5], &[2], &[1, 5])).unwrap(), 2);
    assert!(is_refused(&roots.offer(&version(3))), "key 1 is no root key any more");
    drop(roots);
    assert_eq!(host.start(&version(1)).unwrap().version(), 2);
}

#[test]
fn the_image_begins_the_walk_or_is_one_step_of_it() {
    let host = Host::new();
    assert_eq!(host.start(&version(2)).unwrap().version(), 2);
    assert_eq!(host.start(&version(1)).unwrap().version(), 2, "an older image");
    assert_eq!(host.start(&version(3)).unwrap().version(), 3, "the next one");
    assert_eq!(host.start(&version(2)).unwrap().version(), 3, "and it stays");
    assert_eq!(host.start(&version(5)).unwrap().version(), 3, "one is missing between");
    assert_eq!(host.start(&root(4, &[9], &[9], &[9])).unwrap().version(), 3, "not signed by us");
}

#[test]
fn what_the_disk_lost_is_not_forgotten() {
    let host = Host::new();
    let roots = host.start(&version(1)).unwrap();
    for number in 2..=3 {
        roots.offer(&version(number)).unwrap();
    }
    for (damaged, readable) in [(3, 2), (2, 1)] {
        fs::write(host.file(damaged), "rot").unwrap();
        let found = look(host.0.path(), &fleet(), &version(1)).unwrap();
        assert_eq!((found.root.version, found.at_least), (readable, 3));
    }
    // It walks again, and is whole where it was.
    let roots = host.start(&version(1)).unwrap();
    roots.offer(&version(2)).unwrap();
    assert_eq!(roots.believed().borrow().at_least, 3);
    roots.offer(&version(3)).unwrap();
    assert_eq!(host.start(&version(1)).unwrap().version(), 3);
}

#[test]
fn t016_a_file_is_believed_for_the_version_that_it_is_named_after_only() {
    let host = Host::new();
    host.start(&version(1)).unwrap().offer(&version(2)).unwrap();
    fs::write(host.file(9), version(1)).unwrap();
    let found = look(host.0.path(), &fleet(), &version(1)).unwrap();
    assert_eq!((found.root.version, found.at_least), (2, 9));
}

#[test]
fn what_the_disk_does_not_take_is_not_in_force() {
    let host = Host::new();
    let roots = host.start(&version(1)).unwrap();
    fs::remove_dir_all(host.0.path().join("trust")).unwrap();
    fs::write(host.0.path().join("trust"), "in the way").unwrap();
    assert!(matches!(roots.offer(&version(2)), Err(Error::Unwritten { .. })));
    assert_eq!(roots.version(), 1);
}

#[test]
fn t021_a_trust_root_of_another_fleet_is_refused_wherever_it_lies() {
    let other: Fleet = "example.org".parse().unwrap();
    let theirs = changed_root(2, &[1], &[2], &[1], |root| root.fleet = other.clone());
    let host = Host::new();
    assert!(matches!(host.start(&theirs), Err(Error::OtherFleet { .. })));
    let roots = host.start(&version(1)).unwrap();
    assert!(is_refused(&roots.offer(&theirs)));
    let elsewhere = Roots::begin(host.0.path(), &other, &theirs);
    assert!(matches!(elsewhere, Err(Error::OtherFleet { .. })), "what is stored is ours");
}
