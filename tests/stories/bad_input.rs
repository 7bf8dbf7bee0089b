//! Something is wrong before anything has begun: a clear error, and no change.

use std::fs;

use floe_tests::repository::Repository;
use floe_tests::script;
use floe_tests::world::World;
use tokio::process::Command;

use crate::{MAIL, WWW, version};

#[tokio::test]
async fn a_control_plane_that_does_not_answer_is_named() {
    let mut world = World::without_hosts().await;
    world.control.kill().await;

    let finished = world.push(WWW).await.ended_with(1);

    finished.said("https://10.77.0.1:7443").said("floe serve");
}

#[tokio::test]
async fn an_unreadable_key_stops_before_anything_is_uploaded() {
    let world = World::without_hosts().await;
    let key = world.repository.path().join("keys/release.pem");
    fs::write(&key, "no key").unwrap();

    let finished = world.push(WWW).await.ended_with(1);

    finished.said("keys/release.pem");
    world.nothing_is_published(WWW).await;
}

#[tokio::test]
async fn a_foreign_key_is_refused_before_anything_is_uploaded() {
    let world = World::without_hosts().await;
    let foreign = Repository::create(world.path(), "foreign").await;
    let key = "keys/release.pem";
    fs::copy(foreign.path().join(key), world.repository.path().join(key)).unwrap();

    let finished = world.push(WWW).await.ended_with(3);

    finished.said("trust.json");
    world.nothing_is_published(WWW).await;
}

#[tokio::test]
async fn a_corrupt_or_truncated_bundle_does_not_verify() {
    let world = World::without_hosts().await;
    let out = world.path().join("out");
    let build = [
        "bundle",
        "build",
        WWW,
        "--serial",
        "1",
        "--out",
        out.to_str().unwrap(),
        "--output",
        "json",
    ];
    let built = world.operator().floe(&build).await.succeeded().json();
    let manifest = built["manifest"].as_str().unwrap().to_owned();
    let payload = built["payload"].as_str().unwrap().to_owned();
    let verify = ["bundle", "verify", manifest.as_str()];
    world.operator().floe(&verify).await.succeeded();

    let good = fs::read(&payload).unwrap();
    fs::write(&payload, &good[..good.len() / 2]).unwrap();
    world.operator().floe(&verify).await.ended_with(3).said("were signed");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    fs::write(&payload, &flipped).unwrap();
    world.operator().floe(&verify).await.ended_with(3).said("digest");
}

#[tokio::test]
async fn the_same_tree_makes_the_same_bundle() {
    let world = World::without_hosts().await;
    let digest = async || {
        let out = tempfile::tempdir().unwrap();
        let place = out.path().to_str().unwrap();
        let build = ["bundle", "build", WWW, "--serial", "1", "--out", place, "--output", "json"];
        let built = world.operator().floe(&build).await.succeeded().json();
        built["digest"].as_str().unwrap().to_owned()
    };
    let first = digest().await;
    let touch = format!("find {} -exec touch {{}} +", world.repository.path().display());
    script::run(Command::new("sh").args(["-c", &touch])).await;

    assert_eq!(digest().await, first);

    world.repository.change(WWW, &version(9));
    assert_ne!(digest().await, first);
}

#[tokio::test]
async fn a_pin_that_cannot_be_had_fails_the_build_and_says_where_it_was_looked_for() {
    let world = World::of(&[(MAIL, 1)]).await;
    let before = world.hosts[0].state().await;
    let lock = world.repository.path().join("floe.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let nowhere = "url = \"http://127.0.0.1:9/nixpkgs.tar.gz\"\nsha256 = \
                   \"0000000000000000000000000000000000000000000000000000\"";
    fs::write(&lock, text.replace("path = \"pins/nixpkgs\"", nowhere)).unwrap();

    let rollout = world.push(MAIL).await.ended_with(1).rollout();

    let host = &rollout.hosts()[0];
    assert_eq!(host.state(), "failed");
    assert!(host.reason().contains("http://127.0.0.1:9/nixpkgs.tar.gz"), "{}", host.reason());
    assert_eq!(world.hosts[0].state().await, before);
    fs::write(&lock, text).unwrap();
    world.push(MAIL).await.succeeded();
}

#[tokio::test]
async fn a_host_without_nix_says_so_and_stays_as_it_is() {
    let world = World::of(&[(MAIL, 1)]).await;
    let host = &world.hosts[0];
    let before = host.state().await;
    // Not deleted: the world's own tools need it again.
    host.shell("mv /usr/bin/nix-build /usr/bin/nix-build.away").await;

    let rollout = world.push(MAIL).await.ended_with(1).rollout();

    assert_eq!(rollout.hosts()[0].state(), "failed");
    assert!(rollout.hosts()[0].reason().contains("nix-build"), "{}", rollout.hosts()[0].reason());
    assert_eq!(host.state().await, before);
    host.shell("mv /usr/bin/nix-build.away /usr/bin/nix-build").await;
}

#[tokio::test]
async fn t102_a_disk_that_is_full_while_unpacking_leaves_nothing_behind() {
    let world = World::of(&[(MAIL, 1)]).await;
    let host = &world.hosts[0];
    let before = host.state().await;
    let full = "mkdir -p /var/lib/floe/activation \
                && mount -t tmpfs -o size=64k tmpfs /var/lib/floe/activation";
    host.shell(full).await;

    let rollout = world.push(MAIL).await.ended_with(1).rollout();

    assert_eq!(rollout.hosts()[0].state(), "failed");
    assert_eq!(host.state().await, before);
    assert!(!host.holds("find /var/lib/floe -name '*.partial' | grep -q .").await);
    host.shell("umount /var/lib/floe/activation").await;
    // Something else, since the same manifest is not tried in a loop.
    world.push(MAIL).await.succeeded();
}

#[tokio::test]
async fn a_port_in_use_and_a_newer_data_directory_are_named() {
    let world = World::without_hosts().await;
    let other = world.path().join("other");
    let other = other.to_str().unwrap();

    let serve = [
        "serve",
        "--data",
        other,
        "--listen",
        "10.77.0.1:7443",
        "--objects-listen",
        "10.77.0.1:7555",
    ];
    world.operator().floe(&serve).await.ended_with(1).said("10.77.0.1:7443");

    fs::write(world.path().join("other/version"), "99\n").unwrap();
    let serve = [
        "serve",
        "--data",
        other,
        "--listen",
        "10.77.0.1:7553",
        "--objects-listen",
        "10.77.0.1:7554",
    ];
    world.operator().floe(&serve).await.ended_with(1).said("newer");
}
