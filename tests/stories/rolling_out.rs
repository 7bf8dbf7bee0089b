//! One canary, then the rest; and who is not touched.

use floe_tests::world::World;

use crate::{WWW, sick_version, version};

#[tokio::test]
async fn a_canary_that_goes_back_keeps_the_rest_untouched() {
    let world = World::of(&[(WWW, 3)]).await;
    let mut before = Vec::new();
    for host in &world.hosts {
        before.push(host.state().await);
    }
    world.repository.change(WWW, &sick_version());

    let finished = world.push(WWW).await.ended_with(1);

    let rollout = finished.rollout();
    assert_eq!(rollout.state(), "stopped");
    let states: Vec<_> = rollout.hosts().iter().map(|host| host.state().to_owned()).collect();
    assert_eq!(states, ["rolled_back", "untouched", "untouched"]);
    let canary = rollout.hosts()[0].id().to_owned();
    for host in &world.hosts {
        let activations = world.record(host).await["activations"].as_array().unwrap().len();
        assert_eq!(activations, usize::from(host.id() == canary), "{}", host.name());
    }
    for (host, before) in world.hosts.iter().zip(before) {
        assert_eq!(host.state().await, before, "{}", host.name());
    }
    let told = world.operator().floe(&["rollout", "show", WWW]).await.succeeded();
    told.said(&canary).said("503").said("not touched");
}

#[tokio::test]
async fn a_host_that_was_away_gets_the_newest_when_it_returns() {
    let mut world = World::of(&[(WWW, 2)]).await;
    world.hosts[1].cut_power().await;
    world.repository.change(WWW, &version(1));
    let rollout = world.push(WWW).await.succeeded().rollout();
    assert_eq!(rollout.host(&world.hosts[1].id()).state(), "offline");
    world.repository.change(WWW, &version(2));
    world.push(WWW).await.succeeded();

    world.hosts[1].boot().await;
    world.confirms(&world.hosts[1], 2).await;

    let (first, second) = (world.hosts[0].state().await, world.hosts[1].state().await);
    assert_eq!(first, second);
    let shown = world.record(&world.hosts[1]).await;
    assert_eq!(shown["activations"].as_array().unwrap().len(), 1, "never serial 1: {shown}");
}
