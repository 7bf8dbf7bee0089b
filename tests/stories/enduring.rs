//! A host that is updated again and again, and one whose systemd does not do as it should.

use floe_tests::host::Host;
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{WWW, version};

/// What an update could leave behind on a host: files, roots, entries, units, descriptors.
const LEFT: &str = "
    find /var/lib/floe /run/floe -type f | grep -v /history | wc -l
    ls -A /nix/var/nix/gcroots/floe /nix/var/nix/profiles/system-profiles 2>/dev/null | wc -l
    systemctl list-units --all --no-legend 'floe-*' 'nixos-rebuild-*' | wc -l
    ls /proc/$(systemctl show --property MainPID --value floe-agent.service)/fd | wc -l";

#[tokio::test]
async fn t119_many_updates_leave_no_more_behind_than_a_few() {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"0s\"");
    let host = &world.hosts[0];
    let mut few = vec![0; 4];
    for number in 1..=8 {
        world.repository.change(WWW, &version(number));
        world.push(WWW).await.succeeded();
        host.comes_to_rest().await;
        host.has_no_guard().await;
        if number <= 4 {
            let most = few.iter().zip(left(host).await).map(|(most, left)| left.max(*most));
            few = most.collect();
        }
    }
    // What a push opened for a moment may still be there.
    eventually(&format!("no more than {few:?} to be left"), async || {
        let many = left(host).await;
        many.iter().zip(&few).all(|(many, few)| many <= few).then_some(())
    })
    .await;
}

async fn left(host: &Host) -> Vec<usize> {
    host.shell(LEFT).await.lines().map(|count| count.trim().parse().unwrap()).collect()
}

#[tokio::test]
async fn t116_where_systemd_takes_no_unit_nothing_is_touched() {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let host = &world.hosts[0];
    let before = host.state().await;
    // The first directory of the agent's PATH.
    host.shell(
        "mkdir -p /run/wrappers/bin; cd /run/wrappers/bin
         printf '#!/bin/sh\\necho no bus >&2\\nexit 1\\n' >systemd-run; chmod +x systemd-run",
    )
    .await;
    world.repository.change(WWW, &version(2));

    let rollout = world.push(WWW).await.ended_with(1).rollout();

    let result = rollout.host(&host.id());
    assert_eq!(result.state(), "failed");
    assert!(result.reason().contains("no bus"), "names the cause: {}", result.reason());
    assert_eq!(host.state().await, before);
    host.shell("rm /run/wrappers/bin/systemd-run").await;
    world.repository.change(WWW, &version(3));
    world.push(WWW).await.succeeded();
}

#[tokio::test]
async fn t116_a_systemd_that_executes_itself_anew_in_the_midst_of_a_switch_loses_nothing() {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &format!("{}\n  standin.activationDelay = 2;", version(1)));
    let push = ["push", WWW, "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    let host = &world.hosts[0];
    host.enters_without_agent("trying").await;

    // Again and again, so that none of what the agent asks it for to the end is spared.
    host.shell("for n in $(seq 6); do systemctl daemon-reexec; sleep 1; done").await;

    assert_eq!(world.ends(host, 1).await, "confirmed");
    assert!(host.state().await.is_settled());
    host.has_no_guard().await;
}
