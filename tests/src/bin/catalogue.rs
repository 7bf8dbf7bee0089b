//! `make catalogue`: writes the names of the tests into `docs/catalogue.md`, and says
//! which cases have none.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for developers: it talks to people, and stops where it cannot go on"
)]

use floe_tests::{catalogue, script};

fn main() {
    let root = script::repository_root();
    let file = root.join("docs/catalogue.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let page = catalogue::written(&page, &catalogue::covered(&root));
    for line in page.lines().filter(|line| line.contains(" |  | ")) {
        println!("{line}");
    }
    std::fs::write(file, page).unwrap();
}
