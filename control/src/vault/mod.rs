//! What `ansible-vault` seals, opened and sealed without Ansible.
//!
//! ```text
//! a file ─▶ format ─▶ cipher ─▶ plaintext            password ─▶ who may
//!           header,    PBKDF2, HMAC, AES-CTR          a file, a program, a prompt
//!           hex lines
//!
//! group_vars/, host_vars/ ─▶ variables ─▶ yaml ─▶ scalar ─▶ tree: what templates may name
//! ```
//!
//! What was sealed is opened in memory only, does not print, and is wiped when dropped.

mod cipher;
mod error;
mod format;
mod password;
mod scalar;
mod tree;
pub mod variables;
pub(crate) mod yaml;

pub use cipher::{open, seal};
pub use error::Error;
pub use format::{is_sealed, label};
pub use password::Password;
pub use tree::Tree;
pub use variables::Variables;
