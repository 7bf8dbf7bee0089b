//! The life of an assignment on one host, as a map of the folders below.
//!
//! ```text
//! identity ─▶ session ─▶ activation ─▶ host
//! who am I     what        decides      does
//!              should run    ▲            │
//!                ▲           └── events ──┘
//!                └── reports ┘
//! ```
//!
//! [`run`] puts them together and is the only file that knows all of them; [`cli`]
//! is what can be typed. [`config`], [`telemetry`] and [`backoff`] know none of the
//! others.

pub mod activation;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod host;
pub mod identity;
pub mod run;
pub mod session;
pub mod status;
pub mod telemetry;
#[cfg(test)]
mod testing;
