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
//! [`run`] puts them together and is the only file that knows all of them ([`connect`] joins
//! the first two); [`cli`] is what can be typed, [`local`] what is done at once. [`trust`] is
//! the newest trust root, by which the activation judges and which the session leads on;
//! [`secrets`] are what the session brings that no bundle carries, and [`preview`] is what it
//! asks only to be told.
//! [`config`], [`telemetry`], [`backoff`] and `durable` know none of the others.

pub mod activation;
pub mod backoff;
mod bounded;
pub mod cli;
pub mod config;
pub mod connect;
mod durable;
pub mod host;
pub mod identity;
pub mod local;
pub mod preview;
pub mod run;
pub mod secrets;
pub mod session;
pub mod status;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod trust;
