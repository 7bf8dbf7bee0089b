//! What the ports show and believe, kept up to date while the process runs: another
//! issuer signs a new certificate of the control plane, a retired one is believed no
//! more, and the certificate is made anew long before its end.
//!
//! A handshake that is under way keeps what it began with; [`super::accept`] asks once
//! more who signed its peer's certificate when it is done.

use std::sync::Arc;
use std::time::Duration;

use floe_proto::transport;
use rcgen::SanType;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock;
use crate::enrol::ca::{self, Authority};
use crate::enrol::issuers::Issuers;

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
    grpc: watch::Sender<Arc<ServerConfig>>,
    bucket: watch::Sender<Arc<ServerConfig>>,
}

impl Keeper {
    /// The keeper, and what it keeps.
    pub(super) fn new(
        authority: Arc<Authority>,
        names: Vec<SanType>,
    ) -> Result<(Self, Tls), Error> {
        let issuers = authority.issuers();
        let (grpc, bucket) = make(&authority, &names)?;
        let (grpc, shown_grpc) = watch::channel(grpc);
        let (bucket, shown_bucket) = watch::channel(bucket);
        let tls = Tls { grpc: shown_grpc, bucket: shown_bucket };
        Ok((Self { authority, issuers, names, grpc, bucket }, tls))
    }

    /// Goes on until `stop`. What cannot be made anew stays as it is.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let again = Instant::now() + RENEWED_AFTER;
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.issuers.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = sleep_until(again) => {}
            }
            match make(&self.authority, &self.names) {
                Ok((grpc, bucket)) => {
                    self.grpc.send_replace(grpc);
                    self.bucket.send_replace(bucket);
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

type Both = (Arc<ServerConfig>, Arc<ServerConfig>);

fn make(authority: &Authority, names: &[SanType]) -> Result<Both, Error> {
    let control = authority.issue_control(names, clock::now())?;
    let believed = authority.issuers().borrow().believed();
    let grpc = transport::server_config(control.identity(), &believed)?;
    let mut bucket = transport::server_config(control.identity(), &believed)?;
    bucket.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(grpc), Arc::new(bucket)))
}

/// Half of the certificate's life.
const RENEWED_AFTER: Duration = Duration::from_secs(15 * 24 * 3600);

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
