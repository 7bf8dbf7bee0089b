//! The handlers of the gRPC services: parse, call, answer, nothing else.
//!
//! Who is allowed in was decided at the gate. What went wrong inside is
//! logged here and leaves as a status without internals.

pub mod admission;
mod arrival;
pub mod authority;
mod closure;
mod conversation;
pub mod enrolment;
pub mod failure;
pub mod login;
pub mod operator;
pub mod operators;
pub mod preview;
mod recipient;
mod renewal;
pub mod secrets;
pub mod session;
pub mod trust;
mod view;
