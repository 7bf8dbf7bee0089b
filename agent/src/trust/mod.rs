//! Whose signatures count: the newest trust root that this host has believed.
//!
//! ```text
//! pinned in the image ─┐
//! trust/N.json (newest)┼─▶ Roots ──▶ activation (judges by the newest, at once)
//! session: N+1, N+2, … ┘     └─▶ trust/N+1.json (durable first)
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`store`] | what is on the disk: one file a version |
//! | [`roots`] | what is believed, and what may follow it |
//!
//! Promises (docs/trust.md 2.5, catalogue T013 to T017): a version follows only the one
//! before it, signed as both demand; it is on the disk before anything is judged by it;
//! nothing ever goes back, not even where the disk lost the newest version. What is
//! refused leaves no trace, and the next good one is taken. The file in the image only
//! begins the walk, or is offered as a successor like any other.

mod roots;
mod store;

pub use roots::{Error, Roots, look};
