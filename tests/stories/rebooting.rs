//! A system that needs a reboot is booted once, proves itself in that boot, and is kept;
//! or the machine is back on what it ran, by the next boot.

use floe_tests::host::{Host, State};
use floe_tests::operator::{Finished, Rollout};
use floe_tests::world::World;

use crate::{WWW, sick_version, version};

/// One host that runs version 1, of a role that is rebooted where need be.
struct Scene {
    world: World,
    before: State,
    /// What the machine was booted with. Version 1 was switched to after that.
    booted: String,
}

impl Scene {
    async fn set() -> Self {
        Self::with("reboot = \"if-needed\"").await
    }

    async fn with(policy: &str) -> Self {
        let world = World::of(&[(WWW, 1)]).await;
        let probation = format!("probation = \"30s\"\n{policy}");
        world.repository.edit_host_toml(WWW, "probation = \"30s\"", &probation);
        world.repository.change(WWW, &version(1));
        world.push(WWW).await.succeeded();
        let before = world.hosts[0].state().await;
        let booted = booted(&world.hosts[0]).await;
        Self { world, before, booted }
    }

    /// Pushes a change that comes with another kernel; watches until it has ended.
    async fn push(&mut self, change: &str) -> Finished {
        self.world.repository.change(WWW, change);
        self.world.push(WWW).await
    }

    fn host(&self) -> &Host {
        &self.world.hosts[0]
    }

    fn result(&self, rollout: &Rollout) -> (String, String) {
        let host = rollout.host(&self.host().id());
        (host.state().to_owned(), host.reason().to_owned())
    }

    async fn booted(&self) -> String {
        booted(self.host()).await
    }

    /// A reboot has led back, to what boots by default.
    async fn came_back_by_a_reboot(&self) {
        self.host().comes_to(&self.before).await;
        assert_eq!(self.booted().await, self.before.running);
    }

    /// It runs what it ran, as if nothing had been; and takes what comes next.
    async fn nothing_is_lost(mut self) {
        self.host().comes_to(&self.before).await;
        self.nothing_is_left().await;
        let rollout = self.push(&version(9)).await.succeeded().rollout();
        assert_eq!(self.result(&rollout).0, "confirmed");
    }

    /// Neither a choice for the next boot, nor a profile, nor a timer.
    async fn nothing_is_left(&self) {
        let state = self.host().state().await;
        assert_eq!(self.host().shell("stand-in boot-next").await.trim(), state.boot_default);
        let profiles = "ls /nix/var/nix/profiles/system-profiles 2>/dev/null | wc -l";
        assert_eq!(self.host().shell(profiles).await.trim(), "0");
        self.host().has_no_guard().await;
    }
}

async fn booted(host: &Host) -> String {
    host.shell("readlink -f /run/booted-system").await.trim().to_owned()
}

/// Version `number` with another kernel.
fn kernel(number: u32) -> String {
    format!("{}\n  standin.kernel = \"6.12.{number}\";", version(number))
}

#[tokio::test]
async fn a_new_kernel_is_booted_and_then_kept() {
    let mut scene = Scene::set().await;

    let rollout = scene.push(&kernel(2)).await.succeeded().rollout();

    assert_eq!(scene.result(&rollout).0, "confirmed");
    let state = scene.host().state().await;
    assert!(state.is_settled() && state != scene.before, "{state:?}");
    assert_eq!(scene.booted().await, state.running, "it was booted, not switched to");
    scene.nothing_is_left().await;
    // What needs no reboot has none.
    let same_kernel = format!("{}\n  standin.kernel = \"6.12.2\";", version(3));
    let rollout = scene.push(&same_kernel).await.succeeded().rollout();
    assert_eq!(scene.result(&rollout).0, "confirmed");
    assert_eq!(scene.booted().await, state.running);
}

#[tokio::test]
async fn a_role_that_never_reboots_keeps_a_new_kernel_for_later_and_refuses_what_cannot_wait() {
    let mut scene = Scene::with("").await;
    let rollout = scene.push(&kernel(2)).await.succeeded().rollout();
    assert_eq!(scene.result(&rollout).0, "confirmed");
    assert_eq!(scene.booted().await, scene.booted, "nobody rebooted it");
    let before = scene.host().state().await;

    let other_init = format!("{}\n  system.initInterfaceVersion = \"9\";", kernel(2));
    let rollout = scene.push(&other_init).await.ended_with(1).rollout();

    let (outcome, reason) = scene.result(&rollout);
    assert_eq!(outcome, "failed");
    assert!(reason.contains("init interface") && reason.contains("if-needed"), "{reason}");
    assert_eq!(scene.host().state().await, before, "nothing was touched");
}

#[tokio::test]
async fn t107_what_the_running_system_cannot_be_switched_to_is_booted() {
    let mut scene = Scene::set().await;
    let other_init = format!("{}\n  system.initInterfaceVersion = \"9\";", version(2));

    let rollout = scene.push(&other_init).await.succeeded().rollout();

    assert_eq!(scene.result(&rollout).0, "confirmed");
    let broker = format!("{other_init}\n  services.dbus.implementation = \"broker\";");
    let rollout = scene.push(&broker).await.succeeded().rollout();
    assert_eq!(scene.result(&rollout).0, "confirmed", "an inhibitor");
    let state = scene.host().state().await;
    assert!(state.is_settled());
    assert_eq!(scene.booted().await, state.running);
}

#[tokio::test]
async fn c27_a_kernel_that_panics_is_left_by_the_next_boot() {
    let mut scene = Scene::set().await;

    let panics = format!("{}\n  standin.kernelPanics = true;", version(2));
    let rollout = scene.push(&panics).await.ended_with(1).rollout();

    let (outcome, reason) = scene.result(&rollout);
    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("did not come up"), "{reason}");
    scene.came_back_by_a_reboot().await;
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn c27_a_boot_in_which_the_agent_never_comes_up_is_left_by_its_guard() {
    let mut scene = Scene::set().await;
    scene.world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"12s\"");

    let hangs = format!("{}\n  standin.bootHangs = true;", kernel(2));
    let rollout = scene.push(&hangs).await.ended_with(1).rollout();

    let (outcome, reason) = scene.result(&rollout);
    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("not confirmed within 12 s"), "{reason}");
    scene.world.repository.edit_host_toml(WWW, "probation = \"12s\"", "probation = \"30s\"");
    scene.came_back_by_a_reboot().await;
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn a_system_that_is_sick_in_its_boot_is_left_by_another() {
    let mut scene = Scene::set().await;

    let sick = format!("{}\n  standin.kernel = \"6.12.2\";", sick_version());
    let rollout = scene.push(&sick).await.ended_with(1).rollout();

    let (outcome, reason) = scene.result(&rollout);
    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("503"), "{reason}");
    scene.came_back_by_a_reboot().await;
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn c28_a_power_cut_in_the_boot_of_a_trial_leads_back() {
    let mut scene = Scene::set().await;
    scene.world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"20s\"");
    scene.world.repository.change(WWW, &kernel(2));
    let push = ["push", WWW, "--output", "json"];
    scene.world.operator().floe(&push).await.succeeded();
    scene.host().enters_without_agent("probation").await;

    scene.world.hosts[0].cut_power().await;
    scene.world.hosts[0].boot().await;

    assert_eq!(scene.world.ends(scene.host(), 2).await, "rolled_back");
    scene.world.repository.edit_host_toml(WWW, "soak = \"20s\"", "soak = \"2s\"");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn where_no_entry_of_its_own_can_be_had_nothing_is_touched() {
    let mut scene = Scene::set().await;
    // As if something else had written the menu.
    scene.host().shell("sed -i s/next_entry/another/ /boot/grub/grub.cfg").await;

    let rollout = scene.push(&kernel(2)).await.ended_with(1).rollout();

    let (outcome, reason) = scene.result(&rollout);
    assert_eq!(outcome, "failed");
    assert!(reason.contains("grub.cfg"), "{reason}");
    assert_eq!(scene.host().state().await, scene.before);
}

#[tokio::test]
async fn an_installer_that_gives_the_candidate_no_entry_is_noticed_before_the_reboot() {
    // The old system's installer is what runs.
    let mut scene = Scene::set().await;
    let forgets = format!("{}\n  standin.bootloaderForgetsProfiles = true;", version(1));
    scene.push(&forgets).await.succeeded();
    scene.before = scene.host().state().await;

    let rollout = scene.push(&kernel(2)).await.ended_with(1).rollout();

    let (outcome, reason) = scene.result(&rollout);
    assert_eq!(outcome, "rolled_back");
    assert!(reason.contains("no entry"), "{reason}");
    assert_eq!(scene.booted().await, scene.booted, "it was not rebooted");
    scene.nothing_is_lost().await;
}

#[tokio::test]
async fn a_reboot_waits_for_its_window_until_something_newer_comes() {
    let mut scene = Scene::set().await;
    // A window that is closed for hours, whenever this runs.
    let hour: u32 = scene.host().shell("date -u +%-H").await.trim().parse().unwrap();
    let (from, to) = ((hour + 6) % 24, (hour + 7) % 24);
    let window = format!("\"if-needed\"\nreboot_window = \"{from:02}:00-{to:02}:00\"");
    scene.world.repository.edit_host_toml(WWW, "\"if-needed\"", &window);
    scene.world.repository.change(WWW, &kernel(2));
    let push = ["push", WWW, "--output", "json"];
    scene.world.operator().floe(&push).await.succeeded();
    scene.world.enters(scene.host(), "waiting").await;
    assert_eq!(scene.host().state().await, scene.before);

    let rollout = scene.push(&version(3)).await.succeeded().rollout();

    assert_eq!(scene.result(&rollout).0, "confirmed");
    assert_eq!(scene.booted().await, scene.booted, "nobody rebooted it");
}
