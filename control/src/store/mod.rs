//! What the control plane remembers, in SQL: one file a noun.
//!
//! ```text
//! data_dir ─▶ pool ─▶ hosts, renewals, tokens, manifests, rollouts, activations, output, …
//! lock,       Store   rows become our types here, and nowhere else
//! version
//! ```
//!
//! One dialect for SQLite and PostgreSQL (sqlx `Any`): TEXT and BIGINT columns,
//! `$1` placeholders. Everything else is said in `migrations/`. A live host's
//! heartbeat never gets here.

mod activations;
mod admission;
mod adoption;
mod approvals;
mod audit;
mod closures;
mod conflicts;
mod data_dir;
mod hosts;
mod images;
mod manifests;
mod newcomer;
mod operators;
mod output;
mod pool;
mod renewals;
mod rollouts;
mod roots;
mod secrets;
mod tokens;

pub use activations::Activation;
pub use admission::{Arrival, Arrived};
pub use approvals::{Decision, PendingRecord};
pub use audit::{AuditEntry, AuditQuery, AuditRecord, Chain};
pub use data_dir::{DataDir, Error as DataDirError};
pub use hosts::HostRecord;
pub use images::ImageRecord;
pub use manifests::{Begun, ManifestRecord};
pub use operators::{Added, OperatorCertificate, OperatorRecord, Revoked};
pub use output::Line;
pub use pool::{Error, Store};
pub use renewals::{RENEWABLE, Renewal, Renewed, Standing};
pub use tokens::{Redeemed, Redemption, TokenRecord};
