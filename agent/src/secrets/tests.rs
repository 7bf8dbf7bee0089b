//! What comes, what stays, and what is refused, on a real tmpfs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use floe_proto::id::{Epoch, Serial};
use floe_proto::sealed::{self, Recipient, SealingKey, Who};
use floe_proto::secret::{Secret, SecretSet, Units, Value};
use zeroize::Zeroizing;

use super::*;
use crate::testing::trust::{changed_root, root, secrets as signed};

struct World {
    state: tempfile::TempDir,
    memory: tempfile::TempDir,
    trust: watch::Sender<Believed>,
}

fn fleet() -> Fleet {
    "fossable.org".parse().unwrap()
}

fn www() -> Role {
    "www".parse().unwrap()
}

fn host() -> HostId {
    "local-www-1".parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-28T09:00:00Z".parse().unwrap()
}

fn secret(name: &str, value: &str) -> Secret {
    Secret {
        name: name.parse().unwrap(),
        value: Value::new(Zeroizing::new(value.as_bytes().to_vec())),
        owner: named("/etc/passwd", rustix::process::getuid().as_raw()),
        group: named("/etc/group", rustix::process::getgid().as_raw()),
        mode: "0440".parse().unwrap(),
        units: Units { restart: vec![format!("{name}.service")], reload: vec![] },
    }
}

/// Nobody but root gives files to others.
fn named(file: &str, number: u32) -> String {
    let text = fs::read_to_string(file).unwrap();
    let is_it = |line: &&str| line.split(':').nth(2) == Some(&number.to_string());
    let line = text.lines().find(is_it).unwrap();
    line.split(':').next().unwrap().to_owned()
}

fn set(serial: u64, secrets: &[(&str, &str)]) -> SecretSet {
    SecretSet {
        schema: 1,
        fleet: fleet(),
        role: www(),
        epoch: Epoch::default(),
        serial: serial.try_into().unwrap(),
        created: now(),
        secrets: secrets.iter().map(|(name, value)| secret(name, value)).collect(),
    }
}

impl World {
    fn new() -> Self {
        let believed =
            |root: &[u8]| Believed { root: verify::pinned_root(root).unwrap(), at_least: 1 };
        Self {
            state: tempfile::tempdir().unwrap(),
            memory: tempfile::tempdir_in("/dev/shm").unwrap(),
            trust: watch::Sender::new(believed(&root(1, &[1], &[2], &[1]))),
        }
    }

    fn at(&self) -> Where {
        Where {
            state: self.state.path().to_owned(),
            place: self.memory.path().join("secrets"),
            untold: self.memory.path().join("untold.json"),
            instance: self.state.path().join("board_asset_tag"),
        }
    }

    fn secrets(&self) -> Secrets {
        let secrets = Secrets::new(self.at(), fleet(), www(), self.trust.subscribe(), now);
        secrets.belong_to(&host());
        secrets
    }

    fn key(&self) -> SealingKey {
        SealingKey::try_from(self.secrets().greeting().0.as_slice()).unwrap()
    }

    fn sealed(&self, envelope: &[u8]) -> Vec<u8> {
        let (fleet, role, host) = (fleet(), www(), host());
        let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&host) };
        sealed::seal(envelope, &self.key(), to).unwrap()
    }

    /// Offers what release key 2 signed; what is wrong with it.
    fn offer(&self, set: &SecretSet) -> String {
        self.offer_of(set, 2)
    }

    fn offer_of(&self, set: &SecretSet, key: u8) -> String {
        self.secrets().offer(&self.sealed(&signed(set, key))).problem
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at().place.join(name)).ok()
    }

    fn serial(&self) -> Option<Serial> {
        self.secrets().held().map(|held| held.serial)
    }

    /// Memory is empty.
    fn reboot(&self) {
        fs::remove_dir_all(self.at().place).unwrap();
        let _ = fs::remove_file(self.at().untold);
    }
}

#[test]
fn secrets_are_placed_closed_to_others_and_come_back_after_a_reboot_without_anybody() {
    let world = World::new();
    assert_eq!(place_kept(&world.at(), &fleet(), &www()).unwrap(), None);
    assert_eq!(world.offer(&set(3, &[("password", "hunter2")])), "");
    let file = world.at().place.join("password");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o440);
    let directory = fs::metadata(world.at().place).unwrap().permissions();
    assert_eq!(directory.mode() & 0o777, 0o751, "nobody can list it");

    world.reboot();
    let held = place_kept(&world.at(), &fleet(), &www()).unwrap().unwrap();
    assert_eq!(held.serial.get(), 3);
    assert_eq!(world.file("password").unwrap(), "hunter2");
}

#[test]
fn no_value_is_ever_on_the_disk() {
    let world = World::new();
    assert_eq!(world.offer(&set(1, &[("password", "hunter2")])), "");
    let disk = |name: &str| fs::read(world.state.path().join(name)).unwrap();
    let encoded = data_encoding::BASE64.encode(b"hunter2");
    for file in ["secrets/kept.json", "identity/sealing.key"] {
        let text = String::from_utf8_lossy(&disk(file)).into_owned();
        assert!(!text.contains("hunter2") && !text.contains(&encoded), "{file}");
        let mode = fs::metadata(world.state.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn what_is_not_in_a_set_any_more_is_gone_and_only_what_changed_is_told() {
    let world = World::new();
    let told = || {
        let next = || told::next(&world.at().untold).unwrap().map(|(_, unit)| unit);
        std::iter::from_fn(next).collect::<Vec<_>>()
    };
    assert_eq!(world.offer(&set(1, &[("a", "1"), ("b", "2"), ("c", "3")])), "");
    assert_eq!(told(), ["a.service", "b.service", "c.service"]);
    assert_eq!(told(), [""; 0]);

    assert_eq!(world.offer(&set(2, &[("a", "1"), ("b", "9")])), "");
    assert_eq!(told(), ["b.service"]);
    assert_eq!((world.file("b").as_deref(), world.file("c")), (Some("9"), None));
    let names: Vec<_> = fs::read_dir(world.at().place).unwrap().flatten().collect();
    assert_eq!(names.len(), 2, "nothing else is left there: {names:?}");
}

#[test]
fn what_nobody_signed_who_may_is_refused_and_changes_nothing() {
    let world = World::new();
    assert_eq!(world.offer(&set(5, &[("a", "good")])), "");
    let good = set(6, &[("a", "bad")]);
    let other_fleet = SecretSet { fleet: "example.org".parse().unwrap(), ..good.clone() };
    let other_role = SecretSet { role: "db".parse().unwrap(), ..good.clone() };
    let other_epoch = SecretSet { epoch: Epoch::new(1), ..good.clone() };
    for (problem, expected) in [
        (world.offer_of(&good, 9), "release keys signed this"),
        (world.offer_of(&good, 1), "release keys signed this"),
        (world.offer(&other_fleet), "for the fleet `example.org`"),
        (world.offer(&other_role), "of the role `db`"),
        (world.offer(&other_epoch), "under epoch 1"),
        (world.offer(&set(4, &[("a", "bad")])), "serial 4 came; this host has serial 5"),
        (world.offer(&set(5, &[("a", "bad")])), "signed twice"),
        (world.offer(&set(10_006, &[("a", "bad")])), "more than 10000 above 5"),
        (world.secrets().offer(b"\x01junk").problem, "cannot be opened here"),
    ] {
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(world.file("a").unwrap(), "good");
        assert_eq!(world.serial().unwrap().get(), 5);
    }
    assert_eq!(world.offer(&set(5, &[("a", "good")])), "", "the same again is no news");
    assert_eq!(world.offer(&good), "", "a good one that follows is taken");
}

#[test]
fn what_was_sealed_to_another_host_or_taken_from_it_does_not_open() {
    let (world, other) = (World::new(), World::new());
    let envelope = signed(&set(1, &[("a", "1")]), 2);
    let to_other = other.sealed(&envelope);
    assert!(world.secrets().offer(&to_other).problem.contains("another key"));
    // The key of a host alone opens nothing that was sealed to it under another name.
    let (fleet, role, name) = (fleet(), www(), "local-www-2".parse().unwrap());
    let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&name) };
    let misnamed = sealed::seal(&envelope, &world.key(), to).unwrap();
    assert!(world.secrets().offer(&misnamed).problem.contains("another key or recipient"));
    assert_eq!(world.file("a"), None);
}

#[test]
fn no_expiry_takes_away_what_a_host_has() {
    let world = World::new();
    assert_eq!(world.offer(&set(1, &[("a", "1")])), "");
    let over = changed_root(2, &[1], &[3], &[1], |root| {
        root.expires = "2026-01-01T00:00:00Z".parse().unwrap();
    });
    let over = verify::pinned_root(&over).unwrap();
    world.trust.send_replace(Believed { root: over, at_least: 2 });
    assert!(world.offer_of(&set(2, &[("a", "2")]), 3).contains("expired"));
    world.reboot();
    place_kept(&world.at(), &fleet(), &www()).unwrap();
    assert_eq!(world.file("a").unwrap(), "1");

    world.trust.send_modify(|believed| believed.at_least = 3);
    assert!(world.offer(&set(2, &[("a", "2")])).contains("is damaged on its disk"));
}

#[test]
fn what_the_disk_lost_comes_again() {
    let world = World::new();
    assert_eq!(world.offer(&set(2, &[("a", "1")])), "");
    let kept = world.state.path().join("secrets/kept.json");
    fs::write(&kept, "rot").unwrap();
    assert!(place_kept(&world.at(), &fleet(), &www()).is_err());
    assert_eq!(world.secrets().greeting().1, None, "so that the control plane sends them");
    assert_eq!(world.offer(&set(2, &[("a", "1")])), "");

    // Another key, as on a disk that was copied to another host.
    fs::remove_file(world.state.path().join("identity/sealing.key")).unwrap();
    let before = world.key();
    assert!(place_kept(&world.at(), &fleet(), &www()).is_err());
    assert_eq!(world.key(), before, "a key stays once it is made");
    assert_eq!(world.secrets().greeting().1, None, "what it cannot open it does not have");
    assert!(world.secrets().standing().unwrap().problem.contains("cannot be opened"));
    assert_eq!(world.offer(&set(2, &[("a", "1")])), "");
    assert_eq!(world.secrets().standing().unwrap().problem, "");
}

#[test]
fn a_host_of_another_role_begins_anew() {
    let world = World::new();
    assert_eq!(world.offer(&set(40, &[("a", "1")])), "");
    let db: Role = "db".parse().unwrap();
    let secrets = Secrets::new(world.at(), fleet(), db.clone(), world.trust.subscribe(), now);
    secrets.belong_to(&host());
    assert_eq!(secrets.greeting().1, None);
    let (fleet, host) = (fleet(), host());
    let to = Recipient { fleet: &fleet, role: &db, who: Who::Host(&host) };
    let theirs = SecretSet { role: db.clone(), ..set(3, &[("b", "2")]) };
    let sealed = sealed::seal(&signed(&theirs, 2), &world.key(), to).unwrap();
    assert_eq!(secrets.offer(&sealed).problem, "");
    assert_eq!((world.file("a"), world.file("b").as_deref()), (None, Some("2")));
}

#[test]
fn another_who_writes_there_is_put_right_and_a_link_is_not_followed() {
    let world = World::new();
    let one = set(1, &[("a", "1")]);
    assert_eq!(world.offer(&one), "");
    let file = world.at().place.join("a");
    let elsewhere = world.memory.path().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    place_kept(&world.at(), &fleet(), &www()).unwrap();
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");

    let moved: &Path = &world.memory.path().join("moved");
    fs::rename(world.at().place, moved).unwrap();
    std::os::unix::fs::symlink(moved, world.at().place).unwrap();
    assert!(place_kept(&world.at(), &fleet(), &www()).is_err(), "nor is one in the way");
}

#[test]
fn a_disk_that_was_copied_from_another_instance_gives_its_secrets_to_nobody() {
    let world = World::new();
    let (ours, theirs): (HostId, HostId) =
        ("i-0123456789abcdef0".parse().unwrap(), "i-0fedcba9876543210".parse().unwrap());
    let secrets = world.secrets();
    secrets.belong_to(&ours);
    let (fleet, role) = (fleet(), www());
    let to = Recipient { fleet: &fleet, role: &role, who: Who::Host(&ours) };
    let sealed = sealed::seal(&signed(&set(1, &[("a", "1")]), 2), &world.key(), to).unwrap();
    assert_eq!(secrets.offer(&sealed).problem, "");
    let says = |id: &HostId| fs::write(world.at().instance, format!("{id}\n")).unwrap();
    says(&ours);
    world.reboot();
    place_kept(&world.at(), &fleet, &role).unwrap();
    says(&theirs);
    world.reboot();
    let refused = place_kept(&world.at(), &fleet, &role);
    assert!(matches!(refused, Err(Error::OtherMachine { .. })));
    assert_eq!(world.file("a"), None);
    // A machine that says nothing of the kind is not kept from its own.
    fs::write(world.at().instance, "Standard PC").unwrap();
    place_kept(&world.at(), &fleet, &role).unwrap();
    assert_eq!(world.file("a").unwrap(), "1");
}
