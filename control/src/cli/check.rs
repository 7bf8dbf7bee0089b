//! `floe check`: everything that is wrong with the repository, before anybody pushes.

use clap::Args;
use floe_proto::id::Role;

use super::context::Context;
use super::end::End;
use super::view::check::CheckView;
use crate::check;

/// Look over the whole repository, offline, and name everything that is wrong
///
/// Reads floe.toml, trust.json, floe.lock, the keys, and every role: host.toml, the files
/// that it names, and whether Nix can read the rest. Nothing is changed, nothing is sent,
/// and no passphrase is asked for.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Only these roles [default: every directory below hosts/]
    #[arg(value_name = "ROLE")]
    roles: Vec<Role>,

    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe check
  floe check www.fossable.org
  floe check --strict --output json     # in CI

Ends with 1 where there is an error; with --strict, also where there is a warning.";

impl Check {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let root = context.repository_root()?;
        let progress = context.progress();
        progress.doing("looking at every file");
        let looked = check::look(&root, &self.roles, context.now()).await?;
        drop(progress);
        let view = CheckView::new(looked, self.strict);
        let end = if view.passed { End::Done } else { End::Failed };
        context.print(&view)?;
        Ok(end)
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
