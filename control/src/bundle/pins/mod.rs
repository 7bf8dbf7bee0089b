//! Takes the pins of floe.lock on to what they follow.
//!
//! ```text
//! follow ─▶ target: a URL whose content stays ─▶ prefetch: its hash ─▶ edit: floe.lock
//! ```
//!
//! Hosts fetch by hash, so nothing here is believed later: what is written down is what was
//! looked at once, by the operator.

mod edit;
mod error;
mod prefetch;
mod target;

pub use edit::edit;
pub use error::Error;
pub use prefetch::prefetch;
pub use target::{Target, target};
