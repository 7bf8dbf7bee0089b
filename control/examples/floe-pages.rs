//! Writes the manual pages and completions of `floe`, as they are installed, below a directory:
//! `cargo run -p floe --example floe-pages -- DIR`. For packages.

#[path = "../../agent/examples/common/pages.rs"]
mod pages;

use std::env;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use floe::cli::Cli;

fn main() -> anyhow::Result<()> {
    let directory = env::args_os().nth(1).context("say where to: floe-pages DIR")?;
    let directory = Path::new(&directory);
    pages::write(Cli::command(), directory)
        .with_context(|| format!("could not write pages below `{}`", directory.display()))
}
