//! What an operator signs to log in: this fleet, this name, this request, now.
//!
//! The signature speaks for one request for a certificate and nothing else, so that
//! who overhears a login gains a certificate of a key that they do not have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::Fleet;
use crate::json;
use crate::time::Timestamp;

/// The payload type of a login's envelope.
pub const TYPE: &str = "application/vnd.floe.login.v1+json";

/// The newest schema that this program knows, and the only one so far.
pub const SCHEMA: u32 = 1;

/// The longest login that is read, in bytes.
pub const MAX_BYTES: usize = 4 * 1024;

/// How far a login may be from now, both ways: the clocks are two.
pub const GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// A login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The fleet that is logged in to.
    pub fleet: Fleet,
    /// The operator's name.
    pub operator: String,
    /// SHA-256 of the request for a certificate (PKCS#10, DER).
    pub request: Digest,
    /// When it was signed.
    pub created: Timestamp,
}

impl Login {
    /// Parses the bytes of an envelope.
    ///
    /// # Errors
    ///
    /// [`json::Error`] for what is no login of a known schema.
    pub fn parse(bytes: &[u8]) -> Result<Self, json::Error> {
        json::parse(bytes, SCHEMA, MAX_BYTES)
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    ///
    /// [`json::Error`] where it cannot be written, which no field makes it do.
    pub fn to_bytes(&self) -> Result<Vec<u8>, json::Error> {
        Ok(serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_this_to_the_byte() {
        let login = Login {
            schema: SCHEMA,
            fleet: "fossable.org".parse().unwrap(),
            operator: "ada".into(),
            request: Digest::of(b""),
            created: "2026-11-22T20:28:00Z".parse().unwrap(),
        };
        let bytes = login.to_bytes().unwrap();
        insta::assert_snapshot!(String::from_utf8(bytes.clone()).unwrap());
        assert_eq!(Login::parse(&bytes).unwrap(), login);
    }
}
