//! What is left to a host whose certificate has expired: for 30 days a proof of its key
//! renews it, so that an outage over a weekend locks nobody out; after that the machine
//! attests anew (docs/trust.md 3.6, catalogue T081).

use std::time::Duration;

use floe_proto::pb::RenewExpiredRequest;
use floe_proto::pb::enrolment_client::EnrolmentClient;
use floe_proto::renewal;
use floe_proto::transport::{self, MAX_MESSAGE_BYTES};
use log::{info, warn};
use tokio::time::timeout;
use tonic::Code;

use super::accept::{accept, request};
use super::enrol::{CALL_TIMEOUT, Terms};
use super::failure::Error;
use super::store::{Enrolled, Store};
use crate::telemetry::Chain;

/// How long after its end a certificate can be renewed.
const GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The identity that follows `old`; `None` where the machine has to attest anew.
pub(super) async fn renew(
    terms: &Terms,
    store: &Store,
    old: Enrolled,
) -> Result<Option<Enrolled>, Error> {
    let (host, end) = (&old.host, old.certificate.not_after);
    if terms.now().since(end) > GRACE {
        warn!(host:% = host; "the certificate expired at {end}, too long ago to be renewed: this machine has to enrol anew");
        return Ok(None);
    }
    let refused = match ask(terms, store, &old).await {
        Ok(()) => {
            info!(host:% = host; "the certificate had expired at {end} and was renewed");
            return Ok(store.load()?);
        }
        Err(Error::Refused(status)) => status,
        Err(other) => return Err(other),
    };
    match refused.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => {
            let why = Chain(refused.as_ref());
            warn!(host:% = host; "the certificate expired at {end} and is not renewed: {why}; this machine has to enrol anew");
            Ok(None)
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Err(Error::Refused(refused)),
    }
}

async fn ask(terms: &Terms, store: &Store, old: &Enrolled) -> Result<(), Error> {
    let key = store.key()?;
    let certificate_request = request(&key)?;
    let proof = old
        .key()
        .and_then(|old| {
            rcgen::SigningKey::sign(&old, &renewal::message(&terms.fleet, &certificate_request))
        })
        .map_err(Error::Request)?;
    let mut chain = old.identity.chain.iter().map(|certificate| certificate.to_vec());
    let request = RenewExpiredRequest {
        certificate: chain.next().unwrap_or_default(),
        issuers: chain.collect(),
        certificate_request,
        proof,
    };
    let tls = terms.tls(None)?;
    let asking = async {
        let channel = transport::connect(&terms.control_plane, tls).await?;
        let mut client = EnrolmentClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let reply = client.renew_expired(request).await.map_err(Box::new)?;
        Ok::<_, Error>(reply.into_inner())
    };
    let reply = timeout(CALL_TIMEOUT, asking).await.unwrap_or(Err(Error::Slow))?;
    let chain = accept(terms, &old.host, &key, reply.certificate, reply.issuers)?;
    Ok(store.save(&old.host, &chain)?)
}
