//! How a machine becomes a host: a token and a key become a certificate.
//!
//! ```text
//! token (floe-join-…) ─▶ digest ─▶ store: used up once ─┐
//! CSR ─▶ proof of the key ─▶ public key ────────────────┴▶ ca ─▶ certificate
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`ca`] | the fleet's CA: root, and certificates of hosts, operators and the control plane |
//! | [`token`] | join tokens: 256 random bits, of which only the hash is kept |
//! | [`attempts`] | who tried too often |

pub mod attempts;
pub mod ca;
pub mod token;
