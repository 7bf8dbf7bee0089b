//! Processes die at the wrong moment, and the machine ends where it says.

use floe_tests::world::World;

use crate::{WWW, version};

/// The story of every phase: the agent is killed in it, comes back, and goes on. What
/// is asserted is the machine: it ends settled on the system that the control plane
/// has on record, and takes the next version.
async fn killed_while(phase: &str, rolled_back: bool) {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = host.state().await;
    // Slow enough to be hit: each delay is in a phase of its own.
    let change = if rolled_back {
        crate::sick_version()
    } else {
        format!("{}\n  standin.activationDelay = 1;\n  standin.buildDelay = 1;", version(2))
    };
    world.repository.change(WWW, &change);

    let assassin = host.kill_agent_in(phase).await;
    let (finished, ()) = tokio::join!(world.push(WWW), assassin.strikes());

    host.comes_to_rest().await;
    let state = host.state().await;
    assert!(state.is_settled(), "{phase}: {state:?}");
    let rollout = finished.rollout();
    let result = rollout.host(&host.id());
    let on_record = &world.record(host).await["host"];
    if rolled_back {
        assert_eq!((result.state(), &state), ("rolled_back", &before), "{}", result.reason());
        assert_eq!(on_record["serial"], 1);
    } else {
        assert_eq!(result.state(), "confirmed", "{phase}: {}", result.reason());
        assert_ne!(state, before, "{phase}");
        assert_eq!(on_record["serial"], 2);
    }
    assert_eq!(on_record["running"], state.running.as_str());
    assert!(!host.holds("systemctl list-timers --all | grep floe-guard").await, "a timer is left");

    world.repository.change(WWW, &version(3));
    world.push(WWW).await.succeeded();
}

macro_rules! killed_while {
    ($($name:ident: $phase:literal, $rolled_back:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            killed_while($phase, $rolled_back).await;
        }
    )*};
}

killed_while! {
    t097_the_agent_is_killed_while_fetching: "fetching", false;
    t097_the_agent_is_killed_while_unpacking: "unpacking", false;
    t097_the_agent_is_killed_while_building: "building", false;
    t097_the_agent_is_killed_while_arming: "arming", false;
    t097_the_agent_is_killed_while_trying: "trying", false;
    t097_the_agent_is_killed_in_probation: "probation", false;
    t097_the_agent_is_killed_while_disarming: "disarming", false;
    t097_the_agent_is_killed_while_committing: "committing", false;
    t097_the_agent_is_killed_while_rolling_back: "rolling-back", true;
    t097_the_agent_is_killed_while_reporting: "reporting", false;
}

#[tokio::test]
async fn t106_a_switch_that_changes_the_agents_own_unit_is_finished_by_the_new_agent() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let pid = "systemctl show --property MainPID --value floe-agent.service";
    let old = host.shell(pid).await;
    let unit = format!("{}\n  systemd.services.floe-agent.environment.NOTE = \"new\";", version(2));
    world.repository.change(WWW, &unit);

    let rollout = world.push(WWW).await.succeeded().rollout();

    assert_eq!(rollout.host(&host.id()).state(), "confirmed");
    let new = host.shell(pid).await;
    assert_ne!(new, old);
    assert!(host.holds(&format!("tr '\\0' '\\n' </proc/{new}/environ | grep -qx NOTE=new")).await);
    assert!(host.state().await.is_settled());
}

#[tokio::test]
async fn t121_the_control_plane_is_killed_in_the_middle_and_the_rollout_goes_on() {
    let mut world = World::of(&[(WWW, 2)]).await;
    world.repository.change(WWW, &format!("{}\n  standin.buildDelay = 2;", version(1)));
    let push = ["push", WWW, "--yes", "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    world.enters(&world.hosts[0], "building").await;

    world.control.kill().await;
    world.control.start_again().await;

    for host in &world.hosts {
        world.confirms(host, 1).await;
        assert!(host.state().await.is_settled());
    }
    let shown = world.operator().floe(&["rollout", "show", WWW, "--output", "json"]).await;
    assert_eq!(shown.succeeded().rollout().state(), "done");
}

#[tokio::test]
async fn t099_a_power_cut_during_the_trial_is_a_rollback() {
    let mut world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = world.hosts[0].state().await;
    world.repository.change(WWW, &version(2));
    world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"30s\"");
    let push = ["push", WWW, "--yes", "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    world.enters(&world.hosts[0], "probation").await;

    world.hosts[0].cut_power().await;
    world.hosts[0].boot().await;

    world.hosts[0].comes_to_rest().await;
    assert_eq!(world.hosts[0].state().await, before);
    let shown = world.ends(&world.hosts[0], 2).await;
    assert_eq!(shown, "rolled_back");
}
