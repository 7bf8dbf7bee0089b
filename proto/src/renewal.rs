//! What a host signs with the key of an expired certificate, to get the next one.
//!
//! A line of its own first, so that no signature made for another purpose (a TLS
//! handshake, a certificate request) is one; the fleet, so that it is good in one
//! place; the request, so that it renews to one key. It needs no nonce: whoever sends
//! it again gets a certificate for a key that they do not hold.

use crate::digest::Digest;
use crate::id::Fleet;

/// The bytes that are signed. `certificate_request` is PKCS#10, DER.
pub fn message(fleet: &Fleet, certificate_request: &[u8]) -> Vec<u8> {
    format!("floe host renewal v1\n{fleet}\n{}", Digest::of(certificate_request)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_this_to_the_byte() {
        let message = message(&"fossable.org".parse().unwrap(), b"request");
        insta::assert_snapshot!(String::from_utf8(message).unwrap());
    }
}
