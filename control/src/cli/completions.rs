//! `floe completions`: what a shell needs to complete what is typed.

use clap::{Args, Command};
use clap_complete::Shell;

use super::end::End;
use super::output;

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(floe completions bash)
  floe completions fish > ~/.config/fish/completions/floe.fish";

impl Completions {
    /// For `command`, which is all that can be typed.
    pub(super) fn run(self, mut command: Command) -> anyhow::Result<End> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "floe", &mut script);
        output::write(&String::from_utf8_lossy(&script))?;
        Ok(End::Done)
    }
}
