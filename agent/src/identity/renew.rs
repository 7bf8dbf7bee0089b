//! The next certificate, in time: at half of the life of the one in use, give or take a
//! tenth, so that hosts which enrolled together do not come together.
//!
//! The new key is on the disk before it is shown, and the same until it is certified: a
//! lost reply costs nothing. What is renewed takes effect with the next connection, which
//! is made at once; what is being activated goes on meanwhile. Where nothing renews any
//! more, this says so once and sees when somebody puts a token there.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::certificate::Certificate;
use floe_proto::id::HostId;
use floe_proto::pb::{RenewReply, RenewRequest};
use floe_proto::time::Timestamp;
use log::{error, info, warn};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::accept::{accept, request};
use super::enrol::{CALL_TIMEOUT, Terms, discard_used};
use super::failure::Error;
use super::store::{Enrolled, Store};
use super::stranded;
use super::wait::LOOK_AGAIN;
use crate::backoff::Backoff;
use crate::telemetry::Chain;

/// The way to the control plane, as far as certificates need it.
pub trait Line {
    /// Asks for a certificate with the one in use; `None` while there is no stream.
    fn renew(
        &self,
        request: RenewRequest,
    ) -> impl Future<Output = Option<Result<RenewReply, Status>>> + Send;

    /// Returns once there is a stream, or once there is none.
    fn stream(&self, open: bool) -> impl Future<Output = ()> + Send;

    /// Whether the control plane took the certificate in use when it was shown last:
    /// `None` before the first time.
    fn taken(&self) -> watch::Receiver<Option<bool>>;

    /// Over how long a time the control plane wants the hosts to renew, each time that it
    /// says so.
    fn told(&self) -> watch::Receiver<Option<Duration>>;
}

/// Why an identity is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its certificate ended before there was another one.
    Expired,
    /// The control plane refuses it, and somebody put a token there.
    Replaced,
    /// There was no way to the control plane with it, and there is another one on the disk.
    Followed,
}

/// Keeps what `shown` shows fresh, until that is lost.
pub async fn keep(
    terms: &Terms,
    enrolled: &Enrolled,
    line: &impl Line,
    shown: &watch::Sender<Arc<ClientConfig>>,
) -> Lost {
    let (store, host) = (Store::new(&terms.state_directory), &enrolled.host);
    let mut end = enrolled.certificate.not_after;
    let mut due = due(&enrolled.certificate, enrolled.received, random());
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let (mut told, mut renewed) = (line.told(), None::<Timestamp>);
    told.mark_unchanged();
    let mut said = String::new();
    let mut replaced = std::pin::pin!(replaced(terms, host, line));
    let mut another = std::pin::pin!(stranded::another(terms, &store, host, line));
    loop {
        tokio::select! {
            () = until(terms, due.min(end)) => {}
            () = &mut replaced => return Lost::Replaced,
            () = &mut another => return Lost::Followed,
            within = wanted(&mut told) => {
                let least = renewed.map_or_else(Timestamp::default, |last| last.after(LEAST_LIFE));
                due = terms.now().after(part(within, random())).max(least).min(due);
                info!(host:% = host; "the control plane wants this certificate renewed by {due}");
                continue;
            }
        }
        if terms.now() >= end {
            warn!(host:% = host; "the certificate expired at {end} before it could be renewed");
            return Lost::Expired;
        }
        match once(terms, &store, host, line).await {
            Ok((next, tls)) => {
                shown.send_replace(tls);
                info!(host:% = host; "the certificate was renewed and is good until {}", next.not_after);
                let now = terms.now();
                (end, due) = (next.not_after, self::due(&next, Some(now), random()));
                renewed = Some(now);
                backoff.reset();
                said.clear();
            }
            Err(failure) => {
                let (wait, text) = (backoff.next_wait(), Chain(&failure).to_string());
                if text != said {
                    warn!(host:% = host, wait:? = wait; "the certificate, good until {end}, is not renewed yet: {text}");
                    said = text;
                }
                due = terms.now().after(wait.max(SHORTEST_WAIT));
            }
        }
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// However often the control plane says that it wants another one.
const LEAST_LIFE: Duration = Duration::from_secs(60);

async fn once(
    terms: &Terms,
    store: &Store,
    host: &HostId,
    line: &impl Line,
) -> Result<(Certificate, Arc<ClientConfig>), Error> {
    let key = store.key()?;
    let request = RenewRequest { certificate_request: request(&key)? };
    let asking = timeout(CALL_TIMEOUT, line.renew(request)).await;
    let reply = match asking.map_err(|_| Error::Slow)?.ok_or(Error::Disconnected)? {
        Ok(reply) => reply,
        Err(status) => {
            if status.code() == Code::InvalidArgument {
                // It may be of a certificate that is lost; the next try makes another key.
                store.forget_next()?;
            }
            return Err(Error::Refused(Box::new(status)));
        }
    };
    let chain = accept(terms, host, &key, reply.certificate, reply.issuers)?;
    store.save(host, &chain)?;
    let Enrolled { identity, certificate, .. } = store.load()?.ok_or(Error::Vanished)?;
    Ok((certificate, Arc::new(terms.tls(Some(identity))?)))
}

/// Half of its life, give or take a tenth of that; counted from when it came, where that is
/// known, since certificates begin before they are made.
fn due(certificate: &Certificate, received: Option<Timestamp>, random: u64) -> Timestamp {
    let Certificate { not_before, not_after, .. } = *certificate;
    let begin = received.filter(|at| (not_before..not_after).contains(at)).unwrap_or(not_before);
    let half = not_after.since(begin) / 2;
    begin.after(half - half / 10 + part(half / 5, random))
}

/// Anything from nothing to `whole`.
fn part(whole: Duration, random: u64) -> Duration {
    let thousandths = u32::try_from(random % 1001).unwrap_or(0);
    whole / 1000 * thousandths
}

/// Without randomness in the middle: early enough, if not spread.
fn random() -> u64 {
    getrandom::u64().unwrap_or(500)
}

/// Waits in pieces, since the clock may be set meanwhile.
async fn until(terms: &Terms, then: Timestamp) {
    loop {
        let left = then.since(terms.now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LONGEST_NAP)).await;
    }
}

const LONGEST_NAP: Duration = Duration::from_secs(30);

/// Returns when the identity is refused and there is a token for another one. While it
/// is taken, a token that lies there is not needed.
async fn replaced(terms: &Terms, host: &HostId, line: &impl Line) {
    let (path, mut taken) = (terms.join_file(), line.taken());
    loop {
        let state = *taken.borrow_and_update();
        match state {
            Some(true) if path.exists() => discard_used(&path, host),
            Some(true) | None => {}
            Some(false) if path.exists() => return,
            Some(false) => {
                error!(host:% = host; "the control plane refuses this host; waiting for `{}`", path.display());
                error!(
                    "what to do: look with `floe hosts show {host}`; let it in again with `floe hosts resolve`, or with a token of `floe hosts token ROLE --host {host}`"
                );
                while !path.exists() && !taken.has_changed().unwrap_or(false) {
                    sleep(LOOK_AGAIN).await;
                }
                continue;
            }
        }
        if taken.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn wanted(told: &mut watch::Receiver<Option<Duration>>) -> Duration {
    loop {
        if told.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(within) = *told.borrow_and_update() {
            return within;
        }
    }
}

#[cfg(test)]
#[path = "renew_tests.rs"]
mod tests;
