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
