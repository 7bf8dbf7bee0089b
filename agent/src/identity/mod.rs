//! Who this machine is: a key that was made on it, and a certificate for that key.
//!
//! ```text
//! join.toml ─┬▶ key (durable) ─▶ request ─▶ control plane ─▶ certificate (durable) ─▶ join.toml goes
//! or EC2    ─┘
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`join`] | `join.toml`: which host, and the token that says so |
//! | [`failure`] | why it is none yet, and what may help |
//! | [`imds`] | what EC2 says and signed about this machine |
//! | [`store`] | `identity/`: what is on the disk, written whole or not at all |
//! | [`enrol`] | the one call that makes a machine a host, until it succeeds |
//! | [`accept`] | what of an answer is believed |
//! | [`wait`] | what is waited for where time alone does not help |
//! | [`expired`] | what is left to a host whose certificate has expired |
//! | [`renew`] | the next certificate, in time; and when there is none to be had |
//! | [`stranded`] | another one for who comes through to nobody |
//!
//! Promises: the key is on the disk before it is shown, and the same for every try, so a lost
//! reply costs nothing. The token goes after the certificate is on the disk. Each certificate has
//! its own key, and both take the place of the ones before in one step. Another role than the
//! configured one is refused; an identity that is broken, or that a copied disk brought, not used.

mod accept;
mod enrol;
mod expired;
mod failure;
mod imds;
mod join;
mod renew;
mod store;
mod stranded;
#[cfg(test)]
mod tests;
mod wait;

pub use enrol::{Attestation, Standing, Terms, obtain};
pub use imds::Imds;
pub use renew::{Line, Lost, keep};
pub use store::{Enrolled, Error, Store, issued};
