//! One host's open stream: what it says goes to the rollouts, what it should believe and
//! run goes to it, and what it reported is acknowledged once it is stored.
//!
//! The conversation is driven by whoever reads its answers, and is over when that one
//! stops: no task of its own, nothing to clean up but what `Drop` does. A host that
//! is silent for three heartbeats is gone.

use std::pin::Pin;
use std::time::Duration;

use floe_proto::id::{ActivationId, Epoch, HostId, Role, RolloutId, Serial};
use floe_proto::pb::{self, from_agent, to_agent};
use floe_proto::report::Outcome;
use floe_proto::time::Timestamp;
use floe_proto::wire;
use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tracing::warn;

use super::recipient::Recipient;
use super::{failure, preview};
use crate::enrol::issuers::IssuerNumber;
use crate::rollout::Rollouts;
use crate::rollout::ports::{Clock, Order, Records};
use crate::rollout::state::{Confirmed, Heard, Report, Said, Suspended};
use crate::session::registry::{Greeting, Signer, Ticket};
use crate::session::sealed;
use crate::session::text::{MAX_LINE, MAX_NAME, MAX_REASON, harmless};
use crate::session::{Sealed, Seat, Sessions, director};
use crate::trust::Roots;

/// How often an agent should say that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long it may say nothing at all before it counts as gone.
const SILENCE: Duration = HEARTBEAT.saturating_mul(3);

/// How long it may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// How much that one host said may wait to be stored; it is not listened to meanwhile.
const UNSTORED: usize = 16;

/// The most lines of one message that are kept.
const MAX_LINES: usize = 256;

/// One host's open stream.
pub(super) struct Conversation<I, R> {
    host: HostId,
    role: Role,
    inbound: I,
    sessions: Sessions,
    rollouts: Rollouts<R>,
    roots: Roots,
    secrets: Recipient<R>,
    clock: Clock,
    /// The version of the trust root that the host believes, or was sent last.
    believes: u32,
    /// From the hello on.
    seat: Option<Seat>,
    /// On whose behalf the host was sent something last.
    sent: Option<RolloutId>,
    /// From when the host was looked up.
    ticket: Ticket,
    /// Who signed its certificate, or whose it was told to get.
    issuer: IssuerNumber,
    /// Who signs now.
    signer: watch::Receiver<Signer>,
    /// What it said and is being stored.
    storing: FuturesUnordered<Storing>,
    /// How long the host may say nothing at all.
    silence: Duration,
    /// When it counts as gone.
    deadline: Instant,
}

/// What a conversation goes between.
pub(super) struct Parts<R> {
    pub(super) sessions: Sessions,
    pub(super) rollouts: Rollouts<R>,
    pub(super) roots: Roots,
    pub(super) sealed: Sealed<R>,
}

type Storing = Pin<Box<dyn Future<Output = Result<Option<Stored>, Status>> + Send>>;

/// A report that is on record.
struct Stored {
    activation: ActivationId,
    running: String,
    confirmed: Option<Confirmed>,
}

impl<I, R> Conversation<I, R>
where
    I: Stream<Item = Result<pb::FromAgent, Status>> + Send + Unpin + 'static,
    R: Records + sealed::Records + Clone,
{
    pub(super) fn new(host: HostId, role: Role, inbound: I, parts: Parts<R>, clock: Clock) -> Self {
        let Parts { sessions, rollouts, roots, sealed } = parts;
        Self {
            secrets: Recipient::new(host.clone(), role.clone(), sealed),
            host,
            role,
            inbound,
            ticket: sessions.ticket(),
            issuer: sessions.signer().borrow().issuer,
            signer: sessions.signer(),
            sessions,
            rollouts,
            roots,
            clock,
            believes: 1,
            seat: None,
            sent: None,
            storing: FuturesUnordered::new(),
            silence: SILENCE,
            deadline: Instant::now() + HELLO,
        }
    }

    /// The same, of a host that was looked up after `ticket`, and whose certificate
    /// `issuer` signed.
    pub(super) fn of_certificate(self, issuer: IssuerNumber, ticket: Ticket) -> Self {
        Self { issuer, ticket, ..self }
    }

    /// What the host is answered, until one side ends it.
    pub(super) fn answers(
        self,
    ) -> impl Stream<Item = Result<pb::ToAgent, Status>> + Send + 'static {
        stream::unfold(Some(self), |conversation| async move {
            let mut conversation = conversation?;
            match conversation.next().await {
                Ok(Some(message)) => {
                    Some((Ok(pb::ToAgent { message: Some(message) }), Some(conversation)))
                }
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// The next answer; `None` when the host has closed its side.
    async fn next(&mut self) -> Result<Option<to_agent::Message>, Status> {
        if self.seat.is_none() {
            return self.greet().await;
        }
        loop {
            let Some(seat) = &mut self.seat else { return Ok(None) };
            // First of all: what waits for a host that reads slowly is not sent after its end.
            if let Ok(status) = seat.ended.try_recv() {
                return Err(status);
            }
            // Before any order: what is ordered may be signed under the newest only.
            if let Some(next) = self.roots.next(self.believes) {
                self.believes = next.root.version;
                let root_envelope = next.record.envelope.clone();
                return Ok(Some(to_agent::Message::TrustRoot(pb::TrustRoot { root_envelope })));
            }
            let signer = *self.signer.borrow_and_update();
            if self.issuer < signer.issuer {
                self.issuer = signer.issuer;
                let within_seconds = signer.within_seconds;
                let renew = pb::RenewCertificate { within_seconds };
                return Ok(Some(to_agent::Message::RenewCertificate(renew)));
            }
            // Before any order as well: what is ordered may need them.
            if seat.may_be_told()
                && let Some(secrets) = self.secrets.next().await
            {
                return Ok(Some(to_agent::Message::Secrets(secrets)));
            }
            if let Some(order) = due(seat, self.sent.as_ref()) {
                self.sent = Some(order.assignment.rollout.clone());
                return Ok(Some(to_agent::Message::Assignment(pb::Assignment {
                    manifest_envelope: order.envelope.to_vec(),
                    rollout: order.assignment.rollout.into(),
                    retry: order.retry,
                })));
            }
            if let Some(order) = preview::next(seat) {
                return Ok(Some(to_agent::Message::Preview(order)));
            }
            tokio::select! {
                ended = &mut seat.ended => {
                    return Err(ended.unwrap_or_else(|_| Status::unavailable("the stream was ended")));
                }
                Some(stored) = self.storing.next() => {
                    let Some(Stored { activation, running, confirmed }) = stored? else {
                        continue;
                    };
                    seat.runs(running);
                    if let Some(confirmed) = confirmed {
                        seat.confirms(confirmed);
                    }
                    let activation = activation.into();
                    let received = pb::ReportReceived { activation };
                    return Ok(Some(to_agent::Message::ReportReceived(received)));
                }
                changed = seat.wanted.changed() => {
                    if changed.is_err() {
                        // Whoever took the sender away has said why in `ended`.
                        return Err((&mut seat.ended).await.unwrap_or_else(|_| {
                            Status::unavailable("the stream was ended")
                        }));
                    }
                }
                Ok(()) = seat.asked.changed() => seat.asked.mark_changed(),
                () = self.roots.changed() => {}
                Ok(()) = self.signer.changed() => {}
                () = self.secrets.changed() => {}
                message = self.inbound.next(), if self.storing.len() < UNSTORED => {
                    let Some(message) = message.transpose()? else { return Ok(None) };
                    self.deadline = Instant::now() + self.silence;
                    seat.is_heard();
                    self.take(message).await?;
                }
                () = tokio::time::sleep_until(self.deadline), if self.storing.len() < UNSTORED => {
                    return Err(Status::deadline_exceeded("no heartbeat came"));
                }
            }
        }
    }

    /// The first message is a hello, the first answer a welcome.
    async fn greet(&mut self) -> Result<Option<to_agent::Message>, Status> {
        let first = tokio::time::timeout_at(self.deadline, self.inbound.next())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello came"))?;
        let Some(first) = first.transpose()? else { return Ok(None) };
        let Some(from_agent::Message::Hello(hello)) = first.message else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let greeting = Greeting {
            agent_version: harmless(&hello.agent_version, MAX_NAME),
            system: harmless(&hello.system, MAX_NAME),
            running: harmless(&hello.running, MAX_NAME),
            confirmed: hello.confirmed.map(confirmed).transpose()?,
            suspended: hello.suspended.map(suspended),
            process: harmless(&hello.process, MAX_NAME),
        };
        // An agent that does not say it believes what its image pinned.
        self.believes = hello.root_version.max(1);
        self.compare_roots();
        self.secrets.meet(&hello.sealing_key, hello.secrets, (self.clock)()).await?;
        self.deadline = Instant::now() + self.silence;
        self.seat =
            Some(self.sessions.open(self.host.clone(), self.role.clone(), greeting, self.ticket));
        let heartbeat_seconds = u32::try_from(HEARTBEAT.as_secs()).unwrap_or(u32::MAX);
        Ok(Some(to_agent::Message::Welcome(pb::Welcome { heartbeat_seconds })))
    }

    /// Says what no message can mend.
    fn compare_roots(&self) {
        let (host, believes) = (&self.host, self.believes);
        let newest = self.roots.newest().root.version;
        if believes > newest {
            warn!(%host, believes, newest, "a host believes a newer trust root than is on record");
        } else if believes < newest && self.roots.next(believes).is_none() {
            warn!(%host, believes, "the trust root after the one that a host believes is not on record");
        }
    }

    /// Passes on what the host says.
    async fn take(&mut self, message: pb::FromAgent) -> Result<(), Status> {
        let (activation, said) = match message.message {
            Some(from_agent::Message::Hello(_)) => {
                return Err(Status::invalid_argument("a hello is said once"));
            }
            Some(from_agent::Message::Heartbeat(heartbeat)) => {
                if let Some(seat) = &self.seat {
                    seat.suspends(heartbeat.suspended.map(suspended));
                }
                return Ok(());
            }
            Some(from_agent::Message::SecretsPlaced(placed)) => {
                return self.secrets.are_placed(placed).await;
            }
            Some(from_agent::Message::Preview(said)) => {
                if let (Some(seat), Some(news)) = (&self.seat, said.news) {
                    seat.answers(&said.id, preview::harmless(news));
                }
                return Ok(());
            }
            // A message of a kind that this version does not know is a sign of life.
            None => return Ok(()),
            Some(from_agent::Message::Progress(progress)) => {
                let about = about(progress.epoch, progress.serial);
                let (Some(about), Some(phase)) = (about, wire::phase(progress.phase)) else {
                    return Ok(());
                };
                let detail = harmless(&progress.detail, MAX_REASON);
                (progress.activation, Said::Entered { about, phase, detail })
            }
            Some(from_agent::Message::Output(output)) => {
                let lines = output.lines.iter().take(MAX_LINES);
                let lines = lines.map(|line| harmless(line, MAX_LINE)).collect();
                let phase = wire::phase(output.phase);
                (output.activation, Said::Wrote { phase, lines })
            }
            Some(from_agent::Message::Report(report)) => {
                let activation = report.activation.clone();
                (activation, Said::Ended(parse_report(report)))
            }
        };
        let activation: ActivationId = activation.parse().map_err(failure::malformed)?;
        let report = match &said {
            Said::Ended(report) => Some(report.clone()),
            Said::Entered { .. } | Said::Wrote { .. } => None,
        };
        let heard = Heard {
            host: self.host.clone(),
            role: self.role.clone(),
            activation: activation.clone(),
            at: (self.clock)(),
            said,
        };
        let stored =
            self.rollouts.hear(heard).await.map_err(|error| failure::internal(&error, true))?;
        self.storing.push(Box::pin(async move {
            let stored = stored.await;
            // Progress and lines are best effort; an outcome has to be said again.
            let Some(report) = report else { return Ok(None) };
            stored
                .map_err(|_| Status::unavailable("the report could not be stored; say it again"))?;
            let confirmed = match (report.outcome, report.about, report.manifest) {
                (Outcome::Confirmed, Some((epoch, serial)), Some(manifest)) => {
                    Some(Confirmed { epoch, serial, manifest, reverted: false })
                }
                (..) => None,
            };
            Ok(Some(Stored { activation, running: report.running, confirmed }))
        }));
        Ok(())
    }
}

/// What the host should be sent now, if anything.
fn due(seat: &mut Seat, sent: Option<&RolloutId>) -> Option<Order> {
    if !seat.may_be_told() {
        return None;
    }
    let confirmed = seat.confirmed();
    let wanted = seat.wanted.borrow_and_update();
    wanted
        .as_ref()
        .filter(|order| director::is_due(&order.assignment, confirmed.as_ref(), sent))
        .cloned()
}

/// An outcome that is not known counts as failed (session.proto, `Outcome`).
fn parse_report(report: pb::Report) -> Report {
    let (outcome, unknown) = match wire::outcome(report.outcome) {
        Some(outcome) => (outcome, ""),
        None => (Outcome::Failed, "the agent reported an outcome that is not known here: "),
    };
    Report {
        about: about(report.epoch, report.serial),
        manifest: report.manifest_digest.parse().ok(),
        outcome,
        reason: harmless(&format!("{unknown}{}", report.reason), MAX_REASON),
        running: harmless(&report.running, MAX_NAME),
        unchanged: report.unchanged,
        build_ms: report.build_ms,
    }
}

fn about(epoch: u64, serial: u64) -> Option<(Epoch, Serial)> {
    Some((Epoch::new(epoch.try_into().ok()?), serial.try_into().ok()?))
}

fn suspended(suspended: pb::Suspended) -> Suspended {
    let since = Timestamp::from_micros(suspended.since);
    Suspended { since, reason: harmless(&suspended.reason, MAX_NAME) }
}

fn confirmed(confirmed: pb::Confirmed) -> Result<Confirmed, Status> {
    let (epoch, serial) = about(confirmed.epoch, confirmed.serial)
        .ok_or_else(|| Status::invalid_argument("what was confirmed has no such number"))?;
    let manifest = confirmed.manifest_digest.parse().map_err(failure::malformed)?;
    Ok(Confirmed { epoch, serial, manifest, reverted: confirmed.reverted })
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
