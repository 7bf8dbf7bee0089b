//! What the rest of the agent sees of the session. Cheap to clone.

use std::sync::Arc;
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::pb::host_session_client::HostSessionClient;
use floe_proto::pb::{LocatePayloadRequest, RenewReply, RenewRequest};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::outbox::Outbox;
use super::preview;
use crate::activation::ports::{
    Assignment, Connection, Locate, NotLocated, Progress, Reports, Tell,
};
use crate::activation::state::Report;
use crate::identity::Line;
use crate::preview::{Answer, Asked, Say};
use crate::telemetry::Chain;

/// How long the last messages of a process may take to be read.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to the control plane while a stream is open.
pub(super) type Link = Option<HostSessionClient<Channel>>;

/// How the way to the control plane stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LineState {
    /// Nothing was tried yet, or the first try has not ended.
    #[default]
    Connecting,
    /// A stream is open.
    Connected,
    /// There is none; the next try is after `wait`.
    Waiting {
        /// How long, from when this was said.
        wait: Duration,
        /// Why there is none.
        why: String,
    },
}

/// How long one question may take, waiting for a stream included.
const LOCATE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the rest of the agent sees of the session.
#[derive(Clone)]
pub struct Handle {
    pub(super) outbox: Arc<Outbox>,
    pub(super) link: watch::Receiver<Link>,
    pub(super) wanted: watch::Receiver<Option<Assignment>>,
    pub(super) taken: watch::Receiver<Option<bool>>,
    pub(super) told: watch::Receiver<Option<Duration>>,
    pub(super) line: watch::Receiver<LineState>,
    pub(super) asked: watch::Receiver<Option<Asked>>,
}

impl Handle {
    /// How the way to the control plane stands, as it changes.
    pub fn line(&self) -> watch::Receiver<LineState> {
        self.line.clone()
    }

    /// The newest preview that somebody wants; `None` before the first.
    pub fn previews(&self) -> watch::Receiver<Option<Asked>> {
        self.asked.clone()
    }

    /// The newest assignment; `None` before the first.
    pub fn assignments(&self) -> watch::Receiver<Option<Assignment>> {
        self.wanted.clone()
    }

    /// Sends what waits and ends the stream: for a process that is about to end.
    /// Waits for two seconds at most, and not at all where there is no stream.
    pub async fn close(&self) {
        self.outbox.close();
        let mut link = self.link.clone();
        // Late or not, the process ends now; reports are in the journal.
        let _ = timeout(CLOSE_TIMEOUT, link.wait_for(Option::is_none)).await;
    }
}

/// Connected is who was welcomed on a stream that *this process* opened, so that
/// probation proves the way to the control plane anew.
impl Connection for Handle {
    fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    async fn connected(&self) {
        self.stream(true).await;
    }
}

impl Tell for Handle {
    fn tell(&self, progress: Progress) {
        self.outbox.tell(progress);
    }
}

impl Reports for Handle {
    async fn deliver(&self, report: &Report) {
        self.outbox.deliver(report.clone()).await;
    }
}

impl Say for Handle {
    fn say(&self, id: &str, answer: Answer) {
        self.outbox.preview(preview::news(id, answer));
    }
}

impl Line for Handle {
    async fn renew(&self, request: RenewRequest) -> Option<Result<RenewReply, Status>> {
        let mut client = self.link.borrow().clone()?;
        Some(client.renew(request).await.map(Response::into_inner))
    }

    async fn stream(&self, open: bool) {
        let mut link = self.link.clone();
        if link.wait_for(|link| link.is_some() == open).await.is_err() {
            // There is no session any more: the process is about to end.
            std::future::pending::<()>().await;
        }
    }

    fn taken(&self) -> watch::Receiver<Option<bool>> {
        self.taken.clone()
    }

    fn told(&self) -> watch::Receiver<Option<Duration>> {
        self.told.clone()
    }
}

impl Locate for Handle {
    async fn locate(&self, payload: Digest) -> Result<String, NotLocated> {
        let asking = async {
            let mut link = self.link.clone();
            let link = link.wait_for(Option::is_some).await.ok().and_then(|link| link.clone());
            let mut client = link.ok_or_else(|| NotLocated("there is no session".to_owned()))?;
            let request = LocatePayloadRequest { payload_digest: payload.to_string() };
            let reply = client.locate_payload(request).await;
            reply
                .map(|reply| reply.into_inner().url)
                .map_err(|status| NotLocated(Chain(&status).to_string()))
        };
        let late = || NotLocated("it was not reached in time".to_owned());
        timeout(LOCATE_TIMEOUT, asking).await.unwrap_or_else(|_| Err(late()))
    }
}
