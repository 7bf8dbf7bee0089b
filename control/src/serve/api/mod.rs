//! The handlers of the gRPC services: parse, call, answer, nothing else.
//!
//! Who is allowed in was decided in [`super::auth`]. What went wrong inside is
//! logged here and leaves as a status without internals.

mod conversation;
pub mod enrolment;
pub mod failure;
pub mod operator;
pub mod session;
pub mod trust;
mod view;
