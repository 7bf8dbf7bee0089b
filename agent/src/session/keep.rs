//! One stream after the other: mTLS, and full jitter between the tries.
//!
//! The first try is made at once. Each try makes a connection of its own, so what a
//! Welcome proves is that this process reaches the control plane now.

use std::sync::Arc;
use std::time::Duration;

use floe_proto::pb::Hello;
use floe_proto::pb::host_session_client::HostSessionClient;
use floe_proto::transport::{self, MAX_MESSAGE_BYTES};
use log::{debug, warn};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::converse::{self, Ends, converse};
use super::handle::{Handle, Link};
use super::outbox::Outbox;
use crate::activation::ports::Assignment;
use crate::backoff::Backoff;
use crate::telemetry::Chain;
use crate::trust::Roots;

/// The longest first wait; short, since a restarted control plane is soon back.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait. An activation's probation is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long a stream must last for the next wait to be short again.
const LASTED: Duration = Duration::from_secs(10);

/// The half of the session that keeps a stream open.
pub struct Session {
    outbox: Arc<Outbox>,
    wanted: watch::Sender<Option<Assignment>>,
    link: watch::Sender<Link>,
    roots: Roots,
}

/// A session that is not connected yet, and what others hold of it. What it hears of
/// trust roots goes to `roots`.
pub fn open(roots: Roots) -> (Session, Handle) {
    let outbox = Arc::new(Outbox::default());
    let (wanted, wanted_receiver) = watch::channel(None);
    let (link, link_receiver) = watch::channel(None);
    let handle =
        Handle { outbox: Arc::clone(&outbox), link: link_receiver, wanted: wanted_receiver };
    (Session { outbox, wanted, link, roots }, handle)
}

impl Session {
    /// Keeps a stream to the control plane at `url` open until it is dropped, or was
    /// closed with [`Handle::close`]. `hello` is asked anew for each stream, since what
    /// the host runs changes; the version of the trust root is added here.
    pub async fn keep(self, url: &str, tls: ClientConfig, hello: impl Fn() -> Hello) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut said = String::new();
        loop {
            let (began, version) = (Instant::now(), self.roots.version());
            let ended = self.once(url, tls.clone(), &hello).await;
            if self.outbox.is_closing() {
                return;
            }
            // Who walks on is not in trouble: each step was signed by the fleet's root keys.
            if began.elapsed() >= LASTED || self.roots.version() > version {
                backoff.reset();
                said.clear();
            }
            let wait = backoff.next_wait();
            // An outage of a day is one line, not thousands.
            let why = Chain(&ended).to_string();
            if why == said {
                debug!(wait:? = wait; "still no stream to the control plane: {why}");
            } else {
                warn!(wait:? = wait; "no stream to the control plane: {why}");
                said = why;
            }
            sleep(wait).await;
        }
    }

    async fn once(&self, url: &str, tls: ClientConfig, hello: impl Fn() -> Hello) -> Error {
        let channel = match transport::connect(url, tls).await {
            Ok(channel) => channel,
            Err(error) => return error.into(),
        };
        let client = HostSessionClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let Self { outbox, wanted, link, roots } = self;
        let hello = Hello { root_version: roots.version(), ..hello() };
        converse(client, hello, Ends { outbox, wanted, link, roots }).await.into()
    }
}

/// Why there is no stream now.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Error {
    Connection(#[from] transport::Error),
    Stream(#[from] converse::Error),
}
