//! What handlers are given: handles, all cheap to share.

use std::path::PathBuf;
use std::sync::Arc;

use floe_proto::id::Fleet;
use tokio_util::sync::CancellationToken;

use super::aws::Aws;
use super::limits::Limits;
use super::roster::Roster;
use crate::enrol::ca::Authority;
use crate::objects::Objects;
use crate::rollout::Rollouts;
use crate::session::{Sealed, Sessions};
use crate::store::Store;
use crate::trust::Roots;

/// The parts of a running control plane.
pub struct App {
    /// The fleet that is served.
    pub fleet: Fleet,
    /// Whose signatures count.
    pub roots: Roots,
    /// What is remembered.
    pub store: Store,
    /// Where payloads lie.
    pub objects: Objects,
    /// Who is an operator.
    pub roster: Roster,
    /// Who makes certificates.
    pub authority: Arc<Authority>,
    /// Where the first operator's credentials lie.
    pub operator: PathBuf,
    /// Who tries too often.
    pub limits: Limits,
    /// Who judges instances of EC2; `None` where none may enrol.
    pub aws: Option<Aws>,
    /// What rollouts are asked and told.
    pub rollouts: Rollouts<Store>,
    /// The secrets of roles, on their way to hosts.
    pub sealed: Sealed<Store>,
    /// Who is connected, and what they say.
    pub sessions: Sessions,
    /// Comes when the control plane is going away: streams that wait end then.
    pub closing: CancellationToken,
}
