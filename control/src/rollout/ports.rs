//! What a rollout needs of the world: records (implemented by `store`), the hosts'
//! live sessions (by `session`), and whose signatures count (by `trust`).

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::id::{ActivationId, Epoch, HostId, Role, RolloutId, Serial};
use floe_proto::time::Timestamp;

use super::state::{Assignment, Confirmed, Heard, Release, Rollout, Suspended, Word};

/// Reads the clock. The one implementation is the program's clock port.
pub type Clock = fn() -> Timestamp;

/// What survives a restart.
pub trait Records: Send + Sync + 'static {
    /// Why it could not be read or written.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The newest rollout of each role, and the highest number that any rollout has
    /// (0 before the first).
    fn newest(&self) -> impl Future<Output = Result<(Vec<Rollout>, u64), Self::Error>> + Send;

    /// What each host was told last.
    fn told(
        &self,
    ) -> impl Future<Output = Result<Vec<(HostId, RolloutId, Release)>, Self::Error>> + Send;

    /// One rollout, however old.
    fn rollout(
        &self,
        id: &RolloutId,
    ) -> impl Future<Output = Result<Option<Rollout>, Self::Error>> + Send;

    /// The published manifest with this number, and its envelope as it was signed.
    fn published(
        &self,
        role: &Role,
        epoch: Epoch,
        serial: Serial,
    ) -> impl Future<Output = Result<Option<(Release, Vec<u8>)>, Self::Error>> + Send;

    /// The role's hosts.
    fn members(&self, role: &Role)
    -> impl Future<Output = Result<Vec<HostId>, Self::Error>> + Send;

    /// Whether the outcome of this activation is on record.
    fn has_ended(
        &self,
        host: &HostId,
        activation: &ActivationId,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Writes everything, or nothing.
    fn save(&self, changes: &Changes) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What is written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Rollouts as they stand now, each with the hosts of it that changed or left.
    pub rollouts: Vec<(Arc<Rollout>, Vec<HostId>)>,
    /// What hosts said, in the order in which they said it.
    pub heard: Vec<Arc<Heard>>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rollouts.is_empty() && self.heard.is_empty()
    }
}

/// Whose signatures count now.
pub trait Trust: Send + Sync + 'static {
    /// Another number means that something may not be believed any more that was.
    fn version(&self) -> u32;

    /// Why hosts would not believe a manifest's envelope at this moment, or, with
    /// `None`, at any; `None` where they would.
    fn objection(&self, envelope: &[u8], at: Option<Timestamp>) -> Option<String>;

    /// Waits until there is a newer version than at the last call.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// The hosts' live sessions.
pub trait Hosts: Send + Sync + 'static {
    /// Who is connected now.
    fn here(&self) -> BTreeMap<HostId, Here>;

    /// Waits until who is connected, or what they have confirmed, is no longer what
    /// the last call of `here` said.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// What the host should be told from now on. Only the newest order counts;
    /// nothing happens where the host is not connected.
    fn order(&self, host: &HostId, order: Option<Order>);
}

/// A connected host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its role on record.
    pub role: Role,
    /// What it says it has confirmed.
    pub confirmed: Option<Confirmed>,
    /// Whether it says that it begins nothing new.
    pub suspended: Option<Suspended>,
    /// Whether it waits until an operator has seen what would change on it.
    pub held: bool,
    /// Which of its streams this is; another number means that it reconnected.
    pub stream: u64,
}

impl Here {
    /// What it says of itself.
    pub fn word(&self) -> Word {
        let Self { confirmed, held, .. } = *self;
        Word { confirmed, suspended: self.suspended.clone(), held }
    }
}

/// An assignment and the bytes that go to the host with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it should run.
    pub assignment: Assignment,
    /// The manifest's envelope, byte for byte as it was signed.
    pub envelope: Arc<[u8]>,
    /// Whether an operator asked that it is tried again where it was reverted before.
    pub retry: bool,
}
