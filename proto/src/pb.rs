//! The generated code of `floe/v1/*.proto`, and the lints that it needs allowed.
//!
//! Nothing but [`crate::wire`] and the edges of agent and control plane should
//! name these types.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::restriction,
    reason = "generated"
)]
mod generated {
    tonic::include_proto!("floe.v1");
}

pub use generated::*;
