//! What `ansible-vault` seals, opened and sealed without Ansible.
//!
//! ```text
//! a file ─▶ format ─▶ cipher ─▶ plaintext            password ─▶ who may
//!           header,    PBKDF2, HMAC, AES-CTR          a file, a program, a prompt
//!           hex lines
//! ```
//!
//! What was sealed is opened in memory only, does not print, and is wiped when dropped.

mod cipher;
mod error;
mod format;
mod password;

pub use cipher::{open, seal};
pub use error::Error;
pub use format::{is_sealed, label};
pub use password::Password;
