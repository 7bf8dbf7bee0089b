//! Enrolment of an instance of EC2: the checks of docs/trust.md, 3.3, in their order.
//!
//! Whoever asks has been let through the limits before. What fails costs least first:
//! the signature, the rules, AWS, our records. Nothing of the request but the signed
//! document, the key and the caller's address gets as far as the store.

use std::net::IpAddr;

use floe_proto::pb;
use floe_proto::time::Timestamp;
use tonic::Status;
use tracing::{error, info, warn};

use super::{failure, renewal};
use crate::enrol::attempts::{Attempt, Source};
use crate::enrol::attest::{self, Refusal};
use crate::enrol::ca::RequestedKey;
use crate::enrol::iid::Document;
use crate::enrol::instance::{Instances as _, Unavailable};
use crate::serve::app::App;
use crate::serve::auth::Topic;
use crate::serve::aws::Aws;
use crate::serve::limits::{self, Newcomer};
use crate::store::{Arrival, Arrived};

/// Who asks to enrol.
pub(super) struct Asking<'a> {
    /// What its metadata service gave it.
    pub(super) pkcs7: &'a [u8],
    /// PKCS#10.
    pub(super) request: &'a [u8],
    /// Who it says it is; empty, or what the document says.
    pub(super) host: &'a str,
    /// Where it asks from.
    pub(super) address: IpAddr,
    /// What is counted against that address where nothing was proved.
    pub(super) attempt: &'a Attempt<'a, Source>,
    /// For the audit log.
    pub(super) topic: &'a Topic,
}

/// Lets an instance in, or says why not.
pub(super) async fn enrol(
    app: &App,
    asking: Asking<'_>,
    now: Timestamp,
) -> Result<pb::EnrolReply, Status> {
    let refused = |status: Status| {
        warn!(address = %asking.address, "refused an instance: {}", status.message());
        status
    };
    let aws = app.aws.as_ref().ok_or_else(|| {
        asking.attempt.counts();
        refused(Status::permission_denied("instances of EC2 may not enrol here: no [aws] accounts"))
    })?;
    let document = aws.certificates.open(asking.pkcs7).map_err(|error| {
        asking.attempt.counts();
        refused(Status::unauthenticated(error.to_string()))
    })?;
    let host = &document.instance;
    asking.topic.is(host);
    // From here on this instance asks and nobody else, however many share its address. All
    // of its attempts count, but the one that succeeds: each may cost a question to AWS.
    let newcomer = Newcomer::Instance(host.clone());
    let newcomer = app.limits.newcomers.begin(newcomer, now).ok_or_else(limits::too_many)?;
    let counted = |status: Status| {
        newcomer.counts();
        status
    };
    let counted_refusal = |status: Status| counted(refused(status));
    if !asking.host.is_empty() && asking.host != host.as_str() {
        return Err(counted_refusal(Status::invalid_argument(
            "the document is of another host id",
        )));
    }
    let key = RequestedKey::from_request(asking.request)
        .map_err(|error| counted_refusal(failure::malformed(error)))?;
    let doubts = judge(aws, &document, now).await.map_err(|failed| match failed {
        Failed::Refused(refusal) => counted_refusal(Status::permission_denied(refusal.to_string())),
        Failed::Unavailable(unavailable) => {
            // Ours to mend: permissions, credentials, the network, AWS itself.
            error!(error = &unavailable as &dyn std::error::Error, %host, "AWS could not be asked");
            counted(Status::unavailable("AWS could not be asked about the instance; try again"))
        }
    })?;

    let issued = app
        .authority
        .issue_host(host, &key, now)
        .map_err(|error| failure::internal(&error, false))?;
    let arrival = Arrival {
        document: document.clone(),
        key: key.digest(),
        address: asking.address.to_string(),
        doubts,
        certificate_serial: issued.serial.clone(),
        certificate_expires: issued.expires,
        issuer: issued.issuer,
    };
    let arrived = app.store.arrive(&arrival, now).await.map_err(failure::of_store)?;
    if matches!(arrived, Arrived::Again(_)) {
        newcomer.counts();
    }
    match arrived {
        Arrived::Enrolled(role) | Arrived::Again(role) => {
            info!(%host, %role, address = %asking.address, "enrolled");
            // Whoever had the id before is not it any more.
            app.sessions.end(host, Status::aborted("the host enrolled anew"));
            renewal::let_in(app, host).await?;
            Ok(pb::EnrolReply {
                certificate: issued.certificate.to_vec(),
                role: role.into(),
                issuers: issued.issuers_der(),
                host: document.instance.into(),
            })
        }
        Arrived::Waiting(reasons) => {
            let reasons = reasons.join("; ");
            warn!(%host, address = %asking.address, reasons, "an instance waits for approval");
            Err(counted(Status::failed_precondition(format!(
                "an operator has to approve `{host}` (floe hosts approve {host}): {reasons}"
            ))))
        }
        Arrived::Denied => {
            Err(counted_refusal(Status::permission_denied(format!("an operator denied `{host}`"))))
        }
    }
}

/// What an operator should know of the instance before it is let in.
async fn judge(aws: &Aws, document: &Document, now: Timestamp) -> Result<Vec<String>, Failed> {
    let mut doubts = attest::document(document, &aws.policy, now).map_err(Failed::Refused)?;
    let found = aws
        .instances
        .describe(&document.region, &document.instance)
        .await
        .map_err(Failed::Unavailable)?;
    let more = attest::instance(document, &found, &aws.policy).map_err(Failed::Refused)?;
    doubts.extend(more);
    Ok(doubts.iter().map(ToString::to_string).collect())
}

enum Failed {
    Refused(Refusal),
    Unavailable(Unavailable),
}
