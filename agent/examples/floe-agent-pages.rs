//! Writes the manual pages and completions of `floe-agent`, as they are installed, below a directory:
//! `cargo run -p floe-agent --example floe-agent-pages -- DIR`. For packages.

#[path = "common/pages.rs"]
mod pages;

use std::env;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use floe_agent::cli::Cli;

fn main() -> anyhow::Result<()> {
    let directory = env::args_os().nth(1).context("say where to: floe-agent-pages DIR")?;
    let directory = Path::new(&directory);
    pages::write(Cli::command(), directory)
        .with_context(|| format!("could not write pages below `{}`", directory.display()))
}
