//! `floe.v1.Trust`: versions of the trust root come in, and are shown.

use std::sync::Arc;

use floe_proto::envelope::Envelope;
use floe_proto::pb;
use floe_proto::root::Root;
use floe_proto::transport::MAX_MESSAGE_BYTES;
use tonic::{Request, Response, Status};
use tracing::info;

use super::failure;
use crate::clock;
use crate::serve::app::App;
use crate::serve::auth;
use crate::trust::roots::{self, Version};

/// The handler.
pub struct Trust {
    app: Arc<App>,
}

impl Trust {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::trust_server::Trust for Trust {
    async fn publish_root(
        &self,
        request: Request<pb::PublishRootRequest>,
    ) -> Result<Response<pb::PublishRootReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let (publisher, topic) = (auth::operator(&request)?, auth::topic(&request));
        let envelope = request.into_inner().root_envelope;
        // What it says of itself, so that a refusal has a name in the audit log, too.
        let claimed = Envelope::parse(&envelope).ok();
        if let Some(root) = claimed.and_then(|e| Root::parse(e.unverified_payload()).ok()) {
            topic.is(format_args!("trust root version {}", root.version));
        }
        let published = app.roots.publish(&app.store, envelope, publisher, now).await;
        let published = published.map_err(of_roots)?;
        let version = published.root.version;
        info!(version, operator = published.record.publisher, "published a trust root");
        let version = app.roots.newest().root.version;
        Ok(Response::new(pb::PublishRootReply { version }))
    }

    async fn show_roots(
        &self,
        request: Request<pb::ShowRootsRequest>,
    ) -> Result<Response<pb::ShowRootsReply>, Status> {
        let roots = &self.app.roots;
        let newest = roots.newest().root.version;
        let mut room = ROOM;
        let fits = |version: &Arc<Version>| {
            // One always does.
            let first = room == ROOM;
            room = room.saturating_sub(version.record.envelope.len() + OVERHEAD);
            first || room > 0
        };
        let shown = roots.after(request.get_ref().after).into_iter().take_while(fits);
        let roots = shown.map(|version| view(&version)).collect();
        Ok(Response::new(pb::ShowRootsReply { roots, newest }))
    }
}

/// Half of a message.
const ROOM: usize = MAX_MESSAGE_BYTES / 2;

/// What a version takes beside its envelope, and more.
const OVERHEAD: usize = 1024;

fn view(version: &Version) -> pb::RootVersion {
    pb::RootVersion {
        version: version.root.version,
        root_envelope: version.record.envelope.clone(),
        publisher: version.record.publisher.clone(),
        published: version.record.published.as_micros(),
    }
}

fn of_roots(error: roots::Error<crate::store::Error>) -> Status {
    match error {
        roots::Error::Refused(refusal) => failure::refused(&refusal),
        roots::Error::Forked { .. } => Status::already_exists(error.to_string()),
        roots::Error::Records(error) => failure::of_store(error),
        // Only at the start of a control plane.
        roots::Error::File(_) | roots::Error::OtherFleet { .. } | roots::Error::Record { .. } => {
            failure::internal(&error, false)
        }
    }
}
