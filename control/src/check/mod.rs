//! Looks over a whole fleet repository without a network: every finding, not the first.
//!
//! ```text
//! floe check ─▶ look ─▶ fleet    floe.toml, trust.json, floe.lock
//!                  ├──▶ keys     what signs: there, its owner's alone, out of version control
//!                  └──▶ role     each directory below hosts/: host.toml, its files, Nix
//!                          └──▶ flake    or the flake that it names
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

pub use finding::{Finding, Severity};
pub use look::{Looked, look};
