//! The server's edge: TLS, who may call what, and handlers that parse, call, answer.
//!
//! ```text
//! TCP ─▶ accept (TLS 1.3, bounded) ─▶ gate (one table) ─▶ api ─▶ store, rollout, session, enrol
//!                └─ objects: the embedded bucket, on a port of its own
//! ```
//!
//! [`listen`] is the one place where everything is put together; [`serve`] is all
//! that a command needs.

mod accept;
pub mod api;
pub mod app;
pub mod auth;
pub mod aws;
mod begun;
mod bucket;
mod check;
pub mod config;
pub mod escrow;
pub mod first;
mod gate;
mod guests;
pub mod limits;
pub mod listen;
pub mod port;
mod quota;
pub mod roster;
mod table;
pub mod tls;

pub use check::check;
pub use config::ServeConfig;
pub use listen::{Bound, Error, serve, terminated};
