//! `floe`: the operator's command line, and the control plane behind it.
//!
//! Nothing is decided here: parse, run, and turn the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use floe::cli::{self, Cli, end, exit};
use floe::telemetry;

fn main() -> ExitCode {
    let cli = Cli::parse(); // a usage error ends here, with code 2
    telemetry::init(cli.log_level());
    // Without this the HTTP client would not know which cryptography to use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();

    match run(cli) {
        Ok(end) => end.code(),
        Err(error) => exit::explain(&error),
    }
}

#[tokio::main]
async fn run(cli: Cli) -> anyhow::Result<end::End> {
    Box::pin(cli::run(cli)).await
}
