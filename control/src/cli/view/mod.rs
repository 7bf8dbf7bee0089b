//! What commands print: one file a noun, one struct a document.
//!
//! The fields of these structs are the stable JSON of `--output json`: fields may be
//! added, none is renamed or removed. Times are RFC 3339 in UTC, digests lower case hex,
//! what is not known is `null`. The same struct makes the text for people, which may
//! change at any time. Snapshots in each file hold both.

pub(super) mod activation;
pub(super) mod adopt;
pub(super) mod audit;
pub(super) mod bundle;
pub(super) mod ca;
pub(super) mod check;
pub(super) mod closure;
pub(super) mod diff;
pub(super) mod host;
pub(super) mod image;
pub(super) mod import;
pub(super) mod init;
pub(super) mod key;
pub(super) mod lock;
pub(super) mod log;
pub(super) mod manifest;
pub(super) mod operator;
mod packages;
pub(super) mod pending;
pub(super) mod push;
pub(super) mod revocation;
pub(super) mod rollout;
pub(super) mod secrets;
pub(super) mod serve;
mod text;
pub(super) mod token;
pub(super) mod trust;

pub(super) use text::{Page, View, ago, bytes, printable, short, table};
