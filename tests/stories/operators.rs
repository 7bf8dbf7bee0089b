//! Who may do what, in CI as at a keyboard, and what is written down of it.

use floe_tests::attacker::Attacker;
use floe_tests::operator::Operator;
use floe_tests::world::World;

use crate::{WWW, version};

/// An operator who was added with a new login key and has logged in, without a prompt:
/// at a machine with nothing but the fleet's CA, the repository and the key, which is in
/// the environment.
async fn logged_in(world: &World, name: &str, role: &str) -> Operator {
    let admin = world.operator();
    let key = world.path().join(format!("{name}.pem"));
    let key = key.to_str().unwrap();
    let made = ["keys", "new", key, "--no-passphrase", "--output", "json"];
    let made = admin.floe(&made).await.succeeded().json();
    let public = made["public"].as_str().unwrap();
    let add = ["operators", "add", name, "--role", role, "--key", public];
    admin.floe(&add).await.succeeded();

    let secret = std::fs::read_to_string(key).unwrap();
    let operator = admin.with("FLOE_CREDENTIALS", world.path().join(name));
    let ca = world.control.data().join("operator/admin/ca.pem");
    let login = ["login", name, "--ca", ca.to_str().unwrap()];
    operator.with("FLOE_SIGNING_KEY", secret).floe(&login).await.succeeded();
    operator
}

#[tokio::test]
async fn t086_each_operator_does_their_part_and_no_more_and_all_of_it_is_on_record() {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    let viewer = logged_in(&world, "vera", "viewer").await;
    let deployer = logged_in(&world, "ci", "deployer").await;

    let push = ["push", WWW, "--watch", "--output", "json"];
    let token = ["hosts", "token", WWW];
    viewer.floe(&["hosts", "list"]).await.succeeded().said("local-www-1");
    viewer.floe(&push).await.ended_with(3);
    let rollout = deployer.floe(&push).await.succeeded().rollout();
    assert_eq!(rollout.state(), "done");
    deployer.floe(&token).await.ended_with(3);
    deployer
        .floe(&["operators", "add", "eve", "--role", "admin", "--key", "x"])
        .await
        .ended_with(1);

    world.operator().floe(&["operators", "revoke", "ci"]).await.succeeded();
    deployer.floe(&["hosts", "list"]).await.ended_with(3);
    world.operator().floe(&["operators", "revoke", "admin"]).await.ended_with(3).said("admin");

    let audit = world.operator().floe(&["audit", "--output", "json"]).await.succeeded().json();
    let entries = audit["entries"].as_array().unwrap();
    let about = |actor: &str, action: &str| {
        let found = entries.iter().find(|e| e["actor"] == actor && e["action"] == action);
        found.unwrap_or_else(|| panic!("no {action} of {actor} in {audit}"))["outcome"].clone()
    };
    assert_eq!(about("operator/admin", "Operators/Add"), "ok");
    assert_eq!(about("operator/ci", "Operator/StartRollout"), "ok");
    assert_ne!(about("operator/vera", "Operator/BeginPublication"), "ok");
    assert_ne!(about("operator/ci", "Operator/CreateJoinToken"), "ok");
}

#[tokio::test]
async fn t132_an_audit_log_that_was_changed_or_rewritten_shows() {
    let world = World::without_hosts().await;
    logged_in(&world, "vera", "viewer").await;
    let verify = ["audit", "--verify", "--output", "json"];
    let head = world.operator().floe(&verify).await.succeeded().json()["head"].clone();
    let verify_head = ["audit", "--verify", "--head", head.as_str().unwrap()];
    world.operator().floe(&verify_head).await.succeeded();

    Attacker::of(&world).rewrite_history().await;

    world.operator().floe(&verify).await.ended_with(1).said("was changed");
}
