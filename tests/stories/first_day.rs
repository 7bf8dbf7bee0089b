//! A fleet is set up, and first bundles come to its hosts.

use floe_tests::world::World;

use crate::{MAIL, WWW, version};

const PAGE: &str = "curl --silent --fail http://127.0.0.1:8080/healthz 2>/dev/null \
    || python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/healthz').read().decode())\"";

#[tokio::test]
async fn the_first_push_comes_to_every_host_of_its_role() {
    let world = World::of(&[(WWW, 2)]).await;
    let before = world.hosts[0].state().await;
    world.repository.change(WWW, &version(1));

    let rollout = world.push(WWW).await.succeeded().rollout();

    assert_eq!(rollout.state(), "done");
    for host in &world.hosts {
        assert_eq!(rollout.host(&host.id()).state(), "confirmed");
        let state = host.state().await;
        assert!(state.is_settled(), "{state:?}");
        assert_ne!(state.running, before.running);
        assert!(host.shell(PAGE).await.contains("ok 1"));
    }
}

#[tokio::test]
async fn a_second_push_replaces_the_first_and_keeps_its_generation() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let first = host.state().await;
    world.repository.change(WWW, &version(2));

    let rollout = world.push(WWW).await.succeeded().rollout();

    assert_eq!(rollout.serial(), 2);
    let second = host.state().await;
    assert!(second.is_settled() && second != first, "{second:?}");
    assert!(host.shell(PAGE).await.contains("ok 2"));
    let kept = host.shell("readlink -f /nix/var/nix/profiles/system-*-link").await;
    assert!(kept.contains(&first.running), "the way back is still there: {kept}");
}

#[tokio::test]
async fn t120_a_push_of_what_runs_already_starts_no_nix() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = host.state().await;
    let generations = "ls /nix/var/nix/profiles | wc -l";
    let kept = host.shell(generations).await;

    let rollout = world.push(WWW).await.succeeded().rollout();

    assert_eq!(rollout.serial(), 2);
    let result = rollout.host(&host.id());
    assert_eq!((result.state(), result.unchanged(), result.build_ms()), ("confirmed", true, 0));
    assert_eq!(host.state().await, before);
    assert_eq!(host.shell(generations).await, kept);
    assert_eq!(world.record(host).await["host"]["serial"], 2, "its floor was raised all the same");
}

#[tokio::test]
async fn a_push_touches_no_other_role() {
    let world = World::of(&[(WWW, 1), (MAIL, 1)]).await;
    let [www, mail] = world.hosts.as_slice() else { panic!("two hosts") };
    let (www_before, mail_before) = (www.state().await, mail.state().await);
    world.repository.change(WWW, &version(1));

    let rollout = world.push(WWW).await.succeeded().rollout();

    assert_eq!(rollout.hosts().len(), 1);
    assert_ne!(www.state().await, www_before);
    assert_eq!(mail.state().await, mail_before);
}

#[tokio::test]
async fn what_the_build_wrote_can_be_read_afterwards() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();

    let logs = world.operator().floe(&["hosts", "logs", &host.id()]).await.succeeded();

    logs.said("nixos-system-www").said("activating the configuration...");
}
