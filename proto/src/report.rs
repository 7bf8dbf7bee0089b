//! What an agent says of an activation: the phase it is in, and what came of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is being done. The order is that of an activation that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The payload is being downloaded.
    Fetching,
    /// The payload is being unpacked.
    Unpacking,
    /// Nix evaluates and builds the new system.
    Building,
    /// It is built, and needs a reboot, for which the role's window is not open yet.
    Waiting,
    /// The new system gets a boot entry of its own, and is chosen for one boot.
    Staging,
    /// The machine is being rebooted into the new system; the boot default stays old.
    Rebooting,
    /// What is there is recorded, and the dead man's timer is being armed.
    Arming,
    /// The new system is being switched to, the boot default stays old.
    Trying,
    /// The host proves itself on the new system.
    Probation,
    /// The timer is being disarmed: the point of no return.
    Disarming,
    /// Profile and boot entry are being set.
    Committing,
    /// The captured previous system is being switched to.
    RollingBack,
    /// The outcome is on its way to the control plane.
    Reporting,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 13] = [
        Self::Fetching,
        Self::Unpacking,
        Self::Building,
        Self::Waiting,
        Self::Staging,
        Self::Rebooting,
        Self::Arming,
        Self::Trying,
        Self::Probation,
        Self::Disarming,
        Self::Committing,
        Self::RollingBack,
        Self::Reporting,
    ];

    /// The phase as people, logs and the database have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Unpacking => "unpacking",
            Self::Building => "building",
            Self::Waiting => "waiting",
            Self::Staging => "staging",
            Self::Rebooting => "rebooting",
            Self::Arming => "arming",
            Self::Trying => "trying",
            Self::Probation => "probation",
            Self::Disarming => "disarming",
            Self::Committing => "committing",
            Self::RollingBack => "rolling back",
            Self::Reporting => "reporting",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What came of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The host proved itself on the new system, which is now its boot default.
    Confirmed,
    /// Nothing on the machine was changed.
    Failed,
    /// The host runs what it ran before.
    RolledBack,
    /// A human switched the machine meanwhile; it was left alone.
    Superseded,
    /// Neither the new nor the old system could be made to run.
    Quarantined,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Confirmed, Self::Failed, Self::RolledBack, Self::Superseded, Self::Quarantined];

    /// The outcome as people, logs and the database have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::Superseded => "superseded",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
