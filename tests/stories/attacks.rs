//! Who owns the control plane or the bucket cannot make a host run something that
//! the release keys did not sign.

use floe_tests::attacker::Attacker;
use floe_tests::repository::Repository;
use floe_tests::world::World;

use crate::{MAIL, WWW, version};

/// Publishes without rolling out; gives the serial.
async fn publish(world: &World, role: &str) -> u64 {
    let push = ["push", role, "--no-rollout", "--output", "json"];
    world.operator().floe(&push).await.succeeded().json()["serial"].as_u64().unwrap()
}

/// Rolls `serial` out to the one host of the role; gives outcome and reason.
async fn roll_out(world: &World, role: &str, serial: u64) -> (String, String) {
    let start = ["rollout", "start", role, &serial.to_string(), "--watch", "--output", "json"];
    let rollout = world.operator().floe(&start).await.rollout();
    let host = &rollout.hosts()[0];
    (host.state().to_owned(), host.reason().to_owned())
}

#[tokio::test]
async fn t034_a_tampered_payload_is_not_unpacked() {
    let world = World::of(&[(WWW, 1)]).await;
    let before = world.hosts[0].state().await;
    world.repository.change(WWW, &version(1));
    let serial = publish(&world, WWW).await;
    Attacker::of(&world).flip_a_bit_in_every_payload();

    let (outcome, reason) = roll_out(&world, WWW, serial).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("digest"), "{reason}");
    assert_eq!(world.hosts[0].state().await, before);
    assert!(!world.hosts[0].holds("ls /var/lib/floe/payloads/* 2>/dev/null | grep -q .").await);

    world.repository.change(WWW, &version(2));
    world.push(WWW).await.succeeded();
}

#[tokio::test]
async fn t034_a_truncated_payload_is_not_unpacked() {
    let world = World::of(&[(WWW, 1)]).await;
    let before = world.hosts[0].state().await;
    world.repository.change(WWW, &version(1));
    let serial = publish(&world, WWW).await;
    Attacker::of(&world).truncate_every_payload();

    let (outcome, _) = roll_out(&world, WWW, serial).await;

    assert_eq!(outcome, "failed");
    assert_eq!(world.hosts[0].state().await, before);
    world.repository.change(WWW, &version(2));
    world.push(WWW).await.succeeded();
}

#[tokio::test]
async fn a_manifest_signed_by_a_foreign_key_is_refused_by_the_host_itself() {
    let mut world = World::of(&[(WWW, 1)]).await;
    let before = world.hosts[0].state().await;
    // The same fleet's name, other keys, and a control plane that believes them.
    let foreign = Repository::create(world.path(), "foreign").await;
    world.control.kill().await;
    Attacker::of(&world).forget_trust_roots().await;
    world.control.start_again_for(foreign.path()).await;
    world.await_online().await;
    foreign.change(WWW, &version(666));
    let attacker = world.operator().in_repository(foreign.path().to_owned());

    let push = ["push", WWW, "--watch", "--output", "json"];
    let rollout = attacker.floe(&push).await.ended_with(1).rollout();

    let result = rollout.host(&world.hosts[0].id());
    assert_eq!(result.state(), "failed");
    assert!(result.reason().contains("keys signed this"), "{}", result.reason());
    assert_eq!(world.hosts[0].state().await, before);
}

#[tokio::test]
async fn t022_a_manifest_of_another_role_is_refused_by_the_host_itself() {
    let world = World::of(&[(WWW, 1)]).await;
    let before = world.hosts[0].state().await;
    let serial = publish(&world, MAIL).await;
    Attacker::of(&world).relabel_manifests(MAIL, WWW).await;

    let (outcome, reason) = roll_out(&world, WWW, serial).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("is for the role `mail.fossable.org`"), "{reason}");
    assert_eq!(world.hosts[0].state().await, before);
}

#[tokio::test]
async fn t027_an_older_serial_is_refused_by_the_host_itself() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    for number in [1, 2] {
        world.repository.change(WWW, &version(number));
        world.push(WWW).await.succeeded();
    }
    let before = host.state().await;
    world.repository.change(WWW, &version(3));
    let serial = publish(&world, WWW).await;
    Attacker::of(&world).replay("1", "3").await;

    let (outcome, reason) = roll_out(&world, WWW, serial).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("serial 1 is older than 2"), "{reason}");
    assert_eq!(host.state().await, before);
}
