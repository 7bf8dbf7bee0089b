//! Templates as Ansible's `template` module renders them, by minijinja.
//!
//! ```text
//! a file, a secret's value ─▶ render ─▶ text
//!    vault::Variables ─▶ scope │ │ filters: Ansible's    python: how values print
//!                              │ └ refused: what would bring in something of this machine
//!                              └ salts: kept, so that digests stay what they are; salted: by
//!                                       which expression
//! syntax: what a template names and uses, and what is wrong with it, without rendering it
//! ```
//!
//! The same template, variables and salts give the same text, wherever it is rendered.

mod arguments;
mod error;
mod filters;
mod python;
mod refused;
mod render;
mod salted;
mod salts;
mod scope;
mod syntax;

pub use error::Error;
pub use render::{is_template, render};
pub use salts::{Algorithm, FILE as SALTS_FILE, SaltFile, Salts, Unsalted};
pub use syntax::{Fault, faults, variables};
