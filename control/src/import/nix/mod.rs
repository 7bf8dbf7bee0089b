//! Nix files that travel: what of them is a secret becomes one, and the agent is imported.
//!
//! ```text
//! text ─▶ lex ─▶ scan: where options and Jinja stand ───┬─▶ edit ─▶ text with a few places changed
//!           ├─▶ module: where one more import goes ──────┤
//!           └─▶ named: which files it names              └── option: which can be told a file
//! ```
//!
//! A file is never laid out anew: what is not changed stays byte for byte.

mod edit;
mod lex;
mod module;
mod named;
mod option;
mod places;
mod scan;

pub(super) use edit::{Edited, SecretOf, apply, edited, is_template};
pub(super) use named::{Named, named};
