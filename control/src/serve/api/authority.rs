//! `floe.v1.Authority`: the CA's issuers, and which hosts they vouch for no more.

use std::sync::Arc;

use floe_proto::id::HostId;
use floe_proto::pb;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::failure;
use crate::clock;
use crate::enrol::ca;
use crate::enrol::issuers::{IssuerNumber, Known};
use crate::serve::app::App;
use crate::serve::{auth, first};
use crate::session::registry::Signer;
use crate::session::text::{MAX_REASON, harmless};

/// The handler.
pub struct Authority {
    app: Arc<App>,
}

impl Authority {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::authority_server::Authority for Authority {
    async fn show_authority(
        &self,
        _request: Request<pb::ShowAuthorityRequest>,
    ) -> Result<Response<pb::ShowAuthorityReply>, Status> {
        let authority = &self.app.authority;
        let counts = self.app.store.certificates(clock::now()).await.map_err(failure::of_store)?;
        let issuers = authority.issuers().borrow().clone();
        let newest = issuers.newest();
        let issuer = |known: &Known| {
            let (hosts, expired_hosts) = counts.get(&known.number).copied().unwrap_or_default();
            pb::CaIssuer {
                number: known.number.get(),
                made: known.made.as_micros(),
                expires: known.expires.as_micros(),
                retired: known.retired.map_or(0, |at| at.as_micros()),
                current: known.number == newest,
                hosts,
                expired_hosts,
            }
        };
        Ok(Response::new(pb::ShowAuthorityReply {
            issuers: issuers.all().map(issuer).collect(),
            root_expires: authority.root_expires().as_micros(),
            root_key: authority.has_root_key(),
            host_lifetime_seconds: authority.host_lifetime().as_secs(),
        }))
    }

    async fn rotate_issuer(
        &self,
        request: Request<pb::RotateIssuerRequest>,
    ) -> Result<Response<pb::RotateIssuerReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let operator = auth::operator(&request)?;
        let within_seconds = match request.get_ref().within_seconds {
            0 => DEFAULT_WITHIN,
            MOST_WITHIN.. => {
                return Err(Status::invalid_argument("hosts spread over a day at most"));
            }
            seconds => seconds,
        };
        let issuer = app.authority.rotate(now).map_err(of_authority)?;
        auth::about(&request, format_args!("issuer {issuer}"));
        let told = app.sessions.renew_from(Signer { issuer, within_seconds });
        info!(%issuer, operator, told, "another issuer signs certificates");
        // Theirs is of the issuer before, which may be retired soon.
        let renewed = first::operator(&app.operator, &app.authority, &app.roster, now).await;
        if let Err(error) = renewed {
            let error = &error as &(dyn std::error::Error + 'static);
            warn!(error, "the first operator's certificate could not be made anew");
        }
        let told = u32::try_from(told).unwrap_or(u32::MAX);
        Ok(Response::new(pb::RotateIssuerReply { number: issuer.get(), told }))
    }

    async fn retire_issuer(
        &self,
        request: Request<pb::RetireIssuerRequest>,
    ) -> Result<Response<pb::RetireIssuerReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let operator = auth::operator(&request)?;
        let pb::RetireIssuerRequest { number, force } = *request.get_ref();
        let issuer = IssuerNumber::new(number);
        auth::about(&request, format_args!("issuer {issuer}"));
        let counts = app.store.certificates(now).await.map_err(failure::of_store)?;
        let (hosts, expired) = counts.get(&issuer).copied().unwrap_or_default();
        let lost = hosts.saturating_add(expired);
        let newest = app.authority.issuers().borrow().newest();
        if lost > 0 && !force && issuer != newest {
            return Err(Status::failed_precondition(format!(
                "{lost} hosts have a certificate of issuer {issuer} ({expired} of them expired) \
                 and would have to be enrolled anew"
            )));
        }
        app.authority.retire(issuer, now).map_err(of_authority)?;
        info!(%issuer, operator, lost, "retired an issuer");
        Ok(Response::new(pb::RetireIssuerReply { lost }))
    }

    async fn revoke_host(
        &self,
        request: Request<pb::RevokeHostRequest>,
    ) -> Result<Response<pb::RevokeHostReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let operator = auth::operator(&request)?;
        let id = host(&request.get_ref().host)?;
        auth::about(&request, &id);
        let reason = harmless(&request.get_ref().reason, MAX_REASON);
        let revoked = app.store.revoke(&id, &reason, now).await.map_err(failure::of_store)?;
        let revoked = revoked.ok_or_else(|| no_host(&id))?;
        // On record first: whoever connects from now on is refused.
        app.sessions.end(&id, Status::permission_denied("this host was revoked"));
        info!(host = %id, operator, reason, "revoked a host");
        Ok(Response::new(pb::RevokeHostReply { revoked: revoked.as_micros() }))
    }

    async fn resolve_host(
        &self,
        request: Request<pb::ResolveHostRequest>,
    ) -> Result<Response<pb::ResolveHostReply>, Status> {
        let app = &self.app;
        let operator = auth::operator(&request)?;
        let id = host(&request.get_ref().host)?;
        auth::about(&request, &id);
        let was = app.store.resolve_conflict(&id).await.map_err(failure::of_store)?;
        if !was.ok_or_else(|| no_host(&id))? {
            return Err(Status::failed_precondition(format!(
                "host `{id}` is one machine, as far as is known"
            )));
        }
        app.sessions.resolve(&id);
        info!(host = %id, operator, "a conflict was resolved");
        Ok(Response::new(pb::ResolveHostReply {}))
    }
}

const DEFAULT_WITHIN: u32 = 300;
/// One more than a day.
const MOST_WITHIN: u32 = 24 * 3600 + 1;

fn host(text: &str) -> Result<HostId, Status> {
    text.parse().map_err(failure::malformed)
}

fn no_host(id: &HostId) -> Status {
    Status::not_found(format!("there is no host `{id}`"))
}

fn of_authority(error: ca::Error) -> Status {
    match &error {
        ca::Error::NoRootKey { .. } | ca::Error::Current { .. } => {
            Status::failed_precondition(format!("{error}; {}", error.advice()))
        }
        ca::Error::Unknown { .. } => Status::not_found(error.to_string()),
        ca::Error::Request(_)
        | ca::Error::Issue(_)
        | ca::Error::Io { .. }
        | ca::Error::Unreadable { .. }
        | ca::Error::NoIssuer
        | ca::Error::NoRandomness => failure::internal(&error, false),
    }
}
