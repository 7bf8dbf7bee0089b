//! The secrets' part of one host's stream: what it says of its key, and what it is sent.

use floe_proto::id::{Epoch, HostId, Role};
use floe_proto::pb;
use floe_proto::sealed::SealingKey;
use floe_proto::time::Timestamp;
use tokio::sync::watch;
use tonic::Status;
use tracing::warn;

use super::failure;
use crate::session::Sealed;
use crate::session::sealed::{Number, Records};
use crate::session::text::{MAX_REASON, harmless};

/// A host that may be sent secrets.
pub(super) struct Recipient<R> {
    host: HostId,
    role: Role,
    secrets: Sealed<R>,
    /// What it said; `None` where it takes none.
    said: Option<Said>,
    /// What it said last of those that it was sent.
    placed: Option<pb::SecretsPlaced>,
    /// Changes whenever secrets are published.
    published: watch::Receiver<u64>,
    /// What was published last was looked at, and sent if there was anything.
    is_served: bool,
}

struct Said {
    key: SealingKey,
    held: Option<Number>,
}

impl<R: Records> Recipient<R> {
    /// One that has said nothing yet.
    pub(super) fn new(host: HostId, role: Role, secrets: Sealed<R>) -> Self {
        let published = secrets.news();
        Self { host, role, secrets, said: None, placed: None, published, is_served: false }
    }

    /// Takes down what the host's hello says.
    pub(super) async fn meet(
        &mut self,
        key: &[u8],
        held: Option<pb::SecretsHeld>,
        now: Timestamp,
    ) -> Result<(), Status> {
        if key.is_empty() {
            return Ok(());
        }
        let key = SealingKey::try_from(key).map_err(failure::malformed)?;
        let held = held.map(number).transpose()?;
        let noted = self.secrets.hear(&self.host, &key, held, now).await;
        noted.map_err(|error| failure::internal(&error, true))?;
        self.said = Some(Said { key, held });
        Ok(())
    }

    /// What it is to be sent now; nothing twice, unless it was published anew.
    pub(super) async fn next(&mut self) -> Option<pb::Secrets> {
        if self.published.has_changed().unwrap_or_default() {
            self.published.mark_unchanged();
            self.is_served = false;
        }
        let Said { key, held } = self.said.as_ref().filter(|_| !self.is_served)?;
        let due = self.secrets.due(&self.host, &self.role, key, *held).await;
        self.is_served = true;
        match due {
            Ok(due) => due.map(|sealed| pb::Secrets { sealed }),
            // What else the host is to be told does not wait for that.
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                warn!(error, host = %self.host, "could not look up a host's secrets");
                None
            }
        }
    }

    /// Waits until something was published.
    pub(super) async fn changed(&mut self) {
        if self.published.changed().await.is_err() {
            // Nobody publishes any more.
            std::future::pending::<()>().await;
        }
        self.is_served = false;
    }

    /// What became of what it was sent.
    pub(super) async fn are_placed(&mut self, placed: pb::SecretsPlaced) -> Result<(), Status> {
        // A host costs a write for news only.
        if self.placed.as_ref() == Some(&placed) {
            return Ok(());
        }
        self.placed = Some(placed.clone());
        let held = placed.held.map(number).transpose()?;
        let problem = harmless(&placed.problem, MAX_REASON);
        if !problem.is_empty() {
            warn!(host = %self.host, problem, "a host does not have its secrets");
        }
        if let Some(said) = &mut self.said {
            said.held = held;
        }
        let noted = self.secrets.placed(&self.host, held, &problem).await;
        noted.map_err(|error| failure::internal(&error, true))
    }
}

fn number(held: pb::SecretsHeld) -> Result<Number, Status> {
    let none = |_| Status::invalid_argument("the secrets that are held have no such number");
    let epoch = u32::try_from(held.epoch).map_err(failure::malformed)?;
    Ok((Epoch::new(epoch), held.serial.try_into().map_err(none)?))
}
