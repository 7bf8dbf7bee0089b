//! What a bundle would change here, for whoever wants to know before it is pushed: built and
//! asked for, never switched to.
//!
//! ```text
//! session ─▶ asked (newest) ─▶ serve ─▶ door ─▶ host/preview ─▶ Difference ─▶ session
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`difference`] | what would change (pure) |
//! | [`foretold`] | the words of Nix and of `dry-activate`, read (pure) |
//! | [`serve`] | the task: one preview at a time, the newest counts |
//!
//! Nothing is journalled and nothing remembered: a preview raises no floor, and what is left of
//! one is removed. An activation comes first: it ends the build of a preview.

pub mod difference;
pub mod foretold;
pub mod serve;

pub use difference::Difference;
pub use serve::{Answer, Asked, PREFIX, Parts, Say, serve};
