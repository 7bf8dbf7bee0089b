//! What the ports show and believe, kept up to date while the process runs: another
//! issuer signs a new certificate of the control plane, a retired one is believed no
//! more, and the certificate is made anew long before its end.
//!
//! A handshake that is under way keeps what it began with; [`super::accept`] asks once
//! more who signed its peer's certificate when it is done.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::time::Timestamp;
use floe_proto::transport;
use rcgen::SanType;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::enrol::ca::{self, Authority};
use crate::enrol::issuers::Issuers;
use crate::rollout::ports::Clock;

/// The TLS of each port, as it stands.
pub(super) struct Tls {
    pub(super) grpc: watch::Receiver<Arc<ServerConfig>>,
    pub(super) bucket: watch::Receiver<Arc<ServerConfig>>,
}

/// Makes it anew when it is time; [`Self::run`] is its task.
pub(super) struct Keeper {
    authority: Arc<Authority>,
    issuers: watch::Receiver<Issuers>,
    names: Vec<SanType>,
    clock: Clock,
    /// When what is shown was made, and when it is time.
    fresh: Range<Timestamp>,
    grpc: watch::Sender<Arc<ServerConfig>>,
    bucket: watch::Sender<Arc<ServerConfig>>,
}

impl Keeper {
    /// The keeper, and what it keeps.
    pub(super) fn new(
        authority: Arc<Authority>,
        names: Vec<SanType>,
        clock: Clock,
    ) -> Result<(Self, Tls), Error> {
        let issuers = authority.issuers();
        let Made { grpc, bucket, fresh } = make(&authority, &names, clock())?;
        let (grpc, shown_grpc) = watch::channel(grpc);
        let (bucket, shown_bucket) = watch::channel(bucket);
        let tls = Tls { grpc: shown_grpc, bucket: shown_bucket };
        Ok((Self { authority, issuers, names, clock, fresh, grpc, bucket }, tls))
    }

    /// Goes on until `stop`. What cannot be made anew stays as it is until the next look.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.issuers.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                // By the clock, not by a timer of days: it may be set, and the machine sleep.
                () = sleep(LOOK) => {
                    if self.fresh.contains(&(self.clock)()) {
                        continue;
                    }
                }
            }
            match make(&self.authority, &self.names, (self.clock)()) {
                Ok(Made { grpc, bucket, fresh }) => {
                    self.grpc.send_replace(grpc);
                    self.bucket.send_replace(bucket);
                    self.fresh = fresh;
                    info!("the control plane's certificate was made anew");
                }
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    error!(error, "the control plane's certificate could not be made anew");
                }
            }
        }
    }
}

struct Made {
    grpc: Arc<ServerConfig>,
    bucket: Arc<ServerConfig>,
    /// From now until half of the certificate's life.
    fresh: Range<Timestamp>,
}

fn make(authority: &Authority, names: &[SanType], now: Timestamp) -> Result<Made, Error> {
    let control = authority.issue_control(names, now)?;
    let believed = authority.issuers().borrow().believed();
    let grpc = transport::server_config(control.identity(), &believed)?;
    let mut bucket = transport::server_config(control.identity(), &believed)?;
    bucket.alpn_protocols = vec![b"http/1.1".to_vec()];
    let fresh = now..now.after(control.expires().since(now) / 2);
    Ok(Made { grpc: Arc::new(grpc), bucket: Arc::new(bucket), fresh })
}

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate could be made.
    #[error(transparent)]
    Authority(#[from] ca::Error),
    /// It cannot be used.
    #[error(transparent)]
    Tls(#[from] transport::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Authority(error) => error.advice(),
            Self::Tls(_) => "restore the data directory's `ca` from a backup",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::clock;

    static AHEAD: AtomicI64 = AtomicI64::new(0);

    fn set_clock() -> Timestamp {
        Timestamp::from_micros(clock::now().as_micros() + AHEAD.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn the_certificate_is_made_anew_by_the_clock_and_not_after_so_many_days_of_running() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = "fossable.org".parse().unwrap();
        let authority = Arc::new(Authority::open(dir.path(), &fleet, clock::now()).unwrap());
        let (keeper, mut tls) = Keeper::new(authority, Vec::new(), set_clock).unwrap();
        let (stop, mut tasks) = (CancellationToken::new(), tokio::task::JoinSet::new());
        tasks.spawn(keeper.run(stop.clone()));
        sleep(3 * LOOK).await;
        assert!(!tls.grpc.has_changed().unwrap());
        // Slept through, and set back again.
        for days in [16, 0] {
            AHEAD.store(days * 24 * 3600 * 1_000_000, Ordering::SeqCst);
            sleep(2 * LOOK).await;
            assert!(tls.grpc.has_changed().unwrap() && tls.bucket.has_changed().unwrap());
            tls.grpc.mark_unchanged();
            tls.bucket.mark_unchanged();
        }
        stop.cancel();
        tasks.join_all().await;
    }
}
