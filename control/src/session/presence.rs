//! What each host said last, as it is in memory, and what can write it down.

use floe_proto::id::HostId;
use floe_proto::time::Timestamp;

use crate::rollout::state::{Confirmed, Suspended};

/// What is known of a host since this process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whether its stream is open.
    pub online: bool,
    /// When it was heard of last.
    pub last_seen: Timestamp,
    /// Version of its agent.
    pub agent_version: String,
    /// The Nix system of the machine.
    pub system: String,
    /// The toplevel that runs.
    pub running: String,
    /// What it has confirmed; `None` before the first.
    pub confirmed: Option<Confirmed>,
    /// Whether it begins nothing new. Not written down: it says so itself.
    pub suspended: Option<Suspended>,
}

/// Where presence is written down.
pub trait Records: Send + Sync + 'static {
    /// Why it could not be.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes all of it in one transaction. A host that says nothing of what it
    /// confirmed leaves that as it is on record.
    fn write_presence(
        &self,
        said: &[(HostId, Presence)],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Writes down that two machines have the identity of a host.
    fn write_conflict(
        &self,
        host: &HostId,
        reason: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
