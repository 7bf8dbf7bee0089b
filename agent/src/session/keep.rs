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
use super::handle::{Handle, LineState, Link};
use super::outbox::Outbox;
use super::wire;
use crate::activation::ports::{Assignment, Suspension};
use crate::backoff::Backoff;
use crate::preview::Asked;
use crate::secrets::Secrets;
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
    secrets: Arc<Secrets>,
    taken: watch::Sender<Option<bool>>,
    told: watch::Sender<Option<Duration>>,
    suspended: watch::Receiver<Option<Suspension>>,
    line: watch::Sender<LineState>,
    asked: watch::Sender<Option<Asked>>,
}

/// A session that is not connected yet, and what others hold of it. What it hears of
/// trust roots goes to `roots`, and of secrets to `secrets`; `suspended` is what the control
/// plane is told of that.
pub fn open(
    roots: Roots,
    secrets: Arc<Secrets>,
    suspended: watch::Receiver<Option<Suspension>>,
) -> (Session, Handle) {
    let outbox = Arc::new(Outbox::default());
    let (wanted, wanted_receiver) = watch::channel(None);
    let (link, link_receiver) = watch::channel(None);
    let (taken, taken_receiver) = watch::channel(None);
    let (told, told_receiver) = watch::channel(None);
    let (line, line_receiver) = watch::channel(LineState::default());
    let (asked, asked_receiver) = watch::channel(None);
    let handle = Handle {
        outbox: Arc::clone(&outbox),
        link: link_receiver,
        wanted: wanted_receiver,
        taken: taken_receiver,
        told: told_receiver,
        line: line_receiver,
        asked: asked_receiver,
    };
    let session =
        Session { outbox, wanted, link, roots, secrets, taken, told, suspended, line, asked };
    (session, handle)
}

impl Session {
    /// Keeps a stream to the control plane at `url` open until it is dropped, or was
    /// closed with [`Handle::close`]. `hello` is asked anew for each stream, since what
    /// the host runs changes; the version of the trust root and what there is of secrets are
    /// added here.
    ///
    /// With each change of `tls` a new stream is opened at once: the certificate was renewed.
    pub async fn keep(
        &self,
        url: &str,
        mut tls: watch::Receiver<Arc<ClientConfig>>,
        hello: impl Fn() -> Hello,
    ) {
        self.taken.send_replace(None);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut said = String::new();
        loop {
            let (began, version) = (Instant::now(), self.roots.version());
            let shown = ClientConfig::clone(&tls.borrow_and_update());
            let ended = tokio::select! {
                ended = self.once(url, shown, &hello) => ended,
                // The link of before is used until there is the next one: nobody is cut off.
                () = changed(&mut tls) => continue,
            };
            self.link.send_replace(None);
            if ended.is_refusal() {
                self.taken.send_replace(Some(false));
            }
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
            self.line.send_replace(LineState::Waiting { wait, why: said.clone() });
            tokio::select! {
                () = sleep(wait) => {}
                () = changed(&mut tls) => {}
            }
        }
    }

    /// What was shown is of no use any more: there is no way to the control plane.
    pub fn lost(&self) {
        self.link.send_replace(None);
        self.taken.send_replace(None);
    }

    async fn once(&self, url: &str, tls: ClientConfig, hello: impl Fn() -> Hello) -> Error {
        let channel = match transport::connect(url, tls).await {
            Ok(channel) => channel,
            Err(error) => return error.into(),
        };
        let client = HostSessionClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let Self { outbox, wanted, link, roots, secrets, taken, told, line, asked, .. } = self;
        let mut suspended = self.suspended.clone();
        let told_now = suspended.borrow_and_update().as_ref().map(wire::suspension);
        let root_version = roots.version();
        let (sealing_key, held) = secrets.greeting();
        let hello =
            Hello { root_version, suspended: told_now, sealing_key, secrets: held, ..hello() };
        let ends =
            Ends { outbox, wanted, link, roots, secrets, taken, told, suspended, line, asked };
        converse(client, hello, ends).await.into()
    }
}

async fn changed(tls: &mut watch::Receiver<Arc<ClientConfig>>) {
    if tls.changed().await.is_err() {
        // Nobody renews any more.
        std::future::pending::<()>().await;
    }
}

/// Why there is no stream now.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Error {
    Connection(#[from] transport::Error),
    Stream(#[from] converse::Error),
}

impl Error {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Stream(error) => error.is_refusal(),
            Self::Connection(_) => false,
        }
    }
}
