//! How a machine becomes a host: an attestation and a key become a certificate.
//!
//! ```text
//! token (floe-join-…) ─▶ digest ─▶ store: used up once ──────────────────┐
//! PKCS#7 ─▶ what AWS signed ─▶ what AWS says ─▶ our records: once ────────┤
//! CSR ─▶ proof of the key ─▶ public key ──────────────────────────────────┴▶ ca ─▶ certificate
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`ca`] | the fleet's CA: certificates of hosts, operators and the control plane |
//! | [`issuers`] | the CA certificates under its root: who signs, who did, whom nobody believes |
//! | [`credentials`] | keys that are made here, and their files |
//! | [`expired`] | an expired certificate and the proof of its key |
//! | [`token`] | join tokens: 256 random bits, of which only the hash is kept |
//! | [`pkcs7`] | the one form of signature that AWS's metadata service sends |
//! | [`iid`] | instance identity documents, and AWS's certificates |
//! | [`instance`] | what AWS says of an instance; the port to ask it |
//! | [`attest`] | whether an instance may enrol: pure rules |
//! | [`attempts`] | who tried too often |

pub mod attempts;
pub mod attest;
pub mod ca;
pub mod credentials;
pub mod expired;
pub mod iid;
pub mod instance;
pub mod issuers;
pub mod pkcs7;
#[cfg(test)]
pub(crate) mod played;
#[cfg(test)]
mod seeds;
pub mod token;
