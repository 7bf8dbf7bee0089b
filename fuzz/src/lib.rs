//! What is fuzzed, and how: see the README of this directory.

pub mod attestation;
#[path = "../../control/src/enrol/pkcs7.rs"]
mod pkcs7;
pub mod properties;
