//! The manual pages and completions of `floe-agent`: all there, and good for man and bash.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs man and bash"
)]

#[path = "../examples/common/pages.rs"]
mod pages;

#[path = "paged/mod.rs"]
mod paged;

use clap::CommandFactory as _;
use floe_agent::cli::Cli;
use paged::Pages;

#[test]
fn every_command_has_a_page_that_man_can_show() {
    let pages = Pages::of(Cli::command());
    pages.are_complete();
    pages.are_reproducible();
    let line = "floe-agent suspend --reason 'the disk is being replaced'";
    pages.are_read_by_man("floe-agent-suspend.1", line);
}

#[test]
fn what_is_begun_is_completed_by_bash() {
    let pages = Pages::of(Cli::command());
    assert_eq!(pages.completed(&["susp"]), ["suspend"]);
    assert_eq!(pages.completed(&["history", "--outp"]), ["--output"]);
    assert_eq!(pages.completed(&["history", "--output", "j"]), ["json"]);
    assert!(!pages.completed(&[""]).contains(&"guard".to_owned()), "it is for floe alone");
}
