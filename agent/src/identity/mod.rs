//! Who this machine is: a key that was made on it, and a certificate for that key.
//!
//! ```text
//! join.toml ─▶ key (durable) ─▶ request ─▶ control plane ─▶ certificate (durable) ─▶ join.toml goes
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`join`] | `join.toml`: which host, and the token that says so |
//! | [`store`] | `identity/`: what is on the disk, written whole or not at all |
//! | [`enrol`] | the one call that makes a machine a host, until it succeeds |
//!
//! Promises: the key is on the disk before it is shown to anybody, and the same key is
//! used for every try, so a lost reply costs nothing. The token goes only after the
//! certificate is on the disk. A role that differs from the configured one is refused.

mod enrol;
mod join;
mod store;
#[cfg(test)]
mod tests;

pub use enrol::{Terms, obtain};
pub use store::{Enrolled, Error, Store};
