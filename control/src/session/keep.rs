//! The task that writes down when hosts were seen, for many of them at once. A
//! heartbeat costs no write of its own.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::presence::Records;
use super::registry::Sessions;
use crate::rollout::ports::Clock;

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

/// Writes down which hosts are two machines, at once, until `stop`.
pub async fn raise(
    sessions: Sessions,
    records: impl Records,
    clock: Clock,
    stop: CancellationToken,
) {
    loop {
        let (host, sign) = tokio::select! {
            () = stop.cancelled() => return,
            alarm = sessions.alarm() => alarm,
        };
        let reason = sign.reason();
        warn!(%host, reason, "two machines have the identity of one host");
        match records.write_conflict(&host, reason, clock()).await {
            Ok(()) => sessions.alarm_is_written(&host),
            Err(error) => {
                warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    %host,
                    "could not write down a conflict"
                );
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }
}

const RETRY: Duration = Duration::from_secs(1);

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
