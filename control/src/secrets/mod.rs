//! The operator's side of secrets: what a role's hosts get is read, signed and sealed here.
//!
//! ```text
//! host.toml [secrets] ─▶ values ─▶ seal: sign, then seal to each recipient ─▶ control plane
//!   vault, age files                  ▲
//! recipients.toml ─▶ recipients ──────┘  whose keys are known, whose are new
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`values`] | what each secret is |
//! | [`age_file`] | a file that age encrypted |
//! | [`private`], [`editor`] | a secret while somebody edits it |
//! | [`recipients`] | the keys that were sealed to before, and those that are new |
//! | [`seal`] | the document, signed and sealed |

pub mod age_file;
pub mod editor;
pub mod private;
pub mod recipients;
pub mod seal;
pub mod values;
