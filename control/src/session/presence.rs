//! What each host said last, in memory; and the task that writes it down for many
//! hosts at once. A heartbeat costs no write of its own.

use std::time::Duration;

use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::registry::Sessions;
use crate::rollout::state::Confirmed;

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
}

/// Writes down what changed, at most every ten seconds, until `stop`, and then once
/// more. Where it cannot be written it is tried again with the next change.
pub async fn keep(sessions: Sessions, records: impl Records, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = sessions.has_news() => {}
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
        write(&sessions, &records).await;
    }
    write(&sessions, &records).await;
}

/// Between two writes. `floe hosts` does not wait for it: it is answered from memory.
const PAUSE: Duration = Duration::from_secs(10);

async fn write(sessions: &Sessions, records: &impl Records) {
    let news = sessions.take_news();
    if news.is_empty() {
        return;
    }
    if let Err(error) = records.write_presence(&news).await {
        warn!(
            error = &error as &(dyn std::error::Error + 'static),
            hosts = news.len(),
            "could not write down when hosts were seen"
        );
        sessions.put_back(news.into_iter().map(|(host, _)| host));
    }
}
