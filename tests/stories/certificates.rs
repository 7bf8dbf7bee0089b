//! Certificates of hosts are short, and what happens when one should count no more.

use std::time::Duration;

use floe_tests::host::Host;
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{WWW, version};

/// So short that a story sees several.
const LIFETIME: Duration = Duration::from_secs(20);

/// What changes with each key of a host; a file may be replaced while it is read.
async fn identity(host: &Host) -> String {
    host.shell("sha256sum /var/lib/floe/identity/* 2>/dev/null || true").await
}

#[tokio::test]
async fn t081_a_host_renews_its_certificate_in_time_and_also_after_it_was_off_for_too_long() {
    let mut world = World::without_hosts().await;
    let lifetime = format!("{}s", LIFETIME.as_secs());
    world.control.kill().await;
    world.control.start_again_with(&["--host-lifetime", &lifetime]).await;
    world.populate(&[(WWW, 1)]).await;
    let host = &world.hosts[0];
    let mut last = identity(host).await;

    for number in [1, 2] {
        last = eventually("another key", async || {
            let now = identity(host).await;
            (now != last).then_some(now)
        })
        .await;
        world.repository.change(WWW, &version(number));
        assert_eq!(world.push(WWW).await.succeeded().rollout().state(), "done");
    }

    world.hosts[0].cut_power().await;
    tokio::time::sleep(LIFETIME).await; // until what lies on its disk has expired
    world.hosts[0].boot().await;
    world.await_online().await;
    world.repository.change(WWW, &version(3));
    assert_eq!(world.push(WWW).await.succeeded().rollout().state(), "done");
}

#[tokio::test]
async fn t082_a_revoked_host_is_gone_within_a_second_and_comes_back_by_its_own_token_only() {
    let world = World::of(&[(WWW, 1)]).await;
    let (host, operator) = (&world.hosts[0], world.operator());
    let revoke = ["hosts", "revoke", &host.id(), "--reason", "stolen"];
    operator.floe(&revoke).await.succeeded();

    let gone = eventually("the host to be gone", async || {
        (world.record(host).await["host"]["online"] == false).then_some(())
    });
    tokio::time::timeout(Duration::from_secs(1), gone).await.expect("gone within a second");
    host.shell("systemctl restart floe-agent").await;
    eventually("the agent to be refused", async || {
        host.journal().await.contains("this host was revoked").then_some(())
    })
    .await;
    assert_eq!(world.record(host).await["host"]["online"], false);

    let token = ["hosts", "token", WWW, "--host", &host.id(), "--output", "json"];
    let token = operator.floe(&token).await.succeeded().json();
    let token = token["token"].as_str().unwrap();
    let join = format!(
        "umask 077; printf 'host = \"{}\"\\ntoken = \"{token}\"\\n' >/var/lib/floe/join.new; \
         mv /var/lib/floe/join.new /var/lib/floe/join.toml",
        host.id(),
    );
    host.shell(&join).await;
    world.await_online().await;
}

#[tokio::test]
async fn no_host_is_lost_when_the_ca_rotates() {
    let mut world = World::of(&[(WWW, 2)]).await;
    let operator = world.operator();
    operator.floe(&["ca", "rotate", "--within", "1s"]).await.succeeded();
    let older = eventually("all hosts to renew", async || {
        let shown = operator.floe(&["ca", "show", "--output", "json"]).await.succeeded().json();
        let issuers = shown["issuers"].as_array()?;
        let (current, older): (Vec<_>, Vec<_>) =
            issuers.iter().partition(|issuer| issuer["state"] == "current");
        let all = current[0]["hosts"] == world.hosts.len();
        all.then(|| {
            older
                .iter()
                .filter(|i| i["state"] == "believed")
                .map(|i| i["number"].to_string())
                .collect::<Vec<_>>()
        })
    })
    .await;
    assert!(!older.is_empty(), "they overlap");
    for issuer in older {
        operator.floe(&["ca", "retire", &issuer]).await.succeeded();
    }

    world.control.kill().await;
    world.control.start_again().await;
    world.await_online().await;
    world.repository.change(WWW, &version(1));
    assert_eq!(world.push(WWW).await.succeeded().rollout().state(), "done");
}

#[tokio::test]
async fn t134_two_machines_with_one_identity_are_seen_and_one_of_them_goes_on_when_told() {
    let mut world = World::of(&[(WWW, 1)]).await;
    world.hosts[0].cut_power().await;
    let mut copy = world.prepare_host("www-2", WWW).await;
    copy.copy_disk_of(&world.hosts[0]).await;
    copy.boot().await;
    world.hosts[0].boot().await;
    let host = &world.hosts[0];
    eventually("the control plane to see both", async || {
        (!world.record(host).await["host"]["conflict"].is_null()).then_some(())
    })
    .await;

    copy.cut_power().await;
    world.operator().floe(&["hosts", "resolve", &host.id()]).await.succeeded();

    world.await_online().await;
    world.repository.change(WWW, &version(1));
    assert_eq!(world.push(WWW).await.succeeded().rollout().state(), "done");
    let audit = world.operator().floe(&["audit", "--output", "json"]).await.succeeded();
    assert!(
        audit.stdout.contains(&host.id()) && audit.stdout.contains("onflict"),
        "{}",
        audit.stdout
    );
}
