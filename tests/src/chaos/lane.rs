//! One host of a role of its own, which goes through its part of the plan.

use std::time::Duration;

use super::plan::{Blow, Change, Round, Target};
use super::reaper::{self, Reaper};
use super::verdict::{self, Seen};
use crate::host::{Host, State};
use crate::script::{PATIENCE, eventually};
use crate::world::World;

/// How often the control plane is asked. Each time is a `floe` that is started.
const GLANCE: Duration = Duration::from_millis(400);

const NO_GUARD: &str = "! systemctl list-units --all --no-legend 'floe-guard-*' | grep -q .";

/// Lets the agent be started again that a reaper made stay away, where no guard acts any more.
const BACK: &str = "
    if systemctl list-units --all --no-legend 'floe-guard-*' | grep -q .; then exit 1; fi
    rm -rf /run/systemd/system/floe-agent.service.d
    systemctl daemon-reload
    systemctl start floe-agent.service";

/// One host, and what it is made to run.
#[derive(Debug)]
pub struct Lane<'a> {
    world: &'a World,
    role: &'a str,
    host: Host,
    /// What it ran, kept and would have booted when the last round ended.
    before: State,
    kernel: u32,
    number: u32,
    /// The agent stays away until it is let back in.
    gone: bool,
}

/// What came of a round.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Of the new system.
    pub serial: u64,
    /// What is on record.
    pub outcome: String,
}

impl<'a> Lane<'a> {
    /// The host runs a first version, undisturbed.
    pub async fn begin(world: &'a World, role: &'a str, host: Host) -> Self {
        world.repository.change(role, &Change::Good.module(0, 0));
        world.push(role).await.succeeded();
        let before = host.state().await;
        Self { world, role, host, before, kernel: 0, number: 0, gone: false }
    }

    /// Its host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Pushes the round's change, has its blows fall, and looks where the host ends. `hit` is
    /// told of each blow: what, and in which phases.
    ///
    /// # Errors
    ///
    /// In which way the host is stranded or wrongly reported.
    ///
    /// # Panics
    ///
    /// Where the host comes to no end at all.
    pub async fn go_through(
        &mut self,
        round: &Round,
        mut hit: impl FnMut(&Blow, &[String]),
    ) -> Result<Ended, String> {
        self.number += 1;
        self.world.repository.change(self.role, &round.change.module(self.number, self.kernel));
        let mut from = reaper::writes(&self.host).await;
        let push = ["push", self.role, "--output", "json"];
        let serial = self.world.operator().floe(&push).await.succeeded().rollout().serial();
        for blow in &round.blows {
            // Nobody is left but the guard.
            if self.gone && blow.target != Target::Power {
                continue;
            }
            let phases = self.strike(blow, from, serial).await;
            if phases.is_empty() {
                break;
            }
            hit(blow, &phases);
            from = reaper::writes(&self.host).await;
        }
        if self.gone {
            // The guard may have to reboot it.
            eventually("the agent to be let back", async || {
                self.host.holds(BACK).await.then_some(())
            })
            .await;
            self.gone = false;
        }
        let outcome = self.outcome(serial).await;
        self.judge(round.change, &outcome).await?;
        if outcome == "confirmed" && round.change == Change::Kernel {
            self.kernel = self.number;
        }
        Ok(Ended { serial, outcome })
    }

    /// In which phases the blow fell; none where all was over before.
    async fn strike(&mut self, blow: &Blow, from: u64, serial: u64) -> Vec<String> {
        let phases = loop {
            let mut reaper = Reaper::lie_in_wait(&self.host, blow, from);
            let phases = tokio::select! {
                phases = reaper.strikes(blow) => phases,
                () = self.is_over(serial) => return Vec::new(),
            };
            if !phases.is_empty() {
                break phases;
            }
            // It was rebooted, and the reaper with it.
            tokio::select! {
                () = eventually("the host to boot", async || self.host.holds("true").await.then_some(())) => {}
                () = self.is_over(serial) => return Vec::new(),
            }
        };
        match blow.target {
            Target::Power => {
                self.host.cut_power().await;
                self.host.boot().await;
                self.gone = false;
            }
            Target::Guard => self.gone = true,
            Target::Agent | Target::Switch | Target::Build => {}
        }
        phases
    }

    /// Returns when there is nothing left to strike.
    async fn is_over(&self, serial: u64) {
        if self.gone {
            while !self.host.holds(NO_GUARD).await {
                tokio::time::sleep(GLANCE).await;
            }
        } else {
            self.outcome(serial).await;
        }
    }

    /// What the control plane has on record, once it has.
    async fn outcome(&self, serial: u64) -> String {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(outcome) = self.world.outcome(&self.host, serial).await {
                    return outcome;
                }
                tokio::time::sleep(GLANCE).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("serial {serial} came to no end that is on record"))
    }

    async fn judge(&mut self, change: Change, outcome: &str) -> Result<(), String> {
        self.host.comes_to_rest().await;
        self.host.has_no_guard().await;
        let now = self.host.state().await;
        let boots_next = self.host.shell("stand-in boot-next").await;
        let record = self.world.record(&self.host).await;
        let before = std::mem::replace(&mut self.before, now.clone());
        verdict::judge(&Seen {
            change,
            before: &before,
            now: &now,
            boots_next: boots_next.trim(),
            outcome,
            on_record: record["host"]["running"].as_str().unwrap_or_default(),
        })
    }
}
