//! A new system that is wrong in a way of its own, as people make them: its agent is broken,
//! its network is, it hangs. Each ends as the design says, within its deadline.

use floe_tests::host::{Host, State};
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{WWW, version};

/// One host that runs version 1, and has ten seconds to prove another.
struct Scene {
    world: World,
    before: State,
}

impl Scene {
    async fn set() -> Self {
        Self::with("").await
    }

    /// `module` is part of version 1.
    async fn with(module: &str) -> Self {
        let world = World::of(&[(WWW, 1)]).await;
        world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"1s\"");
        world.repository.change(WWW, &format!("{}\n{module}", version(1)));
        world.push(WWW).await.succeeded();
        world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"10s\"");
        let before = world.hosts[0].state().await;
        Self { world, before }
    }

    fn host(&self) -> &Host {
        &self.world.hosts[0]
    }

    /// Pushes `change`; gives the outcome and the reason.
    async fn push(&self, change: &str) -> (String, String) {
        self.world.repository.change(WWW, change);
        let rollout = self.world.push(WWW).await.ended_with(1).rollout();
        let result = rollout.host(&self.host().id());
        (result.state().to_owned(), result.reason().to_owned())
    }

    /// Pushes `change`, and waits for nothing.
    async fn begins(&self, change: &str) {
        self.world.repository.change(WWW, change);
        let push = ["push", WWW, "--output", "json"];
        self.world.operator().floe(&push).await.succeeded();
    }

    /// From the next push on, a good system has as long as it may need on a busy machine.
    fn takes_its_time(&self) {
        self.world.repository.edit_host_toml(WWW, "probation = \"10s\"", "probation = \"30s\"");
    }

    /// It is as it was, and takes what comes next.
    async fn nothing_is_lost(self) {
        self.host().comes_to_rest().await;
        assert_eq!(self.host().state().await, self.before);
        self.host().has_no_guard().await;
        self.takes_its_time();
        self.world.repository.change(WWW, &version(9));
        self.world.push(WWW).await.succeeded();
        assert!(self.host().state().await.is_settled());
    }
}

#[tokio::test]
async fn c16_t114_a_system_whose_agent_dies_at_each_start_is_left_by_the_guard() {
    let scene = Scene::set().await;
    let dies =
        "  systemd.services.floe-agent.serviceConfig.ExecStart = lib.mkForce \"/bin/false\";";

    let (outcome, reason) = scene.push(&format!("{}\n{dies}", version(2))).await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("not confirmed within 10 s"), "{reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t114_a_system_whose_agent_does_not_run_here_is_not_switched_to() {
    let scene = Scene::set().await;
    let broken = "  services.floe-agent.package = lib.mkForce (pkgs.writeShellScriptBin \"floe-agent\" \"exit 126\");";

    let (outcome, reason) = scene.push(&format!("{}\n{broken}", version(2))).await;

    assert_eq!(outcome, "failed", "{reason}");
    assert!(reason.contains("agent"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn c17_t110_a_system_without_a_network_is_left_and_that_is_told_afterwards() {
    let scene = Scene::set().await;
    let cut = "
        systemd.services.cut = {
          wantedBy = [ \"multi-user.target\" ];
          serviceConfig = { Type = \"oneshot\"; RemainAfterExit = true; ExecStop = \"/usr/sbin/nft delete table inet cut\"; };
          script = ''
            /usr/sbin/nft add table inet cut
            /usr/sbin/nft 'add chain inet cut out { type filter hook output priority 0; }'
            /usr/sbin/nft add rule inet cut out ip daddr 10.77.0.1 drop
          '';
        };";

    let (outcome, reason) = scene.push(&format!("{}\n{cut}", version(2))).await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("control plane"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn c11_a_switch_that_hangs_is_ended_and_undone_in_time() {
    let scene = Scene::set().await;

    let (outcome, reason) =
        scene.push(&format!("{}\n  standin.activationDelay = 600;", version(2))).await;

    assert_eq!(outcome, "rolled_back", "{reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn c12_a_switch_that_is_killed_is_undone() {
    let scene = Scene::set().await;
    scene.begins(&format!("{}\n  standin.activationDelay = 4;", version(2))).await;

    let switch = "systemctl kill --signal=KILL nixos-rebuild-switch-to-configuration.service";
    eventually("the switch", async || scene.host().holds(switch).await.then_some(())).await;

    assert_eq!(scene.world.ends(scene.host(), 2).await, "rolled_back");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn c25_t115_a_way_back_that_fails_is_taken_by_a_reboot() {
    // Version 1 cannot be activated any more, until the next boot.
    let trap = "  system.activationScripts.trap = \"[ ! -e /run/trap ] || kill -9 $$\";";
    let scene = Scene::with(trap).await;
    let booted = "cat /proc/1/stat | cut -d ' ' -f 22";
    let before = scene.host().shell(booted).await;
    scene.host().shell("touch /run/trap").await;

    let (outcome, reason) = scene.push(&crate::sick_version()).await;

    assert_eq!(outcome, "rolled_back", "{reason}");
    assert_ne!(scene.host().shell(booted).await, before, "it was rebooted");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t104_a_build_that_hangs_is_stopped() {
    let scene = Scene::with("  services.floe-agent.settings.build_timeout = \"20s\";").await;

    let (outcome, reason) =
        scene.push(&format!("{}\n  standin.buildDelay = 600;", version(2))).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("longer than 20s"), "{reason}");
    assert!(!scene.host().holds("pgrep --exact nix-build").await, "nothing of it goes on");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t102_without_room_nothing_is_begun() {
    let scene = Scene::with("  services.floe-agent.settings.min_free_bytes = 1125899906842624;");
    let scene = scene.await;

    let (outcome, reason) = scene.push(&version(2)).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("/nix/store"), "says where: {reason}");
    assert_eq!(scene.host().state().await, scene.before);
}

#[tokio::test]
async fn t102_a_boot_partition_that_fills_up_in_probation_is_no_reason_to_strand() {
    let scene = Scene::set().await;
    scene.world.repository.edit_host_toml(WWW, "soak = \"1s\"", "soak = \"6s\"");
    scene.begins(&version(2)).await;
    scene.world.enters(scene.host(), "probation").await;

    scene
        .host()
        .shell(
            "cp -a /boot /boot.full; mount -t tmpfs -o size=1m tmpfs /boot; cp -a /boot.full/. /boot
             dd if=/dev/zero of=/boot/full bs=4096 2>&1 || true",
        )
        .await;

    assert_eq!(scene.world.ends(scene.host(), 2).await, "rolled_back");
    scene.host().comes_to_rest().await;
    assert_eq!(scene.host().state().await, scene.before);
    scene.host().shell("umount /boot").await;
    scene.world.repository.edit_host_toml(WWW, "soak = \"6s\"", "soak = \"1s\"");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t105_a_garbage_collection_in_probation_takes_nothing_that_is_needed() {
    let scene = Scene::set().await;
    scene.world.repository.edit_host_toml(WWW, "soak = \"1s\"", "soak = \"6s\"");
    scene.begins(&version(2)).await;
    scene.world.enters(scene.host(), "probation").await;

    scene.host().shell("nix-collect-garbage -d 2>&1").await;

    // What runs is spared anyway; what is tried, and what it came from, must not hang on that.
    for root in ["candidate", "previous"] {
        let holds = format!("nix-store --verify-path $(readlink /nix/var/nix/gcroots/floe/{root})");
        assert!(scene.host().holds(&holds).await, "{root}");
    }
    scene.host().shell("systemctl stop website.service").await;
    assert_eq!(scene.world.ends(scene.host(), 2).await, "rolled_back");
    scene.world.repository.edit_host_toml(WWW, "soak = \"6s\"", "soak = \"1s\"");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t109_going_back_goes_no_further_and_deletes_no_generation() {
    let scene = Scene::set().await;
    scene.takes_its_time();
    scene.world.repository.change(WWW, &version(2));
    scene.world.push(WWW).await.succeeded();
    let generations = "readlink /nix/var/nix/profiles/system /nix/var/nix/profiles/system-*-link";
    let (before, kept) = (scene.host().state().await, scene.host().shell(generations).await);

    let (outcome, _) = scene.push(&crate::sick_version()).await;

    assert_eq!(outcome, "rolled_back");
    assert_eq!(scene.host().state().await, before, "the second, not the first");
    assert_eq!(scene.host().shell(generations).await, kept);
}

#[tokio::test]
async fn t112_a_host_that_is_still_starting_is_switched_all_the_same() {
    let slow = "
        systemd.services.slow = {
          wantedBy = [ \"multi-user.target\" ];
          unitConfig.ConditionPathExists = \"/var/lib/slow\";
          serviceConfig.Type = \"oneshot\";
          script = \"until [ -e /run/go ]; do sleep 0.1; done\";
        };";
    let mut scene = Scene::with(slow).await;
    scene.takes_its_time();
    scene.host().shell("touch /var/lib/slow").await;
    scene.world.hosts[0].cut_power().await;
    scene.world.hosts[0].boot().await;
    scene.world.await_online().await;
    assert!(scene.host().holds("systemctl is-system-running | grep -q starting").await);

    scene.begins(&format!("{}\n{slow}", version(2))).await;

    scene.host().enters_without_agent("trying").await;
    scene.host().shell("touch /run/go").await;
    assert_eq!(scene.world.ends(scene.host(), 2).await, "confirmed");
    assert!(scene.host().state().await.is_settled());
}

#[tokio::test]
async fn t120_what_comes_in_the_midst_of_a_switch_waits_for_its_end_and_the_newest_counts() {
    let scene = Scene::set().await;
    scene.takes_its_time();
    scene.begins(&format!("{}\n  standin.activationDelay = 3;", version(2))).await;
    scene.world.enters(scene.host(), "trying").await;

    scene.begins(&version(3)).await;
    scene.begins(&version(2)).await;

    scene.world.confirms(scene.host(), 4).await;
    assert_eq!(scene.world.ends(scene.host(), 2).await, "confirmed", "what was begun was ended");
    let shows = "grep -h Environment /run/current-system/etc/systemd/system/website.service";
    assert!(scene.host().shell(shows).await.contains("VERSION=2"));
    assert!(scene.host().state().await.is_settled());
}
