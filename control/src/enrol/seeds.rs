//! The seeds of the fuzz target `pkcs7`, replayed: `fuzz/src/attestation.rs` says what
//! must hold, and openssl, not we, made them.

use std::fs;
use std::path::Path;

use super::pkcs7;

#[path = "../../../fuzz/src/attestation.rs"]
#[allow(unreachable_pub, reason = "made for the fuzz target")]
mod attestation;

#[test]
fn every_seed_and_every_beginning_of_it_holds_what_its_target_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/pkcs7");
    let mut seeds = 0;
    for found in fs::read_dir(directory).unwrap() {
        let path = found.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for length in 0..=bytes.len() {
            let held = std::panic::catch_unwind(|| attestation::pkcs7(&bytes[..length]));
            assert!(held.is_ok(), "{length} bytes of {}", path.display());
        }
        seeds += 1;
    }
    assert!(seeds > 10);
}

#[test]
fn t065_what_openssl_signs_is_read_and_what_it_should_not_verify_is_not() {
    let open = |name: &str| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/pkcs7");
        let bytes = fs::read(directory.join(name)).unwrap();
        let content = pkcs7::parse(&bytes)?.verify(&attestation::SIGNER)?;
        Ok::<_, pkcs7::Error>(content.bytes().to_vec())
    };
    for good in ["genuine", "definite", "in-chunks"] {
        assert_eq!(open(good).unwrap(), attestation::DOCUMENT, "{good}");
    }
    for bad in [
        "another-instance",
        "another-key",
        "by-key-id",
        "certificate-travels-along",
        "cut",
        "detached",
        "no-attributes",
        "rogue-travels-along",
        "sha1",
        "trailing",
        "two-signers",
    ] {
        assert!(open(bad).is_err(), "{bad}");
    }
}
