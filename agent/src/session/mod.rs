//! What should run here, and what came of it: the one stream to the control plane.
//!
//! ```text
//!            ┌ keep ─ connect, again and again ─┐
//! control ◀──┤  converse ◀── outbox ◀───────────┼── Handle ◀── activation
//!  plane  ───┼▶          ──▶ wanted (newest) ───┼─▶        ──▶
//!            └──────────────────────────────────┘
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`wire`], [`preview`] | what is said, in generated types |
//! | [`outbox`] | what waits to be sent; reports stay until they are acknowledged |
//! | [`converse`] | one stream, from Hello to its end |
//! | [`keep`] | mTLS, full jitter, one stream after the other |
//! | [`handle`] | what the rest of the agent sees of all this |
//!
//! Promises: a report that was handed in is sent on every stream until it is
//! acknowledged, or the process ends (the journal then hands it in again). Only the
//! newest assignment is ever seen. Nothing here believes an assignment: that is
//! the activation's, which verifies before anything else.

mod converse;
mod handle;
mod keep;
mod outbox;
mod preview;
#[cfg(test)]
mod tests;
mod wire;

pub use handle::{Handle, LineState};
pub use keep::{Session, open};
