//! The manual pages and completions of `floe`: all there, and good for man and bash.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs man and bash"
)]

#[path = "../../agent/examples/common/pages.rs"]
mod pages;

#[path = "../../agent/tests/paged/mod.rs"]
mod paged;

use clap::CommandFactory as _;
use floe::cli::Cli;
use paged::Pages;

#[test]
fn every_command_has_a_page_that_man_can_show() {
    let pages = Pages::of(Cli::command());
    pages.are_complete();
    pages.are_reproducible();
    let line =
        "floe images add ami-0123456789abcdef0 --role www.fossable.org --region eu-central-1";
    pages.are_read_by_man("floe-images-add.1", line);
}

#[test]
fn what_is_begun_is_completed_by_bash() {
    let pages = Pages::of(Cli::command());
    assert_eq!(pages.completed(&["pus"]), ["push"]);
    assert_eq!(pages.completed(&["trust", "add"]), ["add-key"]);
    assert_eq!(pages.completed(&["hosts", "list", "--output", "j"]), ["json"]);
}
