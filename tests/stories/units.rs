//! The units that the NixOS modules make, as they are, under a real systemd.

use floe_tests::host::Host;
use floe_tests::hosted::{AWS_CREDENTIALS, Hosted};
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{WWW, version};

/// How much a unit is exposed, from 0 to 10, as `systemd-analyze security` counts.
async fn exposure(host: &Host, unit: &str) -> f64 {
    let said = host.shell(&format!("systemd-analyze security --no-pager {unit} | tail -n 1")).await;
    let level = said.split_once(&format!("{unit}: ")).and_then(|(_, rest)| rest.split(' ').next());
    level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// The main process of a unit.
async fn process(host: &Host, unit: &str) -> String {
    host.shell(&format!("systemctl show --property MainPID --value {unit}")).await
}

/// Stops the unit's process where it is, so that it hangs; waits until systemd has seen that
/// and another one is ready.
async fn hangs_and_is_started_anew(host: &Host, unit: &str) {
    let hung = process(host, unit).await;
    host.shell(&format!("kill -STOP {hung}")).await;
    // Both of one moment: asked for one after the other, the old one is still active, and the next
    // is there but not yet ready.
    let state = format!("systemctl show --property ActiveState --property MainPID {unit}");
    eventually(&format!("another process of {unit}"), async || {
        let said = host.shell(&state).await;
        let lines: Vec<_> = said.lines().collect();
        let hangs = lines.contains(&format!("MainPID={hung}").as_str());
        (lines.contains(&"ActiveState=active") && !hangs).then_some(())
    })
    .await;
    let why = host.shell(&format!("journalctl --unit {unit} --output cat")).await;
    assert!(why.contains("Watchdog timeout"), "{why}");
}

#[tokio::test]
async fn a_control_plane_serves_its_fleet_from_its_modules_unit() {
    let world = World::without_hosts().await;
    let hosted = Hosted::boot(&world).await;
    let (machine, operator) = (&hosted.machine, hosted.operator(&world));
    // It was active as soon as it could be reached, and not before.
    operator.floe(&["hosts", "list"]).await.succeeded();

    // A host of its fleet comes to it, and is pushed to.
    let token = ["hosts", "token", WWW, "--host", "local-www-1", "--output", "json"];
    let token =
        operator.floe(&token).await.succeeded().json()["token"].as_str().unwrap().to_owned();
    let mut host = hosted.host(&world, "www-1", WWW, &token).await;
    host.boot().await;
    eventually("the host to be online", async || {
        let list = operator.floe(&["hosts", "list", "--output", "json"]).await;
        (list.code == 0 && list.json()["hosts"][0]["online"] == true).then_some(())
    })
    .await;
    hosted.repository.change(WWW, &version(1));
    let push = ["push", WWW, "--watch", "--output", "json"];
    let rollout = operator.floe(&push).await.succeeded().rollout();
    assert_eq!(rollout.host(&host.id()).state(), "confirmed");

    // Nobody but it reads its data; what it may not see or write is not there for it.
    let open = "find /var/lib/floe-control -perm /077";
    assert_eq!(machine.shell(open).await, "");
    assert_eq!(machine.shell("stat -c %U /var/lib/floe-control").await, "floe-control");
    let pid = process(machine, "floe.service").await;
    let inside = format!("nsenter --target {pid} --mount --");
    machine.shell("touch /root/seen /home/seen").await;
    // Not even for root, which it is not.
    for forbidden in ["touch /etc/x", "touch /var/lib/x", "ls /root/seen", "ls /home/seen"] {
        assert!(!machine.holds(&format!("{inside} {forbidden}")).await, "{forbidden}");
    }
    let credentials =
        format!("tr '\\0' '\\n' </proc/{pid}/environ | sed -n s/^AWS_SHARED_CREDENTIALS_FILE=//p");
    let file = machine.shell(&credentials).await;
    let read = format!("{inside} setpriv --reuid floe-control --clear-groups cat {file}");
    assert_eq!(machine.shell(&read).await, AWS_CREDENTIALS.trim_end());
    assert!(!machine.holds(&format!("setpriv --reuid nobody --clear-groups cat {file}")).await);
    let exposed = exposure(machine, "floe.service").await;
    assert!(exposed <= 1.5, "{exposed}");

    hangs_and_is_started_anew(machine, "floe.service").await;
    operator.floe(&["hosts", "list"]).await.succeeded();
}

#[tokio::test]
async fn an_agent_does_all_its_work_from_its_modules_unit_shut_in() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };

    // The place of secrets is made before users are, at each boot, on no disk.
    let place =
        "stat -c '%a %U' /run/floe/secrets && findmnt -n -o FSTYPE --target /run/floe/secrets";
    assert_eq!(host.shell(place).await, "751 root\ntmpfs");
    let order = "grep -o '^# --- \\(floe-secrets\\|users\\)$' /run/current-system/activate";
    assert_eq!(host.shell(order).await, "# --- floe-secrets\n# --- users");
    host.shell("echo old > /run/floe/secrets/password").await;
    // Identity was made here, at the first boot, and is root's alone.
    assert_eq!(host.shell("find /var/lib/floe -perm /077").await, "");
    assert!(host.holds("test -s /var/lib/floe/identity/key.der").await);

    // A push is tried while the dead man's timer runs, in units that are not shut in.
    let watching = host.watch_for("probation").await;
    world.repository.change(WWW, &version(1));
    let operator = world.operator();
    let push = ["push", WWW, "--watch", "--output", "json"];
    let (pushed, guards) = tokio::join!(operator.floe(&push), async {
        watching.strikes().await;
        host.shell("systemctl list-timers --all --no-legend 'floe-guard-*'").await
    });
    let rollout = pushed.succeeded().rollout();
    assert!(guards.contains("floe-guard-"), "{guards}");
    assert_eq!(host.shell("cat /run/floe/secrets/password").await, "old", "no push takes one away");
    let fields = "journalctl --unit floe-agent --output json FLOE_SERIAL=1 FLOE_PHASE=probation";
    let said = host.shell(&format!("{fields} | head -n 1")).await;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["FLOE_ROLLOUT"], rollout.id(), "{said}");

    // What it has no need of is closed to it.
    let pid = process(host, "floe-agent.service").await;
    host.shell("touch /root/seen /home/seen").await;
    for forbidden in ["touch /etc/x", "touch /usr/x", "ls /root/seen", "ls /home/seen"] {
        let inside = format!("nsenter --target {pid} --mount -- {forbidden}");
        assert!(!host.holds(&inside).await, "{forbidden}");
    }
    // It lives in the same boot as its guard, which nothing shuts in.
    let boot = "/proc/sys/kernel/random/boot_id";
    let line = format!("nsenter --target {pid} --mount cat {boot} | cmp - {boot}");
    assert!(host.holds(&line).await, "another boot id");
    let exposed = exposure(host, "floe-agent.service").await;
    assert!(exposed <= 3.6, "{exposed}");

    hangs_and_is_started_anew(host, "floe-agent.service").await;
    world.await_online().await;
}
