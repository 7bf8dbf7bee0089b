//! Keys that sign, wherever they lie: a file, the environment, another program.
//!
//! ```text
//! floe.toml, options ─▶ source ─▶ signer ─▶ a signature, verified
//!                         │ key_file    └─ command: KMS, token, anything with a key
//!                         └ environment: keys and passphrases of CI, the terminal
//! ```
//!
//! Nothing here knows what is signed. Secrets do not print, and are wiped when dropped.
//! A signature is verified with the public key before anybody gets it, so that a signer
//! that is not who it should be is found here, and not by a host.

mod command;
mod environment;
mod error;
mod key_file;
mod signer;
mod source;

pub use command::Command;
pub(crate) use environment::SECRET_VARIABLES;
pub use environment::{Environment, KEY_VARIABLE, Passphrase};
pub use error::Error;
pub use key_file::{Protection, Seen, encrypt_in_place, look_at, read, write_new};
pub use signer::{Signer, Unsigned};
pub use source::KeySource;
