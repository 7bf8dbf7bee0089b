//! `floe.v1.Login`: a signed login becomes a certificate for half a day.

use std::sync::Arc;

use floe_proto::pb;
use floe_proto::spiffe;
use floe_proto::verify;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::failure;
use crate::clock;
use crate::enrol::attempts::Source;
use crate::enrol::ca::RequestedKey;
use crate::serve::app::App;
use crate::serve::{auth, limits};
use crate::store::OperatorCertificate;

/// The handler.
pub struct Login {
    app: Arc<App>,
}

impl Login {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::login_server::Login for Login {
    async fn log_in(
        &self,
        request: Request<pb::LogInRequest>,
    ) -> Result<Response<pb::LogInReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let (address, topic) = (auth::address(&request)?, auth::topic(&request));
        let attempt =
            app.limits.logins.begin(Source::of(address), now).ok_or_else(limits::too_many)?;
        let pb::LogInRequest { operator: name, certificate_request, login_envelope } =
            request.into_inner();
        topic.is(&name);
        if !spiffe::is_operator(&name) {
            return Err(Status::invalid_argument("this is no operator's name"));
        }
        // A stranger learns that it was refused, and nothing of who is an operator.
        let refused = |why: &dyn std::fmt::Display| {
            attempt.counts();
            warn!(operator = name, %address, %why, "refused a login");
            Status::unauthenticated(
                "there is no such operator, or this is no fresh login of theirs; \
                 `floe serve` logs which",
            )
        };
        let found = app.roster.operator(&name).await.map_err(failure::of_store)?;
        let Some((role, login_key)) = found else { return Err(refused(&"no such operator")) };
        let (envelope, csr) = (&login_envelope, &certificate_request);
        let login = verify::login(envelope, &login_key, &app.fleet, csr, now)
            .map_err(|error| refused(&error))?;
        if login.operator != name {
            return Err(refused(&"the login is another operator's"));
        }
        // Each is kept, so that the operator's own machines could fill the disk.
        let counted = app.limits.operators.begin(name.clone(), now).ok_or_else(limits::too_many)?;
        counted.counts();
        let key = RequestedKey::from_request(csr).map_err(failure::malformed)?;
        let issued = app
            .authority
            .issue_login(&login.operator, &key, now)
            .map_err(|error| failure::internal(&error, false))?;
        let certificate = OperatorCertificate {
            key: key.digest(),
            operator: login.operator.clone(),
            issued: now,
            expires: issued.expires,
        };
        let known = app.roster.log_in(certificate, Some(&login_key)).await;
        if !known.map_err(failure::of_store)? {
            return Err(refused(&"revoked meanwhile, or with a key that was seen before"));
        }
        info!(operator = login.operator, %role, %address, "logged in");
        Ok(Response::new(pb::LogInReply {
            chain: issued.chain_der(),
            expires: issued.expires.as_micros(),
            role: role.to_string(),
        }))
    }
}
