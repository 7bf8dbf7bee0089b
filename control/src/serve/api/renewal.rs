//! Renewal, as both services offer it: in a session, and with an expired certificate.

use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use tonic::Status;
use tracing::{info, warn};

use super::failure;
use crate::enrol::ca::{Issued, RequestedKey};
use crate::serve::app::App;
use crate::serve::{auth, limits};
use crate::store::{Renewal, Renewed};

/// Gives the host a certificate for the key of `request`, if the key that it was asked
/// for with is still its own.
pub(super) async fn renew(
    app: &App,
    host: auth::Host,
    request: &[u8],
    now: Timestamp,
) -> Result<Issued, Status> {
    let auth::Host { id, key: presented } = host;
    // By the key, so that who stole an older one does not keep the host from renewing.
    let attempt = app.limits.renewals.begin(presented, now).ok_or_else(limits::too_many)?;
    let new = RequestedKey::from_request(request).map_err(failure::malformed)?;
    let issued = app
        .authority
        .issue_host(&id, &new, now)
        .map_err(|error| failure::internal(&error, false))?;
    let renewal = Renewal {
        host: id.clone(),
        presented,
        new: new.digest(),
        certificate_serial: issued.serial.clone(),
        certificate_expires: issued.expires,
        issuer: issued.issuer,
    };
    let renewed = app.store.renew(&renewal, now).await.map_err(failure::of_store)?;
    if renewed != Renewed::Renewed {
        attempt.counts();
    }
    match renewed {
        Renewed::Renewed => {
            info!(host = %id, issuer = %issued.issuer, "renewed a certificate");
            Ok(issued)
        }
        Renewed::Again => {
            info!(host = %id, "renewed a certificate once more: the answer had been lost");
            Ok(issued)
        }
        Renewed::SameKey => {
            Err(Status::invalid_argument("the request is for the key that the host has already"))
        }
        Renewed::TooSoon => {
            Err(Status::resource_exhausted("the host has renewed just now; try again in a minute"))
        }
        Renewed::Unknown => Err(Status::permission_denied("this host is not on record")),
        Renewed::Revoked => Err(revoked(&id)),
        Renewed::Conflict => Err(conflict(app, &id)),
    }
}

/// The host enrolled: if it did so with a new key, it left its conflict behind.
pub(super) async fn let_in(app: &App, host: &HostId) -> Result<(), Status> {
    let record = app.store.host(host).await.map_err(failure::of_store)?;
    if record.is_some_and(|record| record.standing.conflict.is_none()) {
        app.sessions.resolve(host);
    }
    Ok(())
}

/// The host may not come back by itself.
pub(super) fn revoked(host: &HostId) -> Status {
    warn!(%host, "refused a host that was revoked");
    Status::permission_denied("this host was revoked")
}

/// Two machines have this identity: both go on as they are, and are told nothing.
pub(super) fn conflict(app: &App, host: &HostId) -> Status {
    app.sessions.quarantine(host);
    warn!(%host, "two machines have the identity of one host: a key came back that was replaced");
    Status::permission_denied(
        "this key of the host has been replaced: another machine has its identity",
    )
}
