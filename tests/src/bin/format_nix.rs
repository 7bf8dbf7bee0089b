//! `make format`: lays out the Nix files of this repository.

#![allow(clippy::unwrap_used, reason = "a developer's tool that cannot go on should stop")]

use std::fs;

use floe_tests::nix_files;

fn main() {
    for file in nix_files::all().iter().filter(|file| nix_files::is_formatted(file)) {
        let text = fs::read_to_string(file).unwrap();
        let formatted = nix_files::formatted(file, &text).unwrap();
        if formatted != text {
            fs::write(file, formatted).unwrap();
        }
    }
}
