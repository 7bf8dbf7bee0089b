//! Nix files that travel: what of them is a secret becomes one, and the agent is imported.
//!
//! ```text
//! text ─▶ scan ─▶ where options, Jinja and `imports` stand ─▶ edit ─▶ text with a few places changed
//!                                        option: which options can be told a file instead
//! ```
//!
//! A file is never laid out anew: what is not changed stays byte for byte.

mod edit;
mod option;
mod places;
mod scan;

pub(super) use edit::{Edited, SecretOf, edited};
