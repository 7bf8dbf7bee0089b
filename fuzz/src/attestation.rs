//! What must hold for whatever a machine sends as AWS's signature, as in `properties`.
//!
//! A file of its own, since what it looks at lies in the control plane: `super::pkcs7` is
//! `control/src/enrol/pkcs7.rs`, here as there.

use super::pkcs7::{self, Signer};

/// Nobody knows the key, so what verifies is the one document that was signed with it.
pub fn pkcs7(bytes: &[u8]) {
    let Ok(read) = pkcs7::parse(bytes) else { return };
    assert!(bytes.len() <= pkcs7::MAX_BYTES);
    let (issuer, serial) = read.signer();
    let named = (issuer, serial) == (SIGNER.issuer, SIGNER.serial);
    match read.clone().verify(&SIGNER) {
        Ok(content) => {
            assert!(named);
            assert!(content.bytes() == DOCUMENT, "a forged document");
        }
        Err(pkcs7::Error::OtherSigner) => assert!(!named),
        Err(_) => assert!(named),
    }
    // One blob, and nothing beside it.
    assert!(pkcs7::parse(&[bytes, &[0]].concat()).is_err());
    assert!(pkcs7::parse(&bytes[..bytes.len() - 1]).is_err());
}

/// Made by `openssl cms -sign -binary -nodetach -stream -nocerts -md sha256`; the key was
/// thrown away. `another-key` and `rogue-travels-along` among the seeds are by a
/// certificate of the same issuer and serial.
pub const SIGNER: Signer<'static> = Signer {
    issuer: include_bytes!("aws/issuer.der"),
    serial: &[0x00, 0xb6, 0x4b, 0xde, 0x5a],
    public_key: include_bytes!("aws/key.der"),
};

/// What was signed.
pub const DOCUMENT: &[u8] = include_bytes!("aws/document.json");
