//! `floe.v1.Enrolment`: parse, ask the store, answer.

use std::sync::Arc;

use floe_proto::id::HostId;
use floe_proto::pb;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::arrival::{self, Asking};
use super::{failure, renewal};
use crate::clock;
use crate::enrol::attempts::Source;
use crate::enrol::ca::RequestedKey;
use crate::enrol::expired::{self, Evidence};
use crate::enrol::token::JoinToken;
use crate::serve::app::App;
use crate::serve::auth;
use crate::serve::limits::{self, Newcomer};
use crate::store::{RENEWABLE, Redeemed, Redemption};

/// The handler.
pub struct Enrolment {
    app: Arc<App>,
}

impl Enrolment {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Whether `host` waits until an operator has seen what would change on it.
    async fn waits(&self, host: &HostId) -> Result<bool, Status> {
        let record = self.app.store.host(host).await.map_err(failure::of_store)?;
        Ok(record.is_some_and(|record| record.adopted.is_some()))
    }
}

#[tonic::async_trait]
impl pb::enrolment_server::Enrolment for Enrolment {
    async fn enrol(
        &self,
        request: Request<pb::EnrolRequest>,
    ) -> Result<Response<pb::EnrolReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let address = auth::address(&request)?;
        let attempt =
            app.limits.enrolments.begin(Source::of(address), now).ok_or_else(limits::too_many)?;
        let topic = auth::topic(&request);
        let request = request.into_inner();
        let token = match request.attestation {
            Some(pb::enrol_request::Attestation::Token(token)) => token,
            Some(pb::enrol_request::Attestation::AwsIid(pb::AwsIid { pkcs7 })) => {
                let asking = Asking {
                    pkcs7: &pkcs7,
                    request: &request.certificate_request,
                    host: &request.host,
                    address,
                    attempt: &attempt,
                    topic: &topic,
                };
                return arrival::enrol(app, asking, now).await.map(Response::new);
            }
            None => {
                return Err(Status::invalid_argument("there is no attestation that is known here"));
            }
        };
        let host: HostId = request.host.parse().map_err(failure::malformed)?;
        topic.is(&host);
        let refused = || {
            attempt.counts();
            warn!(%host, %address, "refused an enrolment");
            Status::unauthenticated("the join token is unknown, used or expired")
        };
        // The cheap looks come first, and whoever fails at a dear one is counted.
        let token = JoinToken::parse(&token).map_err(|_| refused())?;
        let key = RequestedKey::from_request(&request.certificate_request).map_err(|error| {
            attempt.counts();
            failure::malformed(error)
        })?;
        let newcomer = Newcomer::Token(token.digest());
        let newcomer = app.limits.newcomers.begin(newcomer, now).ok_or_else(limits::too_many)?;

        let issued = app
            .authority
            .issue_host(&host, &key, now)
            .map_err(|error| failure::internal(&error, false))?;
        let redemption = Redemption {
            token: token.digest(),
            host: host.clone(),
            key: key.digest(),
            certificate_serial: issued.serial.clone(),
            certificate_expires: issued.expires,
            issuer: issued.issuer,
        };
        let redeemed = app.store.redeem(&redemption, now).await.map_err(failure::of_store)?;
        if matches!(redeemed, Redeemed::Again(_)) {
            newcomer.counts();
        }
        match redeemed {
            Redeemed::Enrolled(role) | Redeemed::Again(role) => {
                info!(%host, %role, %address, "enrolled");
                // Before it can be told anything.
                if self.waits(&host).await? {
                    app.sessions.hold(&host);
                    // An operator may have said yes in between.
                    if !self.waits(&host).await? {
                        app.sessions.release(&host);
                    }
                }
                renewal::let_in(app, &host).await?;
                Ok(Response::new(pb::EnrolReply {
                    certificate: issued.certificate.to_vec(),
                    role: role.into(),
                    issuers: issued.issuers_der(),
                    host: host.into(),
                }))
            }
            Redeemed::Refused => Err(refused()),
            Redeemed::OtherKey => {
                newcomer.counts();
                warn!(%host, %address, "refused an enrolment: the id has another key");
                let text = format!("`{host}` is enrolled with another key");
                Err(Status::already_exists(text))
            }
        }
    }

    async fn renew_expired(
        &self,
        request: Request<pb::RenewExpiredRequest>,
    ) -> Result<Response<pb::RenewExpiredReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let address = auth::address(&request)?;
        let attempt =
            app.limits.returns.begin(Source::of(address), now).ok_or_else(limits::too_many)?;
        let topic = auth::topic(&request);
        // The CA certificates come along for us as little as in a handshake: whoever
        // signed it directly must be believed here.
        let pb::RenewExpiredRequest { certificate, issuers: _, certificate_request, proof } =
            request.into_inner();
        let evidence =
            Evidence { certificate: &certificate, request: &certificate_request, proof: &proof };
        let believed = app.authority.issuers().borrow().clone();
        let refused = |status: Status| {
            warn!(%address, "refused to renew an expired certificate: {}", status.message());
            status
        };
        let counted = |status: Status| {
            attempt.counts();
            refused(status)
        };
        evidence.check(&believed, &app.fleet, RENEWABLE, now).map_err(|error| match error {
            expired::Error::Malformed => failure::malformed(error),
            expired::Error::NotOurs | expired::Error::Unproven => {
                counted(Status::unauthenticated(error.to_string()))
            }
            // By who has the key: no attack, and none on the neighbours.
            expired::Error::TooLate => refused(Status::unauthenticated(error.to_string())),
        })?;
        let host = auth::host_of(&certificate, &app.fleet)
            .ok_or_else(|| counted(Status::unauthenticated("this is no certificate of a host")))?;
        topic.is(&host.id);
        let issued = renewal::renew(app, host, &certificate_request, now).await.map_err(refused)?;
        Ok(Response::new(pb::RenewExpiredReply {
            certificate: issued.certificate.to_vec(),
            issuers: issued.issuers_der(),
        }))
    }
}
