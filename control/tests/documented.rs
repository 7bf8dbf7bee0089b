//! Every `floe …` that README.md and `docs/` show can be typed, and what they tell AWS is
//! JSON where it should be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on should stop; clap's own kinds of errors are many"
)]

#[path = "../../agent/tests/written/mod.rs"]
mod written;

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use floe::cli::Cli;
use serde_json::Value;

#[test]
fn what_is_documented_can_be_typed() {
    assert!(written::are_taken(&Cli::command(), "floe") > 40, "the pages were not read");
}

#[test]
fn what_aws_is_told_in_json_is_json() {
    let mut documents = 0;
    let mut check = |place: &str, text: &str| {
        documents += 1;
        if let Err(error) = serde_json::from_str::<Value>(text) {
            panic!("{place}: {error}: {text}");
        }
    };
    for page in written::pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (line, code) in written::blocks(&text) {
            let place = format!("{}:{line}", page.display());
            for word in written::commands_of(&code, "aws").concat() {
                // The whole word, or the value of a shorthand such as `Name=x,Values=[…]`.
                if word.starts_with(['{', '[']) {
                    check(&place, &word);
                }
                if let Some(file) = word.strip_prefix("file://docs/") {
                    let file = page.parent().unwrap().join(Path::new(file));
                    check(&place, &fs::read_to_string(file).unwrap());
                }
            }
            // Files that are written for it: `cat > NAME.json <<'END'`.
            for document in code.split(".json <<'END'\n").skip(1) {
                check(&place, document.split("\nEND").next().unwrap());
            }
        }
    }
    assert!(documents > 2, "the pages were not read");
}
