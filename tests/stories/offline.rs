//! The control plane goes away while a host is on trial, or the host does.

use floe_tests::world::World;

use crate::{WWW, version};

/// One host that runs version 1 and tries version 2; cut off by `cut` (an nft rule) while it
/// is switched. Gives how that ended, once it can be told again.
async fn tried_while(cut: &str) -> (World, String) {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"24s\"");
    world.repository.change(WWW, &format!("{}\n  standin.activationDelay = 3;", version(2)));
    world.operator().floe(&["push", WWW, "--output", "json"]).await.succeeded();
    world.enters(host, "trying").await;

    let chain = "{ type filter hook output priority 0; }";
    let table = "nft add table inet cut";
    host.shell(&format!(
        "{table} && nft 'add chain inet cut out {chain}' && nft add rule inet cut out {cut} drop"
    ))
    .await;
    host.comes_to_an_end_alone().await;
    host.shell("nft delete table inet cut").await;

    let outcome = world.ends(host, 2).await;
    (world, outcome)
}

#[tokio::test]
async fn t111_a_control_plane_that_is_away_sends_no_host_back() {
    let (world, outcome) = tried_while("tcp dport 7443").await;

    assert_eq!(outcome, "confirmed", "the object store could be reached as before");
    let state = world.hosts[0].state().await;
    assert!(state.is_settled(), "{state:?}");
    world.hosts[0].has_no_guard().await;
}

#[tokio::test]
async fn t110_a_host_that_reaches_nobody_any_more_goes_back() {
    let (world, outcome) = tried_while("ip daddr 10.77.0.1").await;

    assert_eq!(outcome, "rolled_back");
    let state = world.hosts[0].state().await;
    assert!(state.is_settled(), "{state:?}");
    world.hosts[0].has_no_guard().await;
    world.repository.change(WWW, &version(3));
    world.push(WWW).await.succeeded();
}
