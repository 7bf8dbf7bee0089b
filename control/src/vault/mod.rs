//! What `ansible-vault` seals, opened and sealed without Ansible.
//!
//! ```text
//! a file ─▶ format ─▶ cipher ─▶ plaintext            password ─▶ who may
//!           header,    PBKDF2, HMAC, AES-CTR          a file, a program, a prompt
//!           hex lines
//!
//! group_vars/, host_vars/ ─▶ file ─▶ variables ─▶ yaml ─▶ scalar ─▶ tree: what templates may name
//!                              │                                    └ route: the way to a value
//!                              └ replace: one value becomes another, and nothing else changes
//! ```
//!
//! What was sealed is opened in memory only, does not print, and is wiped when dropped.

mod cipher;
mod error;
mod file;
mod format;
mod password;
pub mod replace;
mod route;
mod scalar;
mod tree;
pub mod variables;
pub(crate) mod yaml;

pub use cipher::{look_at, open, seal};
pub use error::Error;
pub use file::{Edited, OpenFile};
pub use format::{is_sealed, label};
pub use password::Password;
pub use route::Route;
pub use tree::{Step, Tree};
pub use variables::Variables;
pub(crate) use yaml::fault;
