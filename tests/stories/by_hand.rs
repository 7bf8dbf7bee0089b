//! Somebody is on the machine itself, and what they say there counts: also without the
//! control plane.

use floe_tests::host::{Host, State};
use floe_tests::script::eventually;
use floe_tests::world::World;
use serde_json::Value;

use crate::{WWW, version};

/// One host that has confirmed version 1, and how it was then.
async fn scene() -> (World, State) {
    let world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = world.hosts[0].state().await;
    (world, before)
}

/// The role's hosts are healthy only where somebody has made this file.
const READY: &str =
    "[[health.checks]]\ncommand = [\"/bin/sh\", \"-c\", \"test -e /srv/ready\"]\n\n";

async fn is_suspended(world: &World, host: &Host, yes: bool) {
    eventually("the control plane to know whether it is suspended", async || {
        (world.record(host).await["host"]["suspended"].is_null() != yes).then_some(())
    })
    .await;
}

async fn history(host: &Host) -> Value {
    serde_json::from_str(&host.shell("floe-agent history --output json").await).unwrap()
}

#[tokio::test]
async fn what_was_reverted_is_tried_again_only_where_the_operator_asks() {
    let (world, before) = scene().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.edit_host_toml(WWW, "[activation]", &format!("{READY}[activation]"));
    world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"20s\"");
    world.repository.change(WWW, &version(2));
    let reverted = world.push(WWW).await.ended_with(1).rollout();
    assert_eq!(reverted.host(&host.id()).state(), "rolled_back");

    // The same again, under another serial and under its own.
    let again = world.push(WWW).await.ended_with(1).rollout();
    let refused = again.host(&host.id());
    assert_eq!(refused.state(), "failed", "{}", refused.reason());
    for part in ["reverted here before as serial 2", "--retry", "3 attempts left", "/srv/ready"] {
        assert!(refused.reason().contains(part), "{part}: {}", refused.reason());
    }
    let start = ["rollout", "start", WWW, "2", "--watch", "--output", "json"];
    let own = world.operator().floe(&start).await.ended_with(1).rollout();
    assert!(own.host(&host.id()).reason().contains("2 attempts left"));
    let status = host.agent_status().await;
    assert_eq!(
        (&status["reverted"][0]["serial"], &status["last"]["attempts"]),
        (&2.into(), &1.into())
    );
    assert_eq!(host.state().await, before, "nothing was touched meanwhile");

    host.shell("mkdir -p /srv && touch /srv/ready").await;
    let retry = ["push", WWW, "--retry", "--watch", "--output", "json"];
    let tried = world.operator().floe(&retry).await.succeeded().rollout();
    assert_eq!(tried.host(&host.id()).state(), "confirmed");
    assert!(host.agent_status().await["reverted"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_suspended_host_is_told_of_nothing_new_until_it_is_resumed() {
    let (world, before) = scene().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    host.shell("floe-agent suspend --reason 'new disk'").await;
    is_suspended(&world, host, true).await;
    let listed = world.operator().floe(&["hosts", "list"]).await.succeeded();
    listed.said("suspended, online");

    world.repository.change(WWW, &version(2));
    world.operator().floe(&["push", WWW, "--output", "json"]).await.succeeded();
    let shown = world.operator().floe(&["rollout", "show", WWW]).await.succeeded();
    shown.said("is suspended on the machine (new disk)");
    assert_eq!(host.state().await, before);
    // It outlives the agent.
    host.shell("systemctl restart floe-agent").await;
    world.await_online().await;
    is_suspended(&world, host, true).await;
    assert_eq!(host.agent_status().await["suspended"]["reason"], "new disk");

    host.shell("floe-agent resume").await;
    world.confirms(host, 2).await;
    is_suspended(&world, host, false).await;
    host.comes_to_rest().await;
    assert!(host.state().await.is_settled());
}

#[tokio::test]
async fn what_is_on_trial_is_left_at_once() {
    let (world, before) = scene().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(2));
    world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"25s\"");
    world.operator().floe(&["push", WWW, "--output", "json"]).await.succeeded();
    world.enters(host, "probation").await;

    let said = host.shell("floe-agent revert --reason 'no mail'").await;

    assert!(said.contains("serial 2: rolled back") && said.contains("resume"), "{said}");
    assert_eq!(host.state().await, before);
    assert_eq!(world.ends(host, 2).await, "rolled_back");
    let shown = world.operator().floe(&["rollout", "show", WWW]).await.succeeded();
    shown.said("by hand on the machine: no mail");
    host.has_no_guard().await;
    host.comes_to_rest().await;
    is_suspended(&world, host, true).await;
    assert_eq!(host.state().await, before, "nobody brought it back");

    host.shell("floe-agent resume").await;
    world.repository.change(WWW, &version(3));
    world.repository.edit_host_toml(WWW, "soak = \"25s\"", "soak = \"2s\"");
    world.push(WWW).await.succeeded();
}

#[tokio::test]
async fn without_a_control_plane_a_host_leaves_what_it_confirmed() {
    let (mut world, before) = scene().await;
    world.repository.change(WWW, &version(2));
    world.push(WWW).await.succeeded();
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    host.comes_to_rest().await;
    let nobody = "! setpriv --reuid 65534 floe-agent --config /etc/floe/agent.toml revert";
    host.shell(nobody).await;
    world.control.kill().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    eventually("the agent to say when it tries again", async || {
        let status = host.agent_status().await;
        status["connection"].as_str()?.contains("next try at").then_some(())
    })
    .await;

    let said = host.shell("floe-agent revert").await;

    assert!(said.contains("serial 2: reverted"), "{said}");
    assert_eq!(host.state().await, before, "runs, keeps and would boot it");
    assert!(host.holds("systemctl is-active website.service").await);
    let again = host.shell("floe-agent revert 2>&1 || echo ended with $?").await;
    assert!(again.contains("already") && again.contains("ended with 3"), "{again}");

    world.control.start_again().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    eventually("the control plane to hear of it", async || {
        let record = world.record(host).await;
        let newest = &record["activations"][0];
        (newest["outcome"] == "rolled_back" && newest["serial"] == 2).then_some(())
    })
    .await;
    assert_eq!(world.record(host).await["host"]["running"], before.running.as_str());
    is_suspended(&world, host, true).await;
    let history = history(host).await;
    let outcomes: Vec<_> = (0..3).map(|at| history[at]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["rolled back", "confirmed", "confirmed"], "{history}");
    assert_eq!(history[0]["to"], before.running.as_str());

    host.shell("floe-agent resume").await;
    world.repository.change(WWW, &version(3));
    world.push(WWW).await.succeeded();
    assert!(world.hosts[0].state().await.is_settled());
}

#[tokio::test]
async fn garbage_is_collected_and_what_may_be_needed_stays() {
    let (mut world, _) = scene().await;
    for number in 2..=4 {
        world.repository.change(WWW, &version(number));
        world.push(WWW).await.succeeded();
    }
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let state = host.state().await;
    let before = host.shell("readlink -f /nix/var/nix/gcroots/floe/before").await;
    let oldest = host.shell("readlink -f /nix/var/nix/profiles/system-2-link").await;
    let dry = host.shell("floe-agent gc --keep 1 --older-than 0s --dry-run").await;
    assert!(dry.contains("would delete generations"), "{dry}");

    let locked =
        "flock /run/nixos/switch-to-configuration.lock floe-agent gc || echo ended with $?";
    assert!(host.shell(locked).await.contains("ended with 3"), "never while somebody switches");
    let said = host.shell("floe-agent gc --keep 1 --older-than 0s").await;

    assert!(said.contains("freed") && said.contains("boot menu"), "{said}");
    assert_eq!(host.state().await, state);
    assert!(host.holds(&format!("test -e {}/init", before.trim())).await, "what ran before");
    assert!(!host.holds(&format!("test -e {}", oldest.trim())).await, "an old version");
    let menu = "for init in $(grep -o 'init=[^ ]*' /boot/grub/grub.cfg); do test -e \"${init#init=}\"; done";
    host.shell(menu).await;

    // It could go back, also by a boot, and takes the next version.
    host.shell("floe-agent revert").await;
    assert_eq!(host.state().await.running, before.trim());
    host.shell("floe-agent resume").await;
    world.repository.change(WWW, &version(5));
    world.push(WWW).await.succeeded();
    let state = world.hosts[0].state().await;
    assert!(state.is_settled(), "{state:?}");
    world.hosts[0].cut_power().await;
    world.hosts[0].boot().await;
    assert_eq!(world.hosts[0].state().await, state);
}

#[tokio::test]
async fn a_health_checks_command_is_nobody() {
    let (world, before) = scene().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let shell = |script: &str| {
        format!("[[health.checks]]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n\n")
    };
    let nobody = shell("test $(id -u) != 0 && echo x > /tmp/x && ! test -w /etc");
    world.repository.edit_host_toml(WWW, "[activation]", &format!("{nobody}[activation]"));
    world.repository.change(WWW, &version(2));
    world.push(WWW).await.succeeded();
    let good = host.state().await;
    assert_ne!(good, before);

    let root = shell("touch /etc/owned");
    world.repository.edit_host_toml(WWW, "[activation]", &format!("{root}[activation]"));
    world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"8s\"");
    world.repository.change(WWW, &version(3));
    let rollout = world.push(WWW).await.ended_with(1).rollout();
    assert_eq!(rollout.host(&host.id()).state(), "rolled_back");
    assert!(!host.holds("test -e /etc/owned").await);
    assert_eq!(host.state().await, good);

    // And it is bounded.
    let slow = shell("sleep 60").replace("]\n\n", "]\ntimeout = \"1s\"\n\n");
    world.repository.edit_host_toml(WWW, &root, &slow);
    world.repository.change(WWW, &version(4));
    let rollout = world.push(WWW).await.ended_with(1).rollout();
    let result = rollout.host(&host.id());
    assert_eq!(result.state(), "rolled_back");
    assert!(result.reason().contains("within"), "says why: {}", result.reason());
    assert_eq!(host.state().await, good);
    let left = "systemctl list-units --all --no-legend 'floe-check-*'";
    assert_eq!(host.shell(left).await, "", "nothing of it is left");
}
