//! `make chaos KILLS=200 SEED=n`: see `floe_tests::chaos`.
//!
//! Prints the seed, a line for each kill, where each push ended, and the verdict. Ends with 1
//! where a host is stranded or wrongly reported; its journal is then in `target/`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a tool for developers: it talks to people, and stops where it cannot go on"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use floe_tests::chaos::lane::Lane;
use floe_tests::chaos::plan;
use floe_tests::host::Host;
use floe_tests::script;
use floe_tests::world::{self, World};
use futures_util::FutureExt as _;

/// The roles, with a host each: rollouts of two roles go side by side.
const ROLES: [&str; 2] = ["www.fossable.org", "mail.fossable.org"];

const USAGE: &str = "usage: chaos [--kills N] [--seed N]";

/// Where all lanes have come to.
struct Run {
    seed: u64,
    kills: usize,
    hit: Cell<usize>,
    rounds: Cell<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some((kills, seed)) = arguments(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let run = Run { seed, kills, hit: Cell::new(0), rounds: Cell::new(0) };
    println!("seed {seed}: {kills} kills");
    let mut world = World::of(&ROLES.map(|role| (role, 1))).await;
    for role in ROLES {
        let (soak, probation) = ("soak = \"2s\"", "probation = \"30s\"");
        world.repository.edit_host_toml(role, soak, "soak = \"1s\"");
        let shorter = "probation = \"20s\"\nreboot = \"if-needed\"";
        world.repository.edit_host_toml(role, probation, shorter);
    }
    let hosts = std::mem::take(&mut world.hosts);
    let lanes = ROLES.into_iter().zip(hosts).enumerate();
    let lanes = lanes.map(|(number, (role, host))| run.lane(number, role, host, &world));
    let ended = world::join_all(lanes).await;

    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for ended in ended {
        match ended {
            Ok(tally) => tally.into_iter().for_each(|(outcome, count)| {
                *outcomes.entry(outcome).or_default() += count;
            }),
            Err(fault) => faults.push(fault),
        }
    }
    let outcomes: Vec<_> = outcomes.iter().map(|(what, n)| format!("{n} {what}")).collect();
    println!("\n{} kills in {} pushes: {}", run.hit.get(), run.rounds.get(), outcomes.join(", "));
    for fault in &faults {
        println!("FAULT {fault}");
    }
    if faults.is_empty() {
        println!("seed {seed}: no host was stranded, none wrongly reported");
        ExitCode::SUCCESS
    } else {
        println!("seed {seed}: {} hosts stranded or wrongly reported", faults.len());
        ExitCode::FAILURE
    }
}

impl Run {
    /// How often the pushes of one host ended how; or what is wrong with it.
    async fn lane(
        &self,
        number: usize,
        role: &str,
        host: Host,
        world: &World,
    ) -> Result<BTreeMap<String, usize>, String> {
        let name = host.name().to_owned();
        let mut lane = Lane::begin(world, role, host).await;
        let mut tally = BTreeMap::new();
        for round in plan::rounds(self.seed, number.try_into().unwrap()) {
            if self.hit.get() >= self.kills {
                break;
            }
            let what = round.change;
            let going = lane.go_through(&round, |blow, phases| {
                let hit = self.hit.replace(self.hit.get() + phases.len()) + phases.len();
                let (kills, late) = (self.kills, blow.delay.as_millis());
                println!(
                    "kill {hit:>4}/{kills} {name}: {} while {}, {late} ms later; {what}",
                    blow.target,
                    phases.join(", "),
                );
            });
            let ended = AssertUnwindSafe(going).catch_unwind().await;
            let ended = ended.unwrap_or_else(|_| Err("stranded: see above".to_owned()));
            match ended {
                Ok(ended) => {
                    self.rounds.set(self.rounds.get() + 1);
                    println!("     {name}: serial {} {}: {}", ended.serial, what, ended.outcome);
                    *tally.entry(ended.outcome).or_default() += 1;
                }
                Err(fault) => {
                    let log = self.evidence(&lane).await;
                    return Err(format!("{name}, with {what}: {fault} ({log})"));
                }
            }
        }
        Ok(tally)
    }

    /// Keeps the host's journal; says where.
    async fn evidence(&self, lane: &Lane<'_>) -> String {
        let file = format!("chaos-{}-{}.log", self.seed, lane.host().name());
        let file = script::target_directory().join(file);
        let journal = AssertUnwindSafe(lane.host().journal()).catch_unwind();
        match tokio::time::timeout(Duration::from_secs(60), journal).await {
            Ok(Ok(journal)) => {
                std::fs::write(&file, journal).unwrap();
                format!("its journal is in {}", file.display())
            }
            Ok(Err(_)) | Err(_) => "its journal could not be read".to_owned(),
        }
    }
}

/// Kills and seed.
fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(usize, u64)> {
    let (mut kills, mut seed) = (200, u64::from(fastrand::u32(..)));
    while let Some(argument) = arguments.next() {
        let value = arguments.next()?;
        match &*argument {
            "--kills" => kills = value.parse().ok()?,
            "--seed" => seed = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((kills, seed))
}
