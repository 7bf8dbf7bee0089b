//! What follows in a rollout: pure, and the only place that decides.
//!
//! The strategy is one canary, then all the rest at once. The first host that ends
//! other than confirmed stops the rollout, and nobody new is touched. What a host
//! says may come twice, late or after a reconnect; it changes nothing then. A manifest
//! that is withdrawn stops the rollout likewise.

use floe_proto::id::{HostId, RolloutId};
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;

use super::sentences::{asleep, at_work, failures, gone, names, stopped, tellable};
use super::state::{Host, Present, Release, Rollout, Said, Standing, State, Wave};

/// What should happen next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Tell these hosts; they are the wave's.
    Assign(Wave, Vec<HostId>),
    /// Nothing, because of this.
    Wait(Vec<String>),
    /// Nobody new, because of this.
    Stop(Vec<String>),
    /// Every host that could be reached has confirmed; who could not is named.
    Done(Vec<String>),
}

impl Rollout {
    /// A rollout in which nothing has happened yet.
    pub fn new(
        id: RolloutId,
        release: Release,
        hosts: impl IntoIterator<Item = HostId>,
        now: Timestamp,
    ) -> Self {
        let hosts = hosts.into_iter().map(|host| (host, untouched())).collect();
        Self {
            id,
            release,
            retry: false,
            state: State::Running,
            reasons: Vec::new(),
            hosts,
            withdrawn: None,
            started: now,
            ended: None,
        }
    }

    /// Takes in a host that came to the role after the start. A rollout that is over
    /// for good takes nobody.
    pub fn join(&mut self, host: &HostId) {
        if matches!(self.state, State::Running | State::Done) && !self.hosts.contains_key(host) {
            self.hosts.insert(host.clone(), untouched());
        }
    }

    /// Lets a host go that is of another role now. What it ended with stays.
    pub fn leave(&mut self, host: &HostId) {
        let stays = |host: &Host| self.state == State::Superseded || host.standing.has_ended();
        if self.hosts.get(host).is_some_and(|host| !stays(host)) {
            self.hosts.remove(host);
        }
    }

    /// A newer rollout of the role takes over: nothing more follows from this one.
    pub fn supersede(&mut self, by: &RolloutId, now: Timestamp) {
        match self.state {
            State::Running => {
                self.state = State::Superseded;
                self.reasons = vec![format!("rollout `{by}` of the same role took over")];
            }
            State::Done | State::Stopped | State::Superseded => {}
        }
        self.ended = self.ended.or(Some(now));
    }

    /// Nobody may get its manifest any more. Who was told and said nothing yet counts
    /// as not touched; who is at work comes to an end by itself.
    pub fn withdraw(&mut self, why: String) {
        match self.state {
            State::Running | State::Done | State::Stopped => {}
            State::Superseded => return,
        }
        for host in self.hosts.values_mut().filter(|host| host.standing == Standing::Assigned) {
            host.standing = Standing::Untouched;
        }
        self.withdrawn = Some(why);
    }

    /// Takes in what `host` says of an activation. What is about another manifest,
    /// comes twice, or comes from a host that was not told, changes nothing; but a
    /// host that confirms has confirmed, and one on which somebody goes back from what it
    /// confirmed has not. A report about a manifest that the host did
    /// not believe is about the one that it was told.
    pub fn hear(&mut self, host: &HostId, said: &Said) {
        let (order, wanted) = (self.release.order(), self.release.manifest);
        let Some(host) = self.hosts.get_mut(host) else { return };
        let told = host.standing.is_at_work();
        match said {
            Said::Entered { about, phase, detail } if *about == order && told => {
                host.standing = Standing::Activating(*phase);
                host.reason.clone_from(detail);
            }
            Said::Ended(report) if report.about.unwrap_or(order) == order => {
                let confirmed = report.outcome == Outcome::Confirmed;
                let left = report.outcome == Outcome::RolledBack && report.manifest == Some(wanted);
                if confirmed && report.manifest != Some(wanted) {
                    if told {
                        host.standing = Standing::Ended(Outcome::Failed);
                        host.reason = FORGED.to_owned();
                    }
                } else if told
                    || (confirmed && !host.standing.has_ended())
                    || (left && host.standing == Standing::Ended(Outcome::Confirmed))
                {
                    host.standing = Standing::Ended(report.outcome);
                    host.reason.clone_from(&report.reason);
                    host.unchanged = report.unchanged;
                    host.build_ms = report.build_ms;
                }
            }
            Said::Entered { .. } | Said::Wrote { .. } | Said::Ended(_) => {}
        }
    }

    /// Does what follows from where everything stands; says which hosts are newly to
    /// be told.
    pub fn advance(&mut self, present: &Present, now: Timestamp) -> Vec<HostId> {
        if self.state == State::Superseded {
            return Vec::new();
        }
        self.learn(present);
        let mut told = Vec::new();
        loop {
            let (state, reasons) = match decide(self, present) {
                Decision::Assign(wave, hosts) => {
                    for id in hosts {
                        if let Some(host) = self.hosts.get_mut(&id) {
                            host.wave = wave;
                            host.standing = Standing::Assigned;
                            host.reason.clear();
                            host.assigned = Some(now);
                        }
                        told.push(id);
                    }
                    continue;
                }
                // Who returns to a rollout that is done is no reason to begin it anew.
                Decision::Wait(reasons) => (self.state, reasons),
                Decision::Stop(reasons) => (State::Stopped, reasons),
                Decision::Done(reasons) => (State::Done, reasons),
            };
            (self.state, self.reasons) = (state, reasons);
            break;
        }
        if self.state == State::Done || self.canary_confirmed() {
            self.name_the_offline(present);
        }
        let over = match self.state {
            State::Running => false,
            State::Done | State::Superseded => true,
            State::Stopped => !self
                .hosts
                .iter()
                .filter(|(id, host)| host.standing.is_at_work() && !asleep(present, id, host))
                .any(|(id, _)| present.contains_key(id)),
        };
        if over {
            self.ended = self.ended.or(Some(now));
        }
        told
    }

    /// Whether `host` should be told, or told again when it reconnects. A stopped
    /// rollout tells nobody once those who were at work have ended.
    pub fn is_pending(&self, host: &HostId) -> bool {
        let at_work = self.hosts.get(host).is_some_and(|host| host.standing.is_at_work());
        at_work
            && self.withdrawn.is_none()
            && match self.state {
                State::Running | State::Done => true,
                State::Stopped => self.ended.is_none(),
                State::Superseded => false,
            }
    }

    /// Takes in what connected hosts say they have confirmed.
    fn learn(&mut self, present: &Present) {
        for (id, host) in &mut self.hosts {
            let confirmed = present.get(id).and_then(|word| word.confirmed);
            let Some(confirmed) = confirmed else { continue };
            let untouched = matches!(host.standing, Standing::Untouched | Standing::Offline);
            let order = (confirmed.epoch, confirmed.serial);
            if order == self.release.order() && confirmed.manifest == self.release.manifest {
                // Who is activating says so itself, and with figures.
                if confirmed.reverted {
                    // It does not run: as if nothing had been confirmed.
                } else if untouched || host.standing == Standing::Assigned {
                    host.standing = Standing::Ended(Outcome::Confirmed);
                    host.reason = "had confirmed this manifest already".to_owned();
                    host.unchanged = true;
                }
            } else if order >= self.release.order() && untouched {
                host.standing = Standing::Ended(Outcome::Failed);
                host.reason = if order == self.release.order() {
                    format!("has confirmed another manifest under serial {}", confirmed.serial)
                } else {
                    format!(
                        "has confirmed serial {} already, and never goes below it",
                        confirmed.serial
                    )
                };
            }
        }
    }

    fn canary_confirmed(&self) -> bool {
        self.hosts.values().any(|host| {
            host.wave == Wave::Canary && host.standing == Standing::Ended(Outcome::Confirmed)
        })
    }

    fn name_the_offline(&mut self, present: &Present) {
        if self.state == State::Stopped {
            return;
        }
        for (id, host) in &mut self.hosts {
            let waits = matches!(host.standing, Standing::Untouched | Standing::Offline);
            if waits && !tellable(present, id) {
                host.standing = Standing::Offline;
                host.reason = gone(present, id);
            }
        }
    }
}

impl Standing {
    /// Whether an outcome is known.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Ended(_) => true,
            Self::Untouched | Self::Offline | Self::Assigned | Self::Activating(_) => false,
        }
    }

    /// Whether it was told and has not ended.
    pub const fn is_at_work(self) -> bool {
        match self {
            Self::Assigned | Self::Activating(_) => true,
            Self::Untouched | Self::Offline | Self::Ended(_) => false,
        }
    }
}

const FORGED: &str = "confirmed another manifest of the same serial: somebody may be forging them";

/// The strategy.
pub fn decide(rollout: &Rollout, present: &Present) -> Decision {
    let stopping = failures(rollout);
    if !stopping.is_empty() || rollout.state == State::Stopped || rollout.withdrawn.is_some() {
        return Decision::Stop(stopped(rollout, stopping));
    }
    if rollout.hosts.is_empty() {
        return Decision::Wait(vec![format!(
            "no host of role `{}` is enrolled yet",
            rollout.release.role
        )]);
    }
    let waiting = || {
        rollout
            .hosts
            .iter()
            .filter(|(id, host)| {
                let waits = !host.standing.has_ended() && !host.standing.is_at_work();
                waits || asleep(present, id, host)
            })
            .map(|(id, _)| id)
    };
    let (here, away): (Vec<_>, Vec<_>) = waiting().partition(|id| tellable(present, id));

    // A canary that was told and is asleep since keeps nobody waiting: another is chosen.
    let mut canaries = rollout
        .hosts
        .iter()
        .filter(|(id, host)| host.wave == Wave::Canary && !asleep(present, id, host));
    match canaries.next() {
        Some((id, host)) if !host.standing.has_ended() => {
            Decision::Wait(vec![at_work("the canary ", id, host, present)])
        }
        Some(_) if !here.is_empty() => {
            Decision::Assign(Wave::Rest, here.into_iter().cloned().collect())
        }
        None if let Some(first) = here.first() => {
            Decision::Assign(Wave::Canary, vec![(*first).clone()])
        }
        Some(_) | None => {
            let mut reasons: Vec<_> = rollout
                .hosts
                .iter()
                .filter(|(id, host)| host.standing.is_at_work() && !asleep(present, id, host))
                .map(|(id, host)| at_work("", id, host, present))
                .collect();
            let busy = !reasons.is_empty();
            let reached = rollout.hosts.values().any(|host| host.standing.has_ended());
            let (sleeping, away): (Vec<_>, Vec<_>) =
                away.into_iter().partition(|id| present.contains_key(*id));
            reasons.extend(sleeping.iter().map(|id| format!("`{id}` {}", gone(present, id))));
            if !away.is_empty() {
                let verb = if away.len() == 1 { "is" } else { "are" };
                let gets = if away.len() == 1 {
                    "gets it when it returns"
                } else {
                    "get it when they return"
                };
                reasons.push(format!("{} {verb} not connected; {gets}", names(&away)));
            }
            if busy {
                Decision::Wait(reasons)
            } else if reached {
                Decision::Done(reasons)
            } else {
                let lack = if sleeping.is_empty() { "is connected" } else { "can be told now" };
                let role = &rollout.release.role;
                reasons.insert(0, format!("no host of role `{role}` {lack}"));
                Decision::Wait(reasons)
            }
        }
    }
}

fn untouched() -> Host {
    Host {
        wave: Wave::Rest,
        standing: Standing::Untouched,
        reason: String::new(),
        unchanged: false,
        build_ms: 0,
        assigned: None,
    }
}

#[cfg(test)]
#[path = "reverted_tests.rs"]
mod reverted_tests;
#[cfg(test)]
#[path = "suspended_tests.rs"]
mod suspended_tests;
#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
