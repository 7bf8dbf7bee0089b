//! `make bench`: sizes and times, printed and written to `target/bench.json`.
//!
//! Whole processes are measured, as an operator sees them: from `floe push` to its
//! end, which is the last host's `Confirmed`. Soak time is zero, so that what is
//! measured is floe and Nix. Ten hosts and the control plane share this machine.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, talks to people, and stops where it cannot go on"
)]

use std::time::{Duration, Instant};

use floe_tests::operator::Rollout;
use floe_tests::script;
use floe_tests::world::World;
use serde_json::json;

const WWW: &str = "www.fossable.org";
const HOSTS: usize = 10;
const RUNS: u32 = 5;

#[tokio::main]
async fn main() {
    let agent_binary_bytes = std::fs::metadata(script::agent()).unwrap().len();
    println!("agent binary            {:>8.2} MiB", mebibytes(agent_binary_bytes));

    let world = World::of(&[(WWW, HOSTS)]).await;
    world.repository.edit_host_toml(WWW, "soak = \"2s\"", "soak = \"0s\"");
    world.repository.change(WWW, "  systemd.services.website.environment.VERSION = \"0\";");
    world.push(WWW).await.succeeded();

    let mut resident: Vec<u64> = Vec::new();
    for host in &world.hosts {
        let kib = host.shell(
            "awk '/^VmRSS/ { print $2 }' /proc/$(systemctl show -p MainPID --value floe-agent)/status",
        );
        resident.push(kib.await.parse().unwrap());
    }
    let agent_rss_idle_kib = median(resident);
    println!("agent resident, idle    {agent_rss_idle_kib:>8} KiB (median of {HOSTS})");

    let mut noop = Vec::new();
    for _ in 0..RUNS {
        let (taken, rollout) = push(&world).await;
        assert!(rollout.hosts().iter().all(|host| host.unchanged()), "nothing was to be done");
        noop.push(milliseconds(taken));
    }
    let push_noop_10_ms = median(noop);
    println!("push, no-op, 10 hosts   {push_noop_10_ms:>8} ms (median of {RUNS})");

    let (mut change, mut nix) = (Vec::new(), Vec::new());
    for run in 1..=RUNS {
        let version = format!("  systemd.services.website.environment.VERSION = \"{run}\";");
        world.repository.change(WWW, &version);
        let (taken, rollout) = push(&world).await;
        change.push(milliseconds(taken));
        nix.push(nix_part(&rollout));
    }
    let (push_change_10_ms, push_change_10_nix_ms) = (median(change), median(nix));
    println!("push, change, 10 hosts  {push_change_10_ms:>8} ms (median of {RUNS})");
    println!(
        "  of which Nix builds   {push_change_10_nix_ms:>8} ms (canary + slowest of the rest)"
    );

    let figures = json!({
        "agent_binary_bytes": agent_binary_bytes,
        "agent_rss_idle_kib": agent_rss_idle_kib,
        "push_noop_10_ms": push_noop_10_ms,
        "push_change_10_ms": push_change_10_ms,
        "push_change_10_nix_ms": push_change_10_nix_ms,
    });
    let file = script::target_directory().join("bench.json");
    std::fs::write(&file, format!("{figures:#}\n")).unwrap();
    println!("written to {}", file.display());
}

async fn push(world: &World) -> (Duration, Rollout) {
    let begun = Instant::now();
    let finished = world.push(WWW).await.succeeded();
    (begun.elapsed(), finished.rollout())
}

/// Waves go one after the other, and the hosts of a wave side by side.
fn nix_part(rollout: &Rollout) -> u64 {
    let hosts = rollout.hosts();
    let canary = hosts.first().map_or(0, |host| host.build_ms());
    canary + hosts.iter().skip(1).map(|host| host.build_ms()).max().unwrap_or(0)
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
