//! Arbitrary bytes against `floe_fuzz::attestation::pkcs7`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| floe_fuzz::attestation::pkcs7(bytes));
