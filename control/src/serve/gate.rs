//! The gate: every call passes it, or is refused; what matters is written down.
//!
//! ```text
//! path ─▶ table ─▶ who is it? ─▶ may they? ─▶ handler ─▶ audit log ─▶ answer
//!           └ not there: refused      └ no: audit log ─▶ refused
//! ```
//!
//! A call that is written down runs to its end even when the caller leaves, so that
//! nobody does something and is gone before it is recorded. Streams that an operator
//! holds open end with the certificate or the operator.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use floe_proto::spiffe::Subject;
use floe_proto::time::Timestamp;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{error, warn};

use super::auth::{Caller, Peer, Topic};
use super::quota::Quota;
use super::roster::Roster;
use super::table::{Audit, Rule};
use crate::clock;
use crate::store::{AuditEntry, Store};

/// The gate of one control plane; a tower layer.
#[derive(Clone)]
pub(super) struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    roster: Roster,
    store: Store,
    quota: Quota,
    /// Calls that run to their end.
    calls: TaskTracker,
}

/// What is behind the gate.
#[derive(Clone)]
pub(super) struct Gated<S> {
    inner: S,
    gate: Gate,
}

/// One call that is looked at.
struct Call {
    rule: &'static Rule,
    caller: Caller,
    address: String,
    topic: Topic,
}

type Ends = Pin<Box<dyn Future<Output = Status> + Send>>;

impl Gate {
    pub(super) fn new(roster: Roster, store: Store) -> Self {
        let shared = Shared { roster, store, quota: Quota::default(), calls: TaskTracker::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Returns when every call that is written down has been.
    pub(super) async fn finish(&self) {
        self.shared.calls.close();
        self.shared.calls.wait().await;
    }

    /// Who calls what, and when the answer has to end.
    fn look(
        &self,
        request: &Request<Body>,
        now: Timestamp,
    ) -> Result<(Call, Option<Ends>), Status> {
        let Some(rule) = Rule::of(request.uri().path()) else {
            return Err(Status::unimplemented("there is no such method here"));
        };
        // Every connection of `accept` has one.
        let peer = request
            .extensions()
            .get::<Peer>()
            .ok_or_else(|| Status::internal("the caller is unknown"))?;
        let (caller, ends) = match peer.speaker_at(now) {
            None => (Caller::Nobody, None),
            Some(speaker) => match &speaker.subject {
                Subject::Host(id) => (Caller::Host(id.clone()), None),
                Subject::Control => (Caller::Control, None),
                Subject::Operator(name) => {
                    let (roster, key) = (self.shared.roster.clone(), speaker.key);
                    let role = roster.role(name, &key, now);
                    let (name, left) = (name.clone(), speaker.expires.since(now));
                    let caller = Caller::Operator { name: name.clone(), role };
                    let ends = async move {
                        tokio::select! {
                            () = roster.gone(name, key) => {
                                Status::permission_denied(
                                    "your certificate speaks for no operator any more",
                                )
                            }
                            () = tokio::time::sleep(left) => {
                                Status::unauthenticated("your certificate has expired")
                            }
                        }
                    };
                    (caller, Some(Box::pin(ends) as Ends))
                }
            },
        };
        let address = peer.address().to_canonical().to_string();
        Ok((Call { rule, caller, address, topic: Topic::default() }, ends))
    }

    /// Writes down what came of a call, where the table says so.
    async fn record(&self, call: &Call, outcome: Result<(), &Status>) -> Result<(), Status> {
        let (code, mut reason) = match outcome {
            Ok(()) => (Code::Ok, String::new()),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        let now = clock::now();
        let is_wanted = match (call.rule.audit, code) {
            (Audit::Never, _) | (Audit::Refusals, Code::Ok) => false,
            (Audit::Refusals | Audit::Always, _) => true,
        };
        if !is_wanted {
            return Ok(());
        }
        let (actor, role) = (call.caller.actor(), call.caller.role());
        // Who was let in is written down each time. Anybody can be refused as often as
        // they like, and must not fill our disk with it.
        let is_operator = matches!(&call.caller, Caller::Operator { role: Some(_), .. });
        if code != Code::Ok && (!is_operator || code == Code::PermissionDenied) {
            let Some(silent) = self.shared.quota.take(&actor, now) else {
                warn!(actor, action = call.rule.action(), reason, "refused, as often before");
                return Ok(());
            };
            if silent > 0 {
                reason = format!("{reason} (and {silent} refusals before it, not written here)");
            }
        }
        let entry = AuditEntry {
            at: now,
            actor,
            role: role.to_owned(),
            address: call.address.clone(),
            action: call.rule.action().to_owned(),
            target: call.topic.text().to_owned(),
            outcome: code_name(code).to_owned(),
            reason,
        };
        self.shared.store.audit(entry.clone()).await.map_err(|error| {
            error!(%error, ?entry, "the audit log could not be written");
            let done = if code == Code::Ok { "it was done, but" } else { "it was refused, and" };
            Status::unavailable(format!("{done} the audit log could not be written"))
        })
    }

    async fn pass<S>(self, mut inner: S, mut request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let (call, ends) = match self.look(&request, clock::now()) {
            Ok(found) => found,
            Err(refusal) => return refusal.into_http(),
        };
        if let Err(refusal) = call.rule.admit(&call.caller) {
            let recorded = self.record(&call, Err(&refusal)).await;
            return recorded.err().unwrap_or(refusal).into_http();
        }
        request.extensions_mut().insert(call.topic.clone());
        match call.rule.audit {
            Audit::Never => {
                let answer = answered(inner.call(request).await);
                match ends {
                    Some(ends) => answer.map(|body| Body::new(Until { body, ends: Some(ends) })),
                    None => answer,
                }
            }
            Audit::Refusals | Audit::Always => {
                let gate = self.clone();
                let whole = async move {
                    let answer = answered(inner.call(request).await);
                    let refusal = Status::from_header_map(answer.headers())
                        .filter(|status| status.code() != Code::Ok);
                    match gate.record(&call, refusal.as_ref().map_or(Ok(()), Err)).await {
                        Ok(()) => answer,
                        Err(status) => status.into_http(),
                    }
                };
                let ended = self.shared.calls.spawn(whole).await;
                ended.unwrap_or_else(|_| Status::internal("the call broke off").into_http())
            }
        }
    }
}

fn answered(answer: Result<Response<Body>, Infallible>) -> Response<Body> {
    match answer {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that said it is ready goes; its clone stays.
        let next = self.inner.clone();
        let (inner, gate) = (mem::replace(&mut self.inner, next), self.gate.clone());
        Box::pin(async move { Ok(gate.pass(inner, request).await) })
    }
}

/// An answer that ends when its caller must not hear more.
struct Until {
    body: Body,
    /// `None` once it has.
    ends: Option<Ends>,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(ends) = &mut self.ends else { return Poll::Ready(None) };
        if let Poll::Ready(status) = ends.as_mut().poll(context) {
            self.ends = None;
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            let ended = status.add_header(&mut trailers).map(|()| Frame::trailers(trailers));
            return Poll::Ready(Some(ended));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ends.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Trailers may come before what was promised.
        SizeHint::default()
    }
}

/// As the gRPC specification spells it, in lower case with hyphens.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid-argument",
        Code::DeadlineExceeded => "deadline-exceeded",
        Code::NotFound => "not-found",
        Code::AlreadyExists => "already-exists",
        Code::PermissionDenied => "permission-denied",
        Code::ResourceExhausted => "resource-exhausted",
        Code::FailedPrecondition => "failed-precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out-of-range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data-loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
