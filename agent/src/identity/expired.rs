//! What is left to a host whose certificate has expired: for 30 days a proof of its key
//! renews it, so that an outage over a weekend locks nobody out; after that the machine
//! attests anew (docs/trust.md 3.6, catalogue T081). A refusal is not the last word.

use std::time::Duration;

use floe_proto::pb::RenewExpiredRequest;
use floe_proto::pb::enrolment_client::EnrolmentClient;
use floe_proto::renewal;
use floe_proto::transport::{self, MAX_MESSAGE_BYTES};
use log::debug;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::accept::{accept, request};
use super::enrol::{CALL_TIMEOUT, Terms};
use super::failure::Error;
use super::store::{Enrolled, Store};
use crate::backoff::Backoff;
use crate::telemetry::Chain;

/// How long after its end a certificate can be renewed.
const GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long it takes at most until somebody who was refused asks again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// What came of asking for the identity that follows.
pub(super) enum Answer {
    /// It is on the disk.
    Renewed(Enrolled),
    /// It was not asked for: nobody renews any more what ended so long ago.
    TooLate,
    /// The control plane does not renew it; why.
    Refused(Box<Status>),
}

/// Asks for the identity that follows `old`, once.
pub(super) async fn renew(terms: &Terms, store: &Store, old: &Enrolled) -> Result<Answer, Error> {
    if terms.now().since(old.certificate.not_after) > GRACE {
        return Ok(Answer::TooLate);
    }
    let refused = match ask(terms, store, old).await {
        Ok(()) => return store.load()?.map(Answer::Renewed).ok_or(Error::Vanished),
        Err(Error::Refused(status)) => status,
        Err(other) => return Err(other),
    };
    if refused.code() == Code::InvalidArgument {
        // It may be of a certificate that is lost; the next try makes another key.
        store.forget_next()?;
    }
    match refused.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::AlreadyExists
        | Code::Unimplemented => Ok(Answer::Refused(refused)),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Err(Error::Refused(refused)),
    }
}

/// Asks again now and then, and returns once there is an identity. What a control plane
/// refuses by mistake (its clock, a database that was restored) is mended there, and
/// nobody comes to each of its hosts afterwards. Says nothing: that was done once.
pub(super) async fn renew_after_all(terms: &Terms, store: &Store) -> Enrolled {
    let mut backoff = Backoff::new(LONGEST_WAIT, LONGEST_WAIT);
    loop {
        sleep(backoff.next_wait()).await;
        let Ok(Some(old)) = store.load() else { continue };
        match renew(terms, store, &old).await {
            Ok(Answer::Renewed(enrolled)) => return enrolled,
            Ok(Answer::TooLate) => {}
            Ok(Answer::Refused(status)) => debug!("still not renewed: {}", Chain(&*status)),
            Err(error) => debug!("still not renewed: {}", Chain(&error)),
        }
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
