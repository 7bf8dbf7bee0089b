//! `floe-agent status`: what the disk says about this host, without the control plane.
//!
//! Pure: the journal's state goes in, text or JSON comes out.

use std::fmt;

use floe_proto::digest::Digest;
use floe_proto::id::{ActivationId, Epoch, Fleet, HostId, Role, Serial};
use floe_proto::report::Outcome;
use floe_proto::sealed::SealingKey;
use floe_proto::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::activation::again::MAX_ATTEMPTS;
use crate::activation::ports::Suspension;
use crate::activation::state::{State, Toplevel};
use crate::config::Config;

/// What is known about this host. Absent is what was never there.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Version of this program.
    pub agent: &'static str,
    /// Who this machine is, once it is enrolled.
    pub host: Option<HostId>,
    /// Until when its certificate is good.
    pub certificate_until: Option<Timestamp>,
    /// As configured.
    pub fleet: Fleet,
    /// As configured.
    pub role: Role,
    /// The key that this host's secrets are sealed to, to be compared with what an operator is
    /// asked about; absent before the first connection.
    pub sealing_key: Option<SealingKey>,
    /// The serial of the secrets that this host keeps.
    pub secrets: Option<Serial>,
    /// By which bundles are judged here; absent where it cannot be read.
    pub trust_root: Option<TrustRoot>,
    /// Where the control plane should be.
    pub control_plane: String,
    /// How the agent stands with it, and when it tries again; absent where no agent runs.
    pub connection: Option<String>,
    /// That nothing new is begun, and why; absent where it is.
    pub suspended: Option<Suspension>,
    /// The system that runs now.
    pub running: Option<Toplevel>,
    /// What is being done.
    pub phase: &'static str,
    /// For what that is done.
    pub activation: Option<Activation>,
    /// What was confirmed last.
    pub confirmed: Option<Confirmed>,
    /// How the last activation ended.
    pub last: Option<Last>,
    /// What was reverted here, and is not tried again unless an operator asks.
    pub reverted: Vec<Reverted>,
    /// Below what this host never goes.
    pub floor: Option<Floor>,
    /// The newest time that a manifest seen here was signed at.
    pub newest_signed: Option<Timestamp>,
}

/// Who this machine is.
#[derive(Debug)]
pub struct Identity {
    /// Its name.
    pub host: HostId,
    /// Until when its certificate is good.
    pub until: Timestamp,
}

/// The newest trust root of this host.
#[derive(Debug, Serialize)]
pub struct TrustRoot {
    /// Its number.
    pub version: u32,
    /// From when on nothing new is activated under it.
    pub expires: Timestamp,
}

/// An activation that has not ended.
#[derive(Debug, Serialize)]
pub struct Activation {
    /// The attempt.
    pub id: ActivationId,
    /// Its manifest's serial, if it was believed.
    pub serial: Option<Serial>,
}

/// What was confirmed last.
#[derive(Debug, Serialize)]
pub struct Confirmed {
    /// Epoch of its manifest.
    pub epoch: Epoch,
    /// Serial of its manifest.
    pub serial: Serial,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// SHA-256 of its payload.
    pub payload: Digest,
    /// The system that came of it.
    pub toplevel: Toplevel,
}

/// How an activation ended.
#[derive(Debug, Serialize)]
pub struct Last {
    /// The attempt.
    pub activation: ActivationId,
    /// Its manifest's serial, if it was believed.
    pub serial: Option<Serial>,
    /// How it ended.
    #[serde(serialize_with = "as_text")]
    pub outcome: Outcome,
    /// What decided.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How often its manifest was tried without success, of how many times at most.
    pub attempts: u32,
    /// See there.
    pub attempts_most: u32,
}

/// A bundle that is not tried again unless an operator asks.
#[derive(Debug, Serialize)]
pub struct Reverted {
    /// The serial under which it was tried.
    pub serial: Serial,
    /// How often that was tried.
    pub attempts: u32,
    /// When it was reverted at last.
    pub at: Timestamp,
    /// What decided.
    pub reason: String,
}

/// What the machine says beside the journal.
#[derive(Debug, Default)]
pub struct Machine {
    /// The system that runs now.
    pub running: Option<Toplevel>,
    /// What the agent's process last said of its connection.
    pub connection: Option<String>,
    /// Whether it is suspended.
    pub suspended: Option<Suspension>,
    /// The key that secrets are sealed to.
    pub sealing_key: Option<SealingKey>,
    /// Which secrets are kept.
    pub secrets: Option<Serial>,
}

/// Below what a host never goes.
#[derive(Debug, Serialize)]
pub struct Floor {
    /// First by this,
    pub epoch: Epoch,
    /// then by this.
    pub serial: Serial,
}

fn as_text<S: Serializer>(value: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}

impl Status {
    /// What `config` and the journal's `state` say.
    pub fn new(
        config: &Config,
        state: &State,
        identity: Option<Identity>,
        trust_root: Option<TrustRoot>,
        machine: Machine,
    ) -> Self {
        let activation = match (state.phase.report(), state.phase.order()) {
            (_, Some(order)) => Some(Activation {
                id: order.activation.clone(),
                serial: Some(order.manifest.serial),
            }),
            (Some(report), None) => Some(Activation {
                id: report.activation.clone(),
                serial: report.manifest.map(|manifest| manifest.serial),
            }),
            (None, None) => None,
        };
        let confirmed = state.confirmed.as_ref().map(|confirmed| Confirmed {
            epoch: confirmed.manifest.epoch,
            serial: confirmed.manifest.serial,
            manifest: confirmed.manifest.digest,
            payload: confirmed.payload,
            toplevel: confirmed.toplevel.clone(),
        });
        let last = state.settled.as_ref().map(|settled| Last {
            activation: settled.report.activation.clone(),
            serial: settled.report.manifest.map(|manifest| manifest.serial),
            outcome: settled.report.outcome,
            reason: settled.report.reason.clone(),
            at: settled.report.at,
            attempts: settled.attempts,
            attempts_most: MAX_ATTEMPTS,
        });
        let reverted = state.settled.iter().chain(&state.earlier).filter_map(|settled| {
            let reverted = settled.reverted.as_ref()?;
            let serial = settled.report.manifest?.serial;
            let (attempts, reason) = (settled.attempts, reverted.why.clone());
            Some(Reverted { serial, attempts, at: reverted.at, reason })
        });
        Self {
            agent: env!("CARGO_PKG_VERSION"),
            certificate_until: identity.as_ref().map(|identity| identity.until),
            host: identity.map(|identity| identity.host),
            fleet: config.fleet.clone(),
            role: config.role.clone(),
            sealing_key: machine.sealing_key,
            secrets: machine.secrets,
            trust_root,
            control_plane: config.control_plane.clone(),
            connection: machine.connection,
            suspended: machine.suspended,
            running: machine.running,
            phase: state.phase.name().map_or("idle", |phase| phase.as_str()),
            activation,
            confirmed,
            last,
            reverted: reverted.collect(),
            floor: state.floors.floor.map(|(epoch, serial)| Floor { epoch, serial }),
            newest_signed: state.floors.newest_signed,
        }
    }
}

/// For people: one fact a line.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<15}{value}");
        line("agent", &self.agent)?;
        match &self.host {
            Some(host) => line("host", host)?,
            None => line("host", &"not enrolled yet")?,
        }
        if let Some(until) = &self.certificate_until {
            line("certificate", &format_args!("good until {until}"))?;
        }
        line("fleet", &self.fleet)?;
        line("role", &self.role)?;
        match &self.trust_root {
            Some(TrustRoot { version, expires }) => {
                line("trust root", &format_args!("version {version}, until {expires}"))?;
            }
            None => line("trust root", &"cannot be read")?,
        }
        if let Some(key) = &self.sealing_key {
            let secrets = self.secrets.map_or_else(|| "none".to_owned(), |s| format!("serial {s}"));
            line("secrets", &format_args!("{secrets}, sealed to {key}"))?;
        }
        line("control plane", &self.control_plane)?;
        line("connection", &self.connection.as_deref().unwrap_or("no agent runs"))?;
        if let Some(Suspension { since, reason }) = &self.suspended {
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            line("suspended", &format_args!("since {since}{why}"))?;
        }
        match &self.running {
            Some(running) => line("running", running)?,
            None => line("running", &"no NixOS system")?,
        }
        line("phase", &self.phase)?;
        if let Some(Activation { id, serial: Some(serial) }) = &self.activation {
            line("activation", &format_args!("{id}, serial {serial}"))?;
        }
        match &self.confirmed {
            Some(c) => line("confirmed", &format_args!("serial {}, {}", c.serial, c.toplevel))?,
            None => line("confirmed", &"nothing yet")?,
        }
        if let Some(last) = &self.last {
            let serial =
                last.serial.map_or_else(|| "no serial".to_owned(), |s| format!("serial {s}"));
            line("last", &format_args!("{serial}: {} at {}", last.outcome, last.at))?;
            if !last.reason.is_empty() {
                line("", &last.reason)?;
            }
            if last.attempts > 0 {
                line("attempts", &format_args!("{} of {}", last.attempts, last.attempts_most))?;
            }
        }
        for Reverted { serial, attempts, at, reason } in &self.reverted {
            line(
                "reverted",
                &format_args!(
                    "serial {serial} at {at}, tried {attempts} of {MAX_ATTEMPTS} times; again only with `--retry`"
                ),
            )?;
            if self.last.as_ref().is_none_or(|last| last.reason != *reason) {
                line("", &reason.lines().next().unwrap_or_default())?;
            }
        }
        match &self.floor {
            Some(floor) => line("floor", &format_args!("serial {}", floor.serial)),
            None => line("floor", &"none"),
        }
    }
}
