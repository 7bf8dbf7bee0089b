//! What is left to a host that comes through to nobody, though its certificate has not ended
//! by its own clock.
//!
//! Who is refused in the handshake (the issuer was retired by force, or by the server's
//! clock the certificate has ended) hears no more than that the connection broke. So after
//! some minutes without a stream it is tried now and then whether another identity can be
//! had, without showing the one in use: by a `join.toml` that somebody put there, or by proof
//! of its key. Until there is another one, everything stays as it is.

use std::path::Path;
use std::time::Duration;

use floe_proto::id::HostId;
use floe_proto::pb::enrol_request::Attestation;
use log::{debug, info, warn};
use tokio::time::{sleep, timeout};

use super::enrol::{Terms, discard_used, enrol};
use super::expired::{self, Answer};
use super::failure::Error;
use super::join;
use super::renew::Line;
use super::store::Store;
use super::wait::{Fingerprint, changed, fingerprint};
use crate::backoff::Backoff;
use crate::telemetry::Chain;

/// How long there may be no stream until more is done than to try again. A control plane
/// that was restarted is back by then.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long it takes at most from one try to the next.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Returns once there is another identity of `host` on the disk; may take for ever.
pub(super) async fn another(terms: &Terms, store: &Store, host: &HostId, line: &impl Line) {
    let (path, mut backoff) = (terms.join_file(), Backoff::new(LONGEST_WAIT, LONGEST_WAIT));
    let (mut tried, mut patience, mut said) = (None, PATIENCE, String::new());
    loop {
        cut_off(line, patience, &path, tried, backoff.next_wait()).await;
        (tried, patience) = (fingerprint(&path), Duration::ZERO);
        // Who is refused in words knows why: see `renew`. The same would be said again.
        if *line.taken().borrow() == Some(false) {
            continue;
        }
        match once(terms, store, host, &path).await {
            Ok(true) => {
                info!(host:% = host; "there was no way to the control plane; this machine has another certificate now");
                return;
            }
            Ok(false) => {}
            Err(failure) => {
                let text = Chain(&failure).to_string();
                if text == said {
                    debug!(host:% = host; "still no other certificate: {text}");
                } else {
                    warn!(host:% = host; "no way to the control plane for minutes, nor another certificate: {text}; trying again now and then, and with every new `{}`", path.display());
                    said = text;
                }
            }
        }
    }
}

/// Returns once there was no stream for so long and it is time for a try: after `wait`, or
/// as soon as somebody puts another file at `path`.
async fn cut_off(
    line: &impl Line,
    mut patience: Duration,
    path: &Path,
    tried: Option<Fingerprint>,
    wait: Duration,
) {
    loop {
        line.stream(false).await;
        if timeout(patience, line.stream(true)).await.is_err() {
            tokio::select! {
                () = line.stream(true) => {}
                () = changed(path, tried) => return,
                () = sleep(wait) => return,
            }
        }
        patience = PATIENCE;
    }
}

/// Whether there is another identity now.
async fn once(terms: &Terms, store: &Store, host: &HostId, path: &Path) -> Result<bool, Error> {
    let by_token = by_token(terms, store, host, path).await;
    if let Ok(true) = by_token {
        return by_token;
    }
    match by_key(terms, store).await {
        Ok(true) => Ok(true),
        by_key => by_token.and(by_key),
    }
}

async fn by_token(terms: &Terms, store: &Store, host: &HostId, path: &Path) -> Result<bool, Error> {
    let join = match join::read(path) {
        Ok(join) => join,
        Err(join::Error::Missing { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if join.host != *host {
        return Err(Error::OtherToken { ours: host.clone(), theirs: join.host });
    }
    let enrolled = enrol(terms, store, host, Attestation::Token(join.token.to_string())).await?;
    discard_used(path, &enrolled.host);
    Ok(true)
}

/// The control plane takes this of a certificate that has not ended, too.
async fn by_key(terms: &Terms, store: &Store) -> Result<bool, Error> {
    let Some(old) = store.load()? else { return Ok(false) };
    match expired::renew(terms, store, &old).await? {
        Answer::Renewed(_) => Ok(true),
        Answer::TooLate => Ok(false),
        Answer::Refused(status) => Err(Error::Refused(status)),
    }
}
