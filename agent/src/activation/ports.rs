//! What an activation needs of the world.
//!
//! `host/` has the one real implementation of [`Machine`], [`Journal`] and [`Clock`],
//! `session/` those of [`Reports`], [`Locate`], [`Connection`] and [`Tell`]. The tests play all of them.
//!
//! What fails on the machine is an [`Event`]: the core knows what to do about it.
//! Only what stops the agent itself is an `Err`.

use std::future::Future;
use std::io;

use floe_proto::digest::Digest;
use floe_proto::id::ActivationId;
use floe_proto::report;
use floe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Event, Task};
use super::state::{Named, Report, Seen, State};

/// The machine that this agent keeps.
pub trait Machine: Send + Sync {
    /// What runs and what would boot. Cheap: reads two links.
    fn look(&self) -> impl Future<Output = Seen> + Send;

    /// Performs `task` and says what came of it.
    ///
    /// Idempotent: after a crash the same task is performed again. Each
    /// implementation bounds its time, and waits a little before it says
    /// [`Event::Busy`] or that something failed again.
    fn perform(&self, task: Task<'_>) -> impl Future<Output = Event> + Send;

    /// Returns when nobody on the machine has asked that nothing new is begun.
    fn unsuspended(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What survives a power cut.
pub trait Journal: Send {
    /// Replaces the stored state; returns once it is on the disk.
    fn write(&mut self, state: &State) -> impl Future<Output = Result<(), Unwritten>> + Send;
}

/// The only source of time.
pub trait Clock: Send + Sync {
    /// Now; never earlier than the newest signed time. Goes back where a clock that was
    /// ahead is set right: nothing may be remembered of what it showed.
    fn now(&self) -> Timestamp;
}

/// The way of an outcome to the control plane.
pub trait Reports: Send + Sync {
    /// Delivers the report; returns once the control plane acknowledged it, however
    /// long that takes.
    fn deliver(&self, report: &Report) -> impl Future<Output = ()> + Send;
}

/// Who knows where a payload lies at the moment.
pub trait Locate: Send + Sync {
    /// A URL for the payload with this digest, good for minutes.
    fn locate(&self, payload: Digest) -> impl Future<Output = Result<String, NotLocated>> + Send;
}

/// Whether this process reaches the control plane.
pub trait Connection: Send + Sync {
    /// Whether a stream is open now that this process opened.
    fn is_connected(&self) -> bool;

    /// Waits until [`Self::is_connected`].
    fn connected(&self) -> impl Future<Output = ()> + Send;
}

/// Who wants to know what happens meanwhile.
pub trait Tell: Send + Sync {
    /// Passes it on. Never waits; may lose it.
    fn tell(&self, progress: Progress);
}

/// Nobody said where the payload lies; worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the control plane did not say where the payload lies: {0}")]
pub struct NotLocated(pub String);

/// What happens while an activation runs. Best effort: never waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whose.
    pub activation: ActivationId,
    /// Of which manifest.
    pub manifest: Named,
    /// In which phase.
    pub phase: report::Phase,
    /// When.
    pub at: Timestamp,
    /// What.
    pub news: News,
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The phase was entered; the text is for people and may be empty.
    Entered(String),
    /// Lines that a build or a trial wrote: at most 4 KiB a line, 256 lines.
    Wrote(Vec<String>),
}

/// What the host should run, as it came from the control plane: not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// DSSE envelope around the manifest, byte for byte.
    pub envelope: Vec<u8>,
    /// On whose behalf, as the control plane says; for logs and retries only.
    pub rollout: String,
    /// Whether an operator asked that what was reverted here is tried again, as the control
    /// plane says.
    pub retry: bool,
}

/// That nothing new is to be begun: somebody on the machine asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    pub since: Timestamp,
    /// Why, in their words; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// The next state could not be recorded, so it must not be acted on.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// The disk said no.
    #[error("could not write the activation journal; nothing was done")]
    Disk(#[source] io::Error),
    /// Somebody else (the dead man's guard) wrote to the journal meanwhile.
    #[error("somebody else went on with this activation; starting again from what is on disk")]
    Overtaken,
}
