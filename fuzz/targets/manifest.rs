//! Arbitrary bytes against `floe_fuzz::properties::manifest`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| floe_fuzz::properties::manifest(bytes));
