//! Every `floe-agent …` that README.md and `docs/` show can be typed.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on should stop; clap's own kinds of errors are many"
)]

#[path = "written/mod.rs"]
mod written;

use clap::CommandFactory as _;
use floe_agent::cli::Cli;

#[test]
fn what_is_documented_can_be_typed() {
    assert!(written::are_taken(&Cli::command(), "floe-agent") > 5, "the pages were not read");
}
