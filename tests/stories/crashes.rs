//! Processes die at the wrong moment, and the machine ends where it says.

use floe_tests::host::State;
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
    host.has_no_guard().await;

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
async fn c13_t106_a_switch_that_changes_the_agents_own_unit_is_finished_by_the_new_agent() {
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
    let push = ["push", WWW, "--output", "json"];
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
async fn c15_t099_a_power_cut_during_the_trial_is_a_rollback() {
    let mut world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = world.hosts[0].state().await;
    world.repository.change(WWW, &version(2));
    world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"20s\"");
    let push = ["push", WWW, "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    world.enters(&world.hosts[0], "probation").await;

    world.hosts[0].cut_power().await;
    world.hosts[0].boot().await;

    world.hosts[0].comes_to_rest().await;
    assert_eq!(world.hosts[0].state().await, before);
    let shown = world.ends(&world.hosts[0], 2).await;
    assert_eq!(shown, "rolled_back");
}

/// The power fails in `phase`, and comes back. The host ends settled on one of both systems,
/// and says on which.
async fn rebooted_while(phase: &str, change: &str) -> (World, String) {
    let mut world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = world.hosts[0].state().await;
    world.repository.change(WWW, change);
    let watch = world.hosts[0].watch_for(phase).await;
    let push = ["push", WWW, "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    watch.strikes().await;

    world.hosts[0].cut_power().await;
    world.hosts[0].boot().await;

    let outcome = world.ends(&world.hosts[0], 2).await;
    world.hosts[0].comes_to_rest().await;
    let state = world.hosts[0].state().await;
    assert!(state.is_settled(), "{state:?}");
    assert_eq!(state == before, outcome == "rolled_back", "{outcome}: {state:?}");
    (world, outcome)
}

#[tokio::test]
async fn c11_t100_a_power_cut_during_the_switch_is_a_rollback() {
    let slow = format!("{}\n  standin.activationDelay = 2;", version(2));
    let (world, outcome) = rebooted_while("trying", &slow).await;
    assert_eq!(outcome, "rolled_back");
    takes_the_next_version(&world).await;
}

#[tokio::test]
async fn c18_t100_a_power_cut_during_the_commit_leaves_one_system_or_the_other() {
    let (world, outcome) = rebooted_while("committing", &version(2)).await;
    assert!(["rolled_back", "confirmed"].contains(&&*outcome), "{outcome}");
    takes_the_next_version(&world).await;
}

#[tokio::test]
async fn c24_t100_a_power_cut_on_the_way_back_leads_there() {
    let (world, outcome) = rebooted_while("rolling-back", &crate::sick_version()).await;
    assert_eq!(outcome, "rolled_back");
    takes_the_next_version(&world).await;
}

/// A host in probation of version 2, which it has to prove for eight seconds, and what
/// it ran before. `module` is part of both versions; `change` of the second alone.
async fn in_probation(module: &str, change: &str) -> (World, State) {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &format!("{}\n{module}", version(1)));
    world.push(WWW).await.succeeded();
    let before = world.hosts[0].state().await;
    hurries(&world);
    world.repository.change(WWW, &format!("{}\n{module}\n{change}", version(2)));
    let push = ["push", WWW, "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    world.enters(&world.hosts[0], "probation").await;
    (world, before)
}

/// Kills the agent, and lets nobody start it again: not systemd, not the guard, not a switch.
const GONE: &str = "
    mkdir -p /run/systemd/system/floe-agent.service.d
    printf '[Unit]\\nConditionPathExists=/nowhere\\n' >/run/systemd/system/floe-agent.service.d/gone.conf
    systemctl daemon-reload
    systemctl kill --signal=KILL floe-agent.service";

const BACK: &str = "
    rm -r /run/systemd/system/floe-agent.service.d
    systemctl daemon-reload
    systemctl start floe-agent.service";

/// The host runs what it ran `before`, no guard is left, and once its agent can, it
/// says so and takes the next version.
async fn goes_back(world: &World, before: &State, outcome: &str) {
    let host = &world.hosts[0];
    host.comes_to(before).await;
    host.has_no_guard().await;
    if host.holds("test -e /run/systemd/system/floe-agent.service.d").await {
        host.shell(BACK).await;
    }
    assert_eq!(world.ends(host, 2).await, outcome);
    host.comes_to_rest().await;
    assert_eq!(host.state().await, *before);
    takes_its_time(world);
    takes_the_next_version(world).await;
}

/// From the next push on there is little time to be proved in, and most of it is needed.
fn hurries(world: &World) {
    world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"8s\"");
    world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"10s\"");
}

/// From the next push on there is as much as a good system may need on a busy machine.
fn takes_its_time(world: &World) {
    world.repository.edit_host_toml(WWW, "soak = \"8s\"", "soak = \"2s\"");
    world.repository.edit_host_toml(WWW, "probation = \"10s\"", "probation = \"30s\"");
}

async fn takes_the_next_version(world: &World) {
    world.repository.change(WWW, &version(3));
    world.push(WWW).await.succeeded();
    assert!(world.hosts[0].state().await.is_settled());
}

#[tokio::test]
async fn c15_t110_an_agent_that_never_comes_back_is_gone_back_from_in_time() {
    let (world, before) = in_probation("", "").await;
    world.hosts[0].shell(GONE).await;
    goes_back(&world, &before, "rolled_back").await;
}

#[tokio::test]
async fn t101_a_guard_that_is_killed_while_it_goes_back_begins_again() {
    let (world, before) = in_probation("  standin.activationDelay = 1;", "").await;
    let host = &world.hosts[0];
    host.shell(GONE).await;
    host.enters_without_agent("rolling-back").await;
    host.shell("systemctl kill --signal=KILL 'floe-guard-*.service'").await;
    goes_back(&world, &before, "rolled_back").await;
}

#[tokio::test]
async fn t105_a_human_who_switches_the_machine_in_probation_is_left_alone() {
    let (world, before) = in_probation("", "").await;
    let host = &world.hosts[0];

    host.shell("nixos-rebuild switch --fast --no-flake").await;

    let humans = host.state().await;
    assert!(humans.is_settled() && humans != before);
    assert_eq!(world.ends(host, 2).await, "superseded");
    host.comes_to_rest().await;
    host.has_no_guard().await;
    assert_eq!(host.state().await, humans);
    takes_its_time(&world);
    takes_the_next_version(&world).await;
}

#[tokio::test]
async fn c30_t102_a_full_disk_does_not_stop_the_way_back() {
    let small = "  services.floe-agent.settings.min_free_bytes = 0;";
    let world = World::of(&[(WWW, 1)]).await;
    let host = &world.hosts[0];
    world.repository.change(WWW, &format!("{}\n{small}", version(1)));
    world.push(WWW).await.succeeded();
    let before = host.state().await;
    host.shell(
        "systemctl stop floe-agent.service; cd /var/lib; mv floe floe.large; mkdir -m 0700 floe
         mount -t tmpfs -o size=96m,mode=0700 tmpfs floe; cp -a floe.large/. floe
         systemctl start floe-agent.service",
    )
    .await;
    world.await_online().await;
    hurries(&world);
    world.repository.change(WWW, &format!("{}\n{small}", version(2)));
    let push = ["push", WWW, "--output", "json"];
    world.operator().floe(&push).await.succeeded();
    world.enters(host, "probation").await;

    host.shell("dd if=/dev/zero of=/var/lib/floe/full bs=4096 2>&1 || true").await;

    host.comes_to(&before).await;
    host.shell("rm /var/lib/floe/full").await;
    goes_back(&world, &before, "rolled_back").await;
}

#[tokio::test]
async fn c29_a_trial_whose_journal_is_lost_is_gone_back_from() {
    let (world, before) = in_probation("", "").await;
    let host = &world.hosts[0];

    host.shell(&format!("{GONE}; cd /var/lib/floe/journal; for f in *; do echo x >$f; done")).await;

    host.comes_to(&before).await;
    host.has_no_guard().await;
    host.shell(BACK).await;
    world.await_online().await;
    takes_its_time(&world);
    takes_the_next_version(&world).await;
}

#[tokio::test]
async fn c29_a_host_that_lost_its_floors_installs_nothing_and_says_why() {
    let world = World::of(&[(WWW, 1)]).await;
    let host = &world.hosts[0];
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = host.state().await;
    host.shell(
        "systemctl stop floe-agent.service; cd /var/lib/floe
         for f in journal/current* floors*; do echo x >$f; done
         systemctl start floe-agent.service",
    )
    .await;
    world.await_online().await;
    world.repository.change(WWW, &version(2));

    let rollout = world.push(WWW).await.ended_with(1).rollout();

    let result = rollout.host(&host.id());
    assert_eq!(result.state(), "failed");
    assert!(result.reason().contains("floors"), "says why: {}", result.reason());
    assert_eq!(host.state().await, before);
}
