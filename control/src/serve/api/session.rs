//! `floe.v1.HostSession`: a host's stream, and where its payload can be had.

use std::pin::Pin;
use std::sync::Arc;

use floe_proto::digest::Digest;
use floe_proto::pb;
use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::conversation::Conversation;
use super::failure;
use crate::clock;
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
        let HostRecord { id: host, role, .. } = self.on_record(&request).await?;
        let conversation = Conversation::new(
            host,
            role,
            request.into_inner(),
            self.app.sessions.clone(),
            self.app.rollouts.clone(),
            self.app.roots.clone(),
            clock::now,
        );
        Ok(Response::new(Box::pin(conversation.answers())))
    }

    async fn locate_payload(
        &self,
        request: Request<pb::LocatePayloadRequest>,
    ) -> Result<Response<pb::LocatePayloadReply>, Status> {
        let host = self.on_record(&request).await?.id;
        let payload: Digest =
            request.into_inner().payload_digest.parse().map_err(failure::malformed)?;
        let assigned = self.app.rollouts.assignment(&host);
        if assigned.is_none_or(|assigned| assigned.release.payload != payload) {
            return Err(Status::not_found("this is not the payload of the host's assignment"));
        }
        let url = self
            .app
            .objects
            .download(&payload)
            .await
            .map_err(|error| failure::internal(&error, true))?;
        Ok(Response::new(pb::LocatePayloadReply { url }))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewReply>, Status> {
        self.on_record(&request).await?;
        Err(Status::unimplemented("renewal comes with the certificates of this issue"))
    }
}

impl Session {
    /// The host that calls, if it is on record with the key that it calls with. An
    /// older certificate of the same host speaks for it no more.
    async fn on_record<T: Sync>(&self, request: &Request<T>) -> Result<HostRecord, Status> {
        let auth::Host { id, key } = auth::host(request)?;
        let record = self.app.store.host(&id).await.map_err(failure::of_store)?;
        let record =
            record.ok_or_else(|| Status::permission_denied("this host is not on record"))?;
        if record.key != key {
            warn!(host = %id, "refused a certificate whose key is not the host's on record");
            return Err(Status::permission_denied("this host is on record with another key"));
        }
        Ok(record)
    }
}
