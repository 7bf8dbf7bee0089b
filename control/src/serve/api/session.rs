//! `floe.v1.HostSession`: a host's stream, and where its payload can be had.

use std::pin::Pin;
use std::sync::Arc;

use floe_proto::digest::Digest;
use floe_proto::id::HostId;
use floe_proto::pb;
use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::conversation::{Conversation, Parts};
use super::{failure, renewal};
use crate::clock;
use crate::objects::Object;
use crate::serve::app::App;
use crate::serve::auth;
use crate::store::HostRecord;

/// The handler.
pub struct Session {
    app: Arc<App>,
}

impl Session {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::host_session_server::HostSession for Session {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<pb::ToAgent, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<pb::FromAgent>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let ticket = self.app.sessions.ticket();
        let HostRecord { id: host, role, standing, .. } =
            self.on_record(&request, Call::Stream).await?;
        let parts = Parts {
            sessions: self.app.sessions.clone(),
            rollouts: self.app.rollouts.clone(),
            roots: self.app.roots.clone(),
            sealed: self.app.sealed.clone(),
        };
        let inbound = request.into_inner();
        let conversation = Conversation::new(host, role, inbound, parts, clock::now);
        let conversation = conversation.of_certificate(standing.issuer, ticket);
        Ok(Response::new(Box::pin(conversation.answers())))
    }

    async fn locate_payload(
        &self,
        request: Request<pb::LocatePayloadRequest>,
    ) -> Result<Response<pb::LocatePayloadReply>, Status> {
        let host = self.on_record(&request, Call::Single).await?.id;
        let asked: Digest =
            request.into_inner().payload_digest.parse().map_err(failure::malformed)?;
        let object = self.object(&host, asked).await?;
        let url = self.app.objects.download(&object).await;
        let url = url.map_err(|error| failure::internal(&error, true))?;
        Ok(Response::new(pb::LocatePayloadReply { url }))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewReply>, Status> {
        let host = auth::host(&request)?;
        // Whether the key may renew is decided in the transaction that replaces it.
        self.known(&host).await?;
        let request = request.into_inner().certificate_request;
        let issued = renewal::renew(&self.app, host, &request, clock::now()).await?;
        let (certificate, issuers) = (issued.certificate.to_vec(), issued.issuers_der());
        Ok(Response::new(pb::RenewReply { certificate, issuers }))
    }
}

/// What a host calls for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Its stream, which it opens anew with its newest key.
    Stream,
    /// Something else.
    Single,
}

impl Session {
    /// What `asked` is of the host's assignment. A digest alone gives nothing: whoever has
    /// one may be of another role.
    async fn object(&self, host: &HostId, asked: Digest) -> Result<Object, Status> {
        let other = || Status::not_found("this is nothing of the host's assignment");
        let assigned = self.app.rollouts.assignment(host).ok_or_else(other)?;
        let payload = assigned.release.payload;
        if payload == asked {
            return Ok(Object::Payload(payload));
        }
        let listed = self.app.store.nar_length(&payload, &asked).await;
        listed.map_err(failure::of_store)?.map(|_| Object::Nar(asked)).ok_or_else(other)
    }

    /// The host that calls, if it is on record with the key that it calls with, or
    /// with the one before as long as the new one was not used: a host whose renewal
    /// was not answered has no other.
    async fn on_record<T: Sync>(
        &self,
        request: &Request<T>,
        call: Call,
    ) -> Result<HostRecord, Status> {
        let (host, now) = (auth::host(request)?, clock::now());
        let record = self.known(&host).await?;
        match (record.key == host.key, record.standing.key_used) {
            (true, true) | (false, false) => Ok(record),
            (true, false) => {
                let used = self.app.store.key_is_used(&host.id, &host.key).await;
                used.map_err(failure::of_store)?;
                Ok(record)
            }
            // A host whose key was stolen may never do more than come back to its stream: it
            // knows of no renewal.
            (false, true) if call == Call::Stream && record.standing.has_left_its_key(now) => {
                let reason = "a stream was opened with a key that has been replaced";
                let noted = self.app.store.note_conflict(&host.id, reason, now).await;
                noted.map_err(failure::of_store)?;
                Err(renewal::conflict(&self.app, &host.id))
            }
            // A call of a connection that outlived the renewal is no second machine.
            (false, true) => {
                Err(Status::permission_denied("this key of the host has been replaced"))
            }
        }
    }

    /// The record of a host that is not revoked, and whose key this is, or was before
    /// the current one.
    async fn known(&self, host: &auth::Host) -> Result<HostRecord, Status> {
        let auth::Host { id, key } = host;
        let store = &self.app.store;
        let record = store.host(id).await.map_err(failure::of_store)?;
        let record =
            record.ok_or_else(|| Status::permission_denied("this host is not on record"))?;
        if record.standing.revoked.is_some() {
            return Err(renewal::revoked(id));
        }
        if record.key == *key || record.standing.previous_key == Some(*key) {
            return Ok(record);
        }
        if store.is_conflict(id, key, clock::now()).await.map_err(failure::of_store)? {
            return Err(renewal::conflict(&self.app, id));
        }
        warn!(host = %id, "refused a certificate whose key is not the host's on record");
        Err(Status::permission_denied("this host is on record with another key"))
    }
}
