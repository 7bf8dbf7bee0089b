//! The files that decide import nothing that does anything.

#[test]
fn decisions_know_the_protocol_and_the_standard_library_and_nothing_else() {
    let files = [include_str!("state.rs"), include_str!("step.rs"), include_str!("sentences.rs")];
    for file in files {
        for line in file.lines().filter(|line| line.starts_with("use ")) {
            let known = [
                "use floe_proto::",
                "use std::collections",
                "use std::fmt;",
                "use super::state::",
                "use super::sentences::",
            ];
            assert!(known.iter().any(|known| line.starts_with(known)), "{line}");
        }
    }
}
