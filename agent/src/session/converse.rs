//! One stream, from Hello to its end.

use std::time::Duration;

use floe_proto::id::RolloutId;
use floe_proto::pb;
use floe_proto::pb::from_agent::Message as Said;
use floe_proto::pb::host_session_client::HostSessionClient;
use floe_proto::pb::to_agent::Message as Heard;
use floe_proto::pb::{FromAgent, Hello, ToAgent};
use log::{debug, error, info, warn};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use super::handle::{CLOSE_TIMEOUT, LineState, Link};
use super::outbox::Outbox;
use super::wire::{self, MAX_ENVELOPE};
use crate::activation::ports::{Assignment, Suspension};
use crate::preview::Asked;
use crate::secrets::Secrets;
use crate::telemetry::Chain;
use crate::trust::Roots;

/// How long the control plane may take to answer a Hello.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);

/// Messages on their way into the stream; the outbox holds the rest.
const IN_FLIGHT: usize = 4;

/// How many trust roots are looked at on one stream. Whoever has more to say is asked
/// anew, so that no chain keeps a host from all else (docs/trust.md 2.5, catalogue T015).
pub(super) const MAX_ROOTS: u32 = 64;

/// Over how long a time hosts spread at most, when they are told to renew.
const LONGEST_SPREAD: Duration = Duration::from_secs(24 * 3600);

/// The heartbeat where the control plane names none, and its bounds, in seconds.
const DEFAULT_HEARTBEAT: u32 = 30;
const MAX_HEARTBEAT: u32 = 300;

/// What a stream serves.
pub(super) struct Ends<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) wanted: &'a watch::Sender<Option<Assignment>>,
    pub(super) link: &'a watch::Sender<Link>,
    pub(super) roots: &'a Roots,
    pub(super) secrets: &'a Secrets,
    pub(super) taken: &'a watch::Sender<Option<bool>>,
    pub(super) told: &'a watch::Sender<Option<Duration>>,
    /// Whether the machine is suspended; what the Hello says of it has been seen.
    pub(super) suspended: watch::Receiver<Option<Suspension>>,
    pub(super) line: &'a watch::Sender<LineState>,
    pub(super) asked: &'a watch::Sender<Option<Asked>>,
}

/// Opens a stream and serves it. Only returns when it has ended, and says why.
pub(super) async fn converse(
    mut client: HostSessionClient<Channel>,
    hello: Hello,
    ends: Ends<'_>,
) -> Error {
    let (say, said) = mpsc::channel(IN_FLIGHT);
    let opening = async {
        let hello = FromAgent { message: Some(Said::Hello(hello)) };
        say.send(hello).await.map_err(|_| Error::Ended)?;
        let mut hear = client.open(ReceiverStream::new(said)).await?.into_inner();
        match hear.message().await?.and_then(|first| first.message) {
            Some(Heard::Welcome(welcome)) => Ok((hear, welcome)),
            Some(
                Heard::Assignment(_)
                | Heard::ReportReceived(_)
                | Heard::TrustRoot(_)
                | Heard::RenewCertificate(_)
                | Heard::Secrets(_)
                | Heard::Preview(_),
            ) => Err(Error::NoWelcome),
            None => Err(Error::Ended),
        }
    };
    let (hear, welcome) = match timeout(WELCOME_TIMEOUT, opening).await {
        Ok(Ok(open)) => open,
        Ok(Err(error)) => return error,
        Err(_) => return Error::NoWelcome,
    };

    let seconds = match welcome.heartbeat_seconds {
        0 => DEFAULT_HEARTBEAT,
        seconds => seconds.min(MAX_HEARTBEAT),
    };
    info!("connected to the control plane");
    ends.taken.send_replace(Some(true));
    ends.outbox.rewind();
    if let Some(standing) = ends.secrets.standing() {
        ends.outbox.placed(standing);
    }
    ends.link.send_replace(Some(client));
    ends.line.send_replace(LineState::Connected);
    let heartbeat = Duration::from_secs(seconds.into());
    let error = tokio::select! {
        error = listen(hear, &ends) => error,
        error = speak(say, ends.outbox, heartbeat, ends.suspended.clone()) => error,
    };
    // Who asked is gone with the stream.
    ends.asked.send_if_modified(|asked| asked.take().is_some());
    error
}

async fn listen(mut hear: Streaming<ToAgent>, ends: &Ends<'_>) -> Error {
    let mut roots = 0;
    loop {
        match hear.message().await {
            // In its turn: an assignment that comes after it is judged by it.
            Ok(Some(ToAgent { message: Some(Heard::TrustRoot(root)) })) => {
                if roots == MAX_ROOTS {
                    return Error::ManyRoots;
                }
                roots += 1;
                if let Err(error) = ends.roots.offer(&root.root_envelope) {
                    error!("{}; {}", Chain(&error), error.advice());
                }
            }
            Ok(Some(ToAgent { message: Some(message) })) => obey(message, ends),
            // A newer control plane may say what we do not know.
            Ok(Some(ToAgent { message: None })) => debug!("a message of an unknown kind came"),
            Ok(None) => return Error::Ended,
            Err(status) => return status.into(),
        }
    }
}

fn obey(message: Heard, ends: &Ends<'_>) {
    match message {
        Heard::Welcome(_) => debug!("a second welcome came"),
        Heard::ReportReceived(received) => ends.outbox.acknowledge(&received.activation),
        Heard::TrustRoot(_) => debug!("a trust root came out of its turn"),
        // In its turn, too: what is assigned after them may need them.
        Heard::Secrets(secrets) => ends.outbox.placed(ends.secrets.offer(&secrets.sealed)),
        Heard::RenewCertificate(renew) => {
            let within = Duration::from_secs(renew.within_seconds.into()).min(LONGEST_SPREAD);
            ends.told.send_replace(Some(within));
        }
        Heard::Preview(order) if order.preview_envelope.len() > MAX_ENVELOPE => {
            warn!("a preview that is too long was left aside");
        }
        Heard::Preview(order) if order.id.is_empty() => {
            ends.asked.send_replace(None);
        }
        Heard::Preview(order) => {
            let pb::PreviewOrder { id, preview_envelope: envelope, payload_url: url } = order;
            ends.asked.send_replace(Some(Asked { id, envelope, url }));
        }
        Heard::Assignment(assignment) if assignment.manifest_envelope.len() > MAX_ENVELOPE => {
            warn!("an assignment that is too long was left aside");
        }
        // It goes into the journal and into every report of this activation.
        Heard::Assignment(assignment) if assignment.rollout.parse::<RolloutId>().is_err() => {
            warn!("an assignment for what is no rollout was left aside");
        }
        Heard::Assignment(assignment) => {
            let pb::Assignment { manifest_envelope: envelope, rollout, retry } = assignment;
            let assignment = Assignment { envelope, rollout, retry };
            // After a reconnect the same assignment comes again, and is no news.
            ends.wanted.send_if_modified(|wanted| {
                let news = wanted.as_ref() != Some(&assignment);
                if news {
                    *wanted = Some(assignment);
                }
                news
            });
        }
    }
}

async fn speak(
    say: mpsc::Sender<FromAgent>,
    outbox: &Outbox,
    heartbeat: Duration,
    mut suspended: watch::Receiver<Option<Suspension>>,
) -> Error {
    loop {
        // Room first: what was taken from the outbox is never dropped here.
        let Ok(room) = say.reserve().await else { return Error::Ended };
        let next = tokio::select! {
            next = outbox.next() => Some(next),
            Ok(()) = suspended.changed() => None,
            () = sleep(heartbeat) => None,
        };
        let message = match next {
            Some(Some(message)) => message,
            Some(None) => break,
            None => wire::heartbeat(suspended.borrow_and_update().as_ref()),
        };
        room.send(FromAgent { message: Some(message) });
    }
    // The control plane reads what is on its way, and closes its side.
    drop(say);
    sleep(CLOSE_TIMEOUT).await;
    Error::Ended
}

/// Why a stream has ended, or there was none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The control plane closed it.
    #[error("the control plane closed the stream")]
    Ended,
    /// The control plane does not speak the protocol.
    #[error("the control plane did not say welcome")]
    NoWelcome,
    /// More trust roots came than are looked at on one stream.
    #[error("the control plane has more than {MAX_ROOTS} trust roots to tell")]
    ManyRoots,
    /// The call failed; the status says how.
    #[error("the stream to the control plane broke")]
    Status(#[from] Box<tonic::Status>),
}

impl Error {
    /// Whether the control plane does not take this host for one of its own.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Status(status) => {
                matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
            }
            Self::Ended | Self::NoWelcome | Self::ManyRoots => false,
        }
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
