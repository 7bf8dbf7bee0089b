//! What can be typed, and which file runs it. Doc comments are the help.

use std::env;
use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::context::{Context, Global};
use super::end::End;
use super::{
    adopt, audit, aws, bundle, ca, check, completions, dev, diff, hosts, images, import, init,
    keys, lock, login, operators, push, rollout, secrets, serve, trust,
};
use crate::signing::Environment;
use crate::telemetry::Level;

/// Runs fleets of NixOS machines, without SSH
///
/// A fleet repository holds one directory per role. `floe push` makes a signed bundle
/// of it and takes it to the role's hosts: one canary first, then the rest. Each host
/// builds it, proves that it is healthy, and keeps or reverts the change.
#[derive(Debug, Parser)]
#[command(name = "floe", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    global: Global,
    /// What is to be done.
    #[command(subcommand)]
    command: Command,
}

/// In the order of an operator's day.
#[derive(Debug, Subcommand)]
enum Command {
    Diff(diff::Diff),
    Push(push::Push),
    Rollout(rollout::Rollout),
    Hosts(hosts::Hosts),
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    Adopt(adopt::Adopt),
    Images(images::Images),
    Login(login::Login),
    Operators(operators::Operators),
    Audit(audit::Audit),
    #[command(subcommand)]
    Aws(aws::Aws),
    #[command(subcommand)]
    Ca(ca::Ca),
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Trust(trust::Trust),
    Init(init::Init),
    Import(import::Import),
    Check(check::Check),
    #[command(subcommand)]
    Lock(lock::Lock),
    Dev(dev::Dev),
    Serve(serve::Serve),
    Completions(completions::Completions),
}

impl Cli {
    /// How much is to be logged: servers say what happens, other commands print results.
    pub fn log_level(&self) -> Level {
        let is_server = matches!(self.command, Command::Serve(_) | Command::Dev(_));
        match (self.global.verbose, is_server) {
            (0, false) => Level::Problems,
            (0, true) | (1, false) => Level::Events,
            (1, true) | (2, false) => Level::Details,
            (2.., _) => Level::Everything,
        }
    }
}

/// Runs what was typed.
///
/// # Errors
///
/// Whatever stopped it; [`super::exit`] knows what to say of it.
pub async fn run(cli: Cli) -> anyhow::Result<End> {
    let user = |name: &str| env::var_os(name).and_then(|value: OsString| value.into_string().ok());
    let context =
        Context::new(cli.global, user("USER").or_else(|| user("LOGNAME")), Environment::read());
    match cli.command {
        Command::Diff(diff) => Box::pin(diff.run(&context)).await,
        Command::Push(push) => Box::pin(push.run(&context)).await,
        Command::Rollout(rollout) => Box::pin(rollout.run(&context)).await,
        Command::Aws(aws) => aws.run(&context),
        Command::Ca(ca) => Box::pin(ca.run(&context)).await,
        Command::Hosts(hosts) => Box::pin(hosts.run(&context)).await,
        Command::Secrets(secrets) => Box::pin(secrets.run(&context)).await,
        Command::Adopt(adopt) => Box::pin(adopt.run(&context)).await,
        Command::Images(images) => Box::pin(images.run(&context)).await,
        Command::Login(login) => Box::pin(login.run(&context)).await,
        Command::Operators(operators) => Box::pin(operators.run(&context)).await,
        Command::Audit(audit) => Box::pin(audit.run(&context)).await,
        Command::Bundle(bundle) => Box::pin(bundle.run(&context)).await,
        Command::Trust(trust) => Box::pin(trust.run(&context)).await,
        Command::Keys(keys) => keys.run(&context),
        Command::Init(init) => init.run(&context),
        Command::Import(import) => Box::pin(import.run(&context)).await,
        Command::Check(check) => Box::pin(check.run(&context)).await,
        Command::Lock(lock) => Box::pin(lock.run(&context)).await,
        Command::Dev(dev) => Box::pin(dev.run(&context)).await,
        Command::Serve(serve) => Box::pin(serve.run(&context)).await,
        Command::Completions(completions) => completions.run(Cli::command()),
    }
}

const EXAMPLES: &str = "\
Examples:
  floe init fossable.org --example www.fossable.org   # begin a fleet repository
  floe check                                          # is anything wrong with it?
  floe serve                                          # the control plane
  floe diff www.fossable.org                          # what would a push change?
  floe push www.fossable.org --watch                  # a canary, then the rest
  floe hosts                                          # who runs what
  floe hosts logs local-www-1                         # what a build wrote

Exit codes: 0 done, 1 failed, 2 usage, 3 refused by policy or trust";

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            command.get_subcommands().for_each(check);
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has none", command.get_name());
        }
        Cli::command().get_subcommands().for_each(check);
    }

    #[test]
    fn ids_are_refused_in_our_words() {
        let typed = ["floe", "rollout", "start", "www", "0"];
        let error = Cli::try_parse_from(typed).unwrap_err();
        assert!(error.to_string().contains("`0` is no serial"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
