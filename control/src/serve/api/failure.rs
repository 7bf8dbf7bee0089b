//! What went wrong, as the caller may know it.
//!
//! A caller learns what they can change; what is ours is logged, and leaves as
//! "try again" or "look at the log".

use floe_proto::verify;
use tonic::Status;
use tracing::error;

use crate::store;

/// A failure of the store: logged here, told without internals.
pub(super) fn of_store(error: store::Error) -> Status {
    let transient = error.is_transient();
    internal(&error, transient)
}

/// A failure of our own: logged here, told without internals.
pub(super) fn internal(error: &(dyn std::error::Error + 'static), transient: bool) -> Status {
    error!(error, "a call failed");
    if transient {
        Status::unavailable("the control plane cannot answer now; its log says why")
    } else {
        Status::internal("the control plane failed; its log says why")
    }
}

/// What the caller signed is not believed; they may know all that is wrong with it.
pub(super) fn refused(error: &verify::Error) -> Status {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    Status::failed_precondition(text)
}

/// What the caller sent makes no sense.
pub(super) fn malformed(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
