//! The fleet's trust root changes, and hosts follow; forward only.

use std::fs;

use floe_tests::host::Host;
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{WWW, version};

/// Takes the release key that `floe init` made away and puts `keys/next.pem` in its
/// place: version 2 of the trust root.
async fn replace_the_release_key(world: &World) {
    let operator = world.operator();
    for line in [
        "keys new keys/next.pem --no-passphrase",
        "trust add-key keys/next.pem --role release",
        "trust remove-key keys/release.pem --role release",
        "trust sign --key keys/release.pem",
        "trust publish",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        operator.floe(&words).await.succeeded();
    }
}

/// Waits until `host` believes this version of the trust root, and keeps it.
async fn believes(host: &Host, version: u32) {
    eventually(&format!("{} to believe version {version}", host.name()), async || {
        let newest = host.shell("ls /var/lib/floe/trust | sort -n | tail -1").await;
        newest.trim().starts_with(&version.to_string()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_release_key_that_was_taken_away_is_believed_no_more_and_nobody_goes_back() {
    let mut world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    world.control.kill().await;
    let (data, kept) = (world.control.data(), world.path().join("kept"));
    copy(&data, &kept).await;
    fs::copy(world.repository.path().join("trust.json"), world.path().join("trust-1.json"))
        .unwrap();
    world.control.start_again().await;

    replace_the_release_key(&world).await;
    believes(&world.hosts[0], 2).await;

    // The operator's own tool, the control plane and the host go by the new version.
    world.repository.change(WWW, &version(2));
    world.push(WWW).await.ended_with(3);
    world.repository.edit("floe.toml", "keys/release.pem", "keys/next.pem");
    world.push(WWW).await.succeeded();
    let before = world.hosts[0].state().await;

    // Who owns the control plane forgets version 2, and has the old key.
    world.control.kill().await;
    fs::remove_dir_all(&data).unwrap();
    copy(&kept, &data).await;
    fs::copy(world.path().join("trust-1.json"), world.repository.path().join("trust.json"))
        .unwrap();
    world.repository.edit("floe.toml", "keys/next.pem", "keys/release.pem");
    world.control.start_again().await;
    world.await_online().await;
    // It counts anew from serial 2, which the host has confirmed already.
    world.repository.change(WWW, &version(666));
    world.push(WWW).await.ended_with(1).said("confirmed another manifest under serial 2");
    world.repository.change(WWW, &version(667));
    let rollout = world.push(WWW).await.ended_with(1).rollout();
    let result = rollout.host(&world.hosts[0].id());
    assert_eq!(result.state(), "failed");
    assert!(result.reason().contains("signed this"), "{}", result.reason());
    assert_eq!(world.hosts[0].state().await, before);

    // Also after a restart.
    world.hosts[0].shell("systemctl restart floe-agent").await;
    world.await_online().await;
    believes(&world.hosts[0], 2).await;
}

async fn copy(from: &std::path::Path, to: &std::path::Path) {
    let mut command = tokio::process::Command::new("cp");
    command.args(["--archive", "--no-target-directory"]).arg(from).arg(to);
    floe_tests::script::run(&mut command).await;
}
