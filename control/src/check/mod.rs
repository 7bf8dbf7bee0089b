//! Looks over a whole fleet repository without a network: every finding, not the first.
//!
//! ```text
//! floe check ─▶ look ─▶ fleet    floe.toml, trust.json, floe.lock
//!                  ├──▶ keys     what signs: there, its owner's alone, out of version control
//!                  ├──▶ vault    group_vars/, host_vars/, salts.toml, recipients.toml
//!                  └──▶ role     each directory below hosts/: host.toml, its files, Nix
//!                          ├──▶ flake       or the flake that it names
//!                          └──▶ templates   its files and secrets that are rendered
//!                          all ─▶ finding
//! ```
//!
//! What is looked at is what a push reads, by the same code; a push stops at the first
//! fault, and here the next part is looked at all the same.

mod finding;
mod flake;
mod fleet;
mod keys;
mod look;
mod role;
mod templates;
mod vault;

pub use finding::{Finding, Severity};
pub use look::{Looked, look};
