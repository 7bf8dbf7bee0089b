//! What went wrong, as the caller may know it.
//!
//! A caller learns what they can change; what is ours is logged, and leaves as
//! "try again" or "look at the log".

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

/// What the caller sent makes no sense.
pub(super) fn malformed(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
