//! The operator's hands: what can be typed, and what comes of it.
//!
//! ```text
//! args ─▶ push, rollout, hosts, bundle, keys, login, … ─▶ context ─▶ connection ─▶ control plane
//!     └─▶ serve, dev ─▶ crate::serve                                  └─▶ output, progress
//! main ◀─ exit: an error becomes a sentence, an advice and a code
//! ```
//!
//! A command owns its arguments and never names its parent; what it needs of the
//! world comes as a [`context::Context`]. What it prints is a struct in `view`.

mod admit;
mod adopt;
mod args;
mod ask;
mod audit;
mod aws;
mod bundle;
mod ca;
mod check;
mod closure;
mod completions;
mod connection;
mod context;
mod cosign;
mod dev;
mod diff;
pub mod end;
pub mod exit;
mod files;
mod hosts;
mod images;
mod import;
mod init;
mod init_text;
mod keys;
mod lock;
mod login;
mod machine;
mod operators;
mod output;
mod packing;
mod previewing;
mod progress;
mod published;
mod push;
mod rollout;
mod sealing;
mod secrets;
mod serve;
mod takeover;
mod token;
mod trust;
mod vault;
mod view;
mod watch;

pub use args::{Cli, run};
