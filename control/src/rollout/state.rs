//! Where a rollout and its hosts can stand: plain data, decided on in `step`.
//!
//! Every standing that can last carries its reason in words for people.

use std::collections::BTreeMap;
use std::fmt;

use floe_proto::digest::Digest;
use floe_proto::id::{ActivationId, Epoch, HostId, Role, RolloutId, Serial};
use floe_proto::report::{Outcome, Phase};
use floe_proto::time::Timestamp;

/// One rollout, and a snapshot of it: watchers get clones of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Its name, which is also its place in the order of all rollouts.
    pub id: RolloutId,
    /// What comes to the hosts.
    pub release: Release,
    /// Whether hosts try it again that went back from it before: an operator asked.
    pub retry: bool,
    /// Where it stands as a whole.
    pub state: State,
    /// Why it stands there; one sentence each, may be empty.
    pub reasons: Vec<String>,
    /// The role's hosts.
    pub hosts: BTreeMap<HostId, Host>,
    /// Why nobody may get its manifest any more, said from outside: the trust root
    /// does not believe it. `None` where everybody may.
    pub withdrawn: Option<String>,
    /// When it was started.
    pub started: Timestamp,
    /// When it came to its end. A stopped rollout has ended only when the hosts that
    /// were already at work have, too.
    pub ended: Option<Timestamp>,
}

/// The published manifest that a rollout takes to its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Whose hosts.
    pub role: Role,
    /// With `serial`: its place in the order of the role's manifests.
    pub epoch: Epoch,
    /// Its number.
    pub serial: Serial,
    /// SHA-256 of the signed manifest: the same serial with another digest is not it.
    pub manifest: Digest,
    /// SHA-256 of the payload.
    pub payload: Digest,
}

impl Release {
    /// Its place in the order of the role's manifests.
    pub fn order(&self) -> (Epoch, Serial) {
        (self.epoch, self.serial)
    }
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on, or waits for what its reasons say.
    Running,
    /// Every host that could be reached has confirmed. Who returns later still gets it.
    Done,
    /// A host failed or went back, or the manifest was withdrawn; nobody new is
    /// touched any more.
    Stopped,
    /// A newer rollout of the role took over.
    Superseded,
}

/// One host in a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// 1 for the canary's wave, 2 for the rest.
    pub wave: Wave,
    /// Where it stands.
    pub standing: Standing,
    /// Why it stands there, for people; may be empty.
    pub reason: String,
    /// The payload was running already.
    pub unchanged: bool,
    /// Milliseconds that Nix took on the host; 0 where it was not started.
    pub build_ms: u64,
    /// When it was told; `None` while it is untouched.
    pub assigned: Option<Timestamp>,
}

/// The waves of the one strategy that there is: a canary, then the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// The one host that goes first.
    Canary,
    /// All others, at once.
    Rest,
}

impl Wave {
    /// As a number, from 1.
    pub const fn number(self) -> u32 {
        match self {
            Self::Canary => 1,
            Self::Rest => 2,
        }
    }
}

/// Where a host stands in a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its wave has not begun; nothing was sent to it.
    Untouched,
    /// Its wave has begun, but it is not connected; it is told when it returns.
    Offline,
    /// It was told; nothing was heard of it yet.
    Assigned,
    /// It is at work.
    Activating(Phase),
    /// It has ended. Only `Outcome::Confirmed` is what was wanted.
    Ended(Outcome),
}

/// What a host has confirmed last, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// With `serial`: its place in the order.
    pub epoch: Epoch,
    /// Its number.
    pub serial: Serial,
    /// SHA-256 of the signed manifest.
    pub manifest: Digest,
    /// Somebody on the machine went back from it since, so that it does not run.
    pub reverted: bool,
}

/// That a host begins nothing new: somebody on the machine asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Since when, by the host's clock.
    pub since: Timestamp,
    /// Why, in their words; may be empty. Bounded, without control characters.
    pub reason: String,
}

impl fmt::Display for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => f.write_str("suspended on the machine"),
            reason => write!(f, "suspended on the machine ({reason})"),
        }
    }
}

/// The hosts that are connected, each with what it says.
pub type Present = BTreeMap<HostId, Word>;

/// What a connected host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// What it has confirmed.
    pub confirmed: Option<Confirmed>,
    /// That it begins nothing new, and why. Counts as away, as long as it is not at work.
    pub suspended: Option<Suspended>,
    /// That it was in use before, and nobody has said yes to what would change. Counts as away.
    pub held: bool,
}

/// The control plane's order to one host; the envelope is what it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// On whose behalf.
    pub rollout: RolloutId,
    /// What it should run.
    pub release: Release,
    /// Whether the host should still be told: its rollout is the role's newest and
    /// the host has not answered with an outcome. A settled one stays on record, so
    /// that the host can still fetch what it is at work on.
    pub pending: bool,
}

/// Something that a host said of one of its activations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who.
    pub host: HostId,
    /// As what it spoke: its role on record when it connected.
    pub role: Role,
    /// The attempt, as the agent named it.
    pub activation: ActivationId,
    /// When it was heard, by the control plane's clock.
    pub at: Timestamp,
    /// What.
    pub said: Said,
}

/// What a host says. All text is bounded and without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It entered a phase.
    Entered {
        /// Which manifest it is about.
        about: (Epoch, Serial),
        /// The phase.
        phase: Phase,
        /// For people, may be empty.
        detail: String,
    },
    /// Its build or trial wrote lines.
    Wrote {
        /// While it was in this phase.
        phase: Option<Phase>,
        /// The lines.
        lines: Vec<String>,
    },
    /// It ended.
    Ended(Report),
}

/// What came of an activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which manifest it is about; `None` for one that the agent did not believe.
    pub about: Option<(Epoch, Serial)>,
    /// SHA-256 of the signed manifest.
    pub manifest: Option<Digest>,
    /// What came of it.
    pub outcome: Outcome,
    /// What decided, for people.
    pub reason: String,
    /// The toplevel that the host runs now.
    pub running: String,
    /// The payload was running already.
    pub unchanged: bool,
    /// Milliseconds that Nix took.
    pub build_ms: u64,
}
