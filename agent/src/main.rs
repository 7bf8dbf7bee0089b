//! `floe-agent`: keeps one NixOS machine on what its fleet signed for it.
//!
//! Nothing is decided here: parse, run, and turn the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use floe_agent::cli::{self, Cli};
use floe_agent::telemetry;

/// One thread: an agent waits nearly all the time, and memory counts on every host.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse(); // a usage error ends here, with code 2
    telemetry::init(cli.level());

    match cli::run(cli).await {
        Ok(code) => code,
        Err(error) => cli::explain(&error),
    }
}
