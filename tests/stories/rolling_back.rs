//! A bad configuration comes to a host, and the host is as it was before.
//!
//! In each story the host confirms version 1, is pushed something bad, must end on
//! exactly the system that it ran, and must take a good version 2 afterwards.

use floe_tests::host::State;
use floe_tests::world::World;

use crate::{WWW, sick_version, version};

/// One host that has confirmed version 1.
struct Scene {
    world: World,
    before: State,
}

impl Scene {
    async fn set() -> Self {
        let world = World::of(&[(WWW, 1)]).await;
        world.repository.change(WWW, &version(1));
        world.push(WWW).await.succeeded();
        let before = world.hosts[0].state().await;
        Self { world, before }
    }

    /// Pushes the repository as it is now; gives the outcome and the reason.
    async fn push_fails(&self) -> (String, String) {
        let host = &self.world.hosts[0];
        let rollout = self.world.push(WWW).await.ended_with(1).rollout();
        assert_eq!(rollout.state(), "stopped");
        let result = rollout.host(&host.id());
        (result.state().to_owned(), result.reason().to_owned())
    }

    /// The host is as it was, and takes the next good version.
    async fn nothing_is_lost(self) {
        let host = &self.world.hosts[0];
        assert_eq!(host.state().await, self.before);
        assert!(host.holds("systemctl is-active website.service").await);
        host.has_no_guard().await;

        self.world.repository.change(WWW, &version(2));
        let rollout = self.world.push(WWW).await.succeeded().rollout();
        assert_eq!(rollout.host(&host.id()).state(), "confirmed");
        assert!(host.state().await.is_settled());
    }
}

#[tokio::test]
async fn t060_a_broken_expression_changes_nothing() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, "  networking.hostNam = \"typo\";");

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("networking.hostNam"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t104_a_build_that_fails_changes_nothing() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, "  standin.buildFails = true;");

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("build"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t107_an_activation_script_that_fails_is_undone() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, "  standin.activationFails = true;");

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("activation"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t107_an_activation_script_that_ends_early_is_undone() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, "  standin.activationDies = true;");

    let (outcome, _) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t107_a_unit_that_fails_is_named_and_undone() {
    let scene = Scene::set().await;
    let unit = "  systemd.services.broken = { script = \"exit 7\"; wantedBy = [ \"multi-user.target\" ]; };";
    scene.world.repository.change(WWW, unit);

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("broken.service"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn a_health_check_that_fails_at_once_sends_the_host_back() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, &sick_version());

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("503"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn a_health_check_that_fails_in_mid_soak_sends_the_host_back() {
    let scene = Scene::set().await;
    let sick_later =
        "  systemd.services.website.environment = { VERSION = \"later\"; SICK_AFTER = \"1.5\"; };";
    scene.world.repository.change(WWW, sick_later);
    scene.world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"6s\"");

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("503"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t107_a_boot_loader_that_fails_is_undone() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, "  standin.bootloaderFails = true;");

    let (outcome, _) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t114_a_system_without_the_agent_is_not_switched_to() {
    let scene = Scene::set().await;
    scene.world.repository.change(WWW, "  services.floe-agent.enable = lib.mkForce false;");

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("agent"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t105_a_switch_lock_that_somebody_holds_is_waited_for_on_the_way_back() {
    let scene = Scene::set().await;
    let sick_later =
        "  systemd.services.website.environment = { VERSION = \"later\"; SICK_AFTER = \"1\"; };";
    scene.world.repository.change(WWW, sick_later);
    scene.world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"6s\"");
    let host = &scene.world.hosts[0];
    let lock = "systemd-run --quiet flock /run/nixos/switch-to-configuration.lock sleep 8";

    let held = async {
        scene.world.enters(host, "probation").await;
        host.shell(lock).await;
    };
    let ((outcome, _), ()) = tokio::join!(scene.push_fails(), held);

    assert_eq!(outcome, "rolled_back");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn t110_a_system_without_the_tools_to_leave_it_is_left() {
    let scene = Scene::set().await;
    let bare = "  system.path = lib.mkForce config.services.floe-agent.package;";
    scene.world.repository.change(WWW, bare);
    scene.world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"8s\"");

    let (outcome, _) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    scene.world.repository.edit_host_toml(WWW, "probation = \"8s\"", "probation = \"30s\"");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn a_system_whose_agent_would_refuse_the_next_version_is_not_kept() {
    let scene = Scene::set().await;
    let other = "  services.floe-agent.settings.role = lib.mkForce \"mail.fossable.org\";";
    scene.world.repository.change(WWW, other);

    let (outcome, reason) = scene.push_fails().await;

    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("role"), "names the cause: {reason}");
    scene.nothing_is_lost().await;
}
