//! Where an activation can stand: plain data, as it lies in the journal.
//!
//! Decides nothing (`step.rs` does) and reads nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::admit::Floors;
use floe_proto::digest::Digest;
use floe_proto::entry::Entry;
use floe_proto::id::{ActivationId, Epoch, Serial};
use floe_proto::manifest::{Health, Manifest};
use floe_proto::report;
use floe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::reboot::Reason;
use super::ways::Ways;

/// All that survives a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What this host never goes below. Kept in a file of its own as well.
    pub floors: Floors,
    /// What was confirmed last.
    pub confirmed: Option<Confirmed>,
    /// What the last activation came to.
    pub settled: Option<Settled>,
    /// How those of other manifests ended that had no success; the newest first, bounded.
    #[serde(default)]
    pub earlier: Vec<Settled>,
    /// What is to be reported after what is on its way now; bounded.
    #[serde(default)]
    pub unsent: Vec<Report>,
    /// What is being done.
    pub phase: Phase,
}

/// What is being done. `Box`es keep the enum small; they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is in flight.
    #[default]
    Idle,
    /// The payload is being downloaded.
    Fetching(Box<Order>),
    /// The payload is being unpacked.
    Unpacking(Box<Order>),
    /// Nix evaluates and builds; then what is there is captured and looked over.
    Building(Box<Order>),
    /// It is built and needs a reboot, for these reasons, and the window for reboots is not
    /// open. Once it is, all is built and looked over again: a day may have passed.
    Waiting(Box<Order>, Vec<Reason>),
    /// The new system is given a boot entry of its own, and chosen for one boot.
    Staging(Box<Trial>),
    /// The machine is being rebooted into the new system; the boot default stays old.
    Rebooting(Box<Trial>),
    /// The dead man's timer is being armed.
    Arming(Box<Trial>),
    /// The timer is armed, the machine is being switched; the boot default stays old.
    Trying(Box<Trial>),
    /// The new system's agent lets the machine prove itself.
    Probation(Box<Trial>),
    /// The timer is being disarmed: the point of no return.
    Disarming(Box<Trial>, Verdict),
    /// Profile and boot entry are being set.
    Committing(Box<Trial>),
    /// The captured previous system is being switched to, the timer disarmed.
    RollingBack(Box<Trial>, Undoing),
    /// The outcome is on its way to the control plane.
    Reporting(Box<Report>),
}

/// What was asked for, verified and admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The name of this attempt.
    pub activation: ActivationId,
    /// On whose behalf, as the control plane says; never trusted.
    pub rollout: String,
    /// Whether it is tried again where it was reverted before, as the control plane says;
    /// never trusted, so that attempts are counted all the same.
    #[serde(default)]
    pub retry: bool,
    /// The envelope as it came: verified again when the agent starts anew.
    pub envelope: String,
    /// SHA-256 of the signed manifest.
    pub digest: Digest,
    /// What the envelope says.
    pub manifest: Manifest,
    /// What ran when the order came.
    pub running: Option<Toplevel>,
}

impl Order {
    /// The manifest's name in reports and logs.
    pub fn named(&self) -> Named {
        Named { epoch: self.manifest.epoch, serial: self.manifest.serial, digest: self.digest }
    }
}

/// Which manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of its signed bytes.
    pub digest: Digest,
}

/// A new system, built and rooted, and all that is needed to leave it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What was asked for.
    pub order: Order,
    /// The new system.
    pub to: Toplevel,
    /// What was there before.
    pub before: Before,
    /// How the machine comes to run the new system.
    #[serde(default)]
    pub way: Way,
    /// When the dead man's timer fires, as time since boot.
    pub until: Uptime,
    /// How long Nix took.
    pub build: Duration,
}

/// How a machine comes to run a new system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It is switched while it runs.
    #[default]
    Switch,
    /// It is rebooted into the new system once, for these reasons; the next boot after
    /// that is the old system's again, until the new one is committed.
    Reboot(Vec<Reason>),
}

/// What the machine was like before anything was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The system to return to.
    pub running: Toplevel,
    /// What the system profile pointed at.
    pub profile: Toplevel,
    /// Units that had failed or were crash-looping already.
    pub failed: BTreeSet<String>,
    /// Whether the control plane could be reached.
    pub connected: bool,
    /// Which other ways out worked.
    #[serde(default)]
    pub ways: Ways,
    /// The boot in which this was seen. Where the machine was rebooted into the new
    /// system, the boot in which that is tried.
    pub boot: BootId,
    /// When that was.
    pub at: Uptime,
}

/// What is done once the timer is disarmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The host proved itself: commit.
    Proven,
    /// Somebody else switched the machine to this: leave it alone.
    Superseded(Option<Toplevel>),
}

/// How a rollback goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undoing {
    /// What it is for.
    pub why: Fault,
    /// Profile or boot entry may have been written already.
    pub boot: bool,
    /// How often it failed.
    pub failures: u32,
    /// The way back is a reboot into the old system, which is still the boot default.
    #[serde(default)]
    pub reboot: bool,
}

/// The last confirmed manifest, and what it became on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Which manifest.
    pub manifest: Named,
    /// Its payload.
    pub payload: Digest,
    /// What of the payload was built.
    pub entry: Entry,
    /// What health meant.
    pub health: Health,
    /// The system that came of it.
    pub toplevel: Toplevel,
    /// The system that ran before it; `None` where an older agent kept it.
    #[serde(default)]
    pub before: Option<Toplevel>,
}

/// How the last activation ended, so that the same order is not tried in a loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// On whose behalf it was tried.
    pub rollout: String,
    /// How often this manifest was tried without success.
    pub attempts: u32,
    /// What it was made from; `None` where no manifest was believed. The same payload under
    /// another serial is the same bundle.
    #[serde(default)]
    pub payload: Option<Digest>,
    /// That it was reverted here; later attempts that merely fail leave it.
    #[serde(default)]
    pub reverted: Option<Reverted>,
    /// What was reported.
    pub report: Report,
}

/// That a manifest was reverted here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    /// What decided.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// What came of an activation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The attempt.
    pub activation: ActivationId,
    /// Of which manifest; `None` where it could not be verified, so that nothing it
    /// says is repeated.
    pub manifest: Option<Named>,
    /// How it ended.
    pub outcome: report::Outcome,
    /// For people: which unit, check or rule decided.
    pub reason: String,
    /// What runs now.
    pub running: Option<Toplevel>,
    /// When it ended.
    pub at: Timestamp,
    /// The host ran this payload already; nothing was built or switched.
    pub unchanged: bool,
    /// How long Nix took; zero where it was not started.
    pub build: Duration,
}

/// What runs and what would boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `/run/current-system`.
    pub running: Option<Toplevel>,
    /// The system profile.
    pub profile: Option<Toplevel>,
    /// This boot.
    pub boot: BootId,
    /// For how long the machine has run.
    pub at: Uptime,
}

/// Why something did not come to be; one line for people, shortened to a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fault(String);

impl Fault {
    /// The most bytes that are kept.
    pub const MAX: usize = 3500;

    /// A fault that is explained by `text`.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into().replace(|c: char| c.is_control() && c != '\n', " ");
        if text.len() > Self::MAX {
            let cut = (0..=Self::MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        Self(text)
    }

    /// A fault that is explained by an error and its causes, in one line.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        Self::new(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    /// The explanation.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole NixOS system in the store: `/nix/store/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Toplevel(String);

impl Toplevel {
    /// As a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// A file of the system.
    pub fn join(&self, file: &str) -> PathBuf {
        self.as_path().join(file)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Toplevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Toplevel> for String {
    fn from(toplevel: Toplevel) -> Self {
        toplevel.0
    }
}

impl TryFrom<String> for Toplevel {
    type Error = InvalidToplevel;

    fn try_from(text: String) -> Result<Self, InvalidToplevel> {
        let good = text.strip_prefix("/nix/store/").is_some_and(|name| {
            // The characters of a store path's name, by Nix' manual.
            (1..=250).contains(&name.len())
                && !name.starts_with('.')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b))
        });
        if good { Ok(Self(text)) } else { Err(InvalidToplevel { text }) }
    }
}

impl std::str::FromStr for Toplevel {
    type Err = InvalidToplevel;

    fn from_str(text: &str) -> Result<Self, InvalidToplevel> {
        text.to_owned().try_into()
    }
}

/// The text is no path in the Nix store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidToplevel {
    text: String,
}

impl fmt::Display for InvalidToplevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no system in /nix/store", self.text.escape_debug())
    }
}

impl std::error::Error for InvalidToplevel {}

/// The kernel's name for this boot; another one means that the machine was rebooted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// Time since boot, sleep included: no change of the clock moves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uptime(pub Duration);

impl Uptime {
    /// `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// What is left until `later`; zero where it has passed.
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
