//! What can be typed, and which file answers.
//!
//! Exit codes: 0 done, 1 failed, 2 usage, 3 refused by trust or policy; `run` ends
//! with 75 when it hands over to the agent of another system.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use floe_proto::id::ActivationId;
use log::LevelFilter;
use serde::Serialize;

use crate::activation::state::Toplevel;
use crate::config::{self, Config};
use crate::host::paths::AGENT_UNIT;
use crate::host::trial::{self, Action};
use crate::host::{guard, journal, suspension, system, unit};
use crate::identity::{self, Store};
use crate::local::{self, Gc, Revert, Suspend};
use crate::run::{self, Ending};
use crate::secrets;
use crate::status::{Identity, Machine, Status, TrustRoot};
use crate::telemetry::Chain;
use crate::trust;

/// Keeps one NixOS machine on what its fleet signed for it
///
/// The agent connects out to the control plane, verifies what it is told to run,
/// builds it, tries it, and keeps it only if the machine proves healthy.
#[derive(Debug, Parser)]
#[command(name = "floe-agent", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Say more (-vv for everything)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enrol if need be, then stay connected and run what is assigned
    #[command(after_help = RUN_EXAMPLES)]
    Run,

    /// Show who this host is, what it runs and how the last activation ended
    ///
    /// Asks this machine only: works while the control plane cannot be reached. Says also
    /// how often a bundle was tried, what is not tried again, and when the agent tries to
    /// reach the control plane next.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Shown),

    /// Show how activations ended here, the newest first
    #[command(after_help = local::HISTORY_EXAMPLES)]
    History(Shown),

    /// Begin nothing new on this machine until it is resumed
    ///
    /// What is in flight ends normally; what waits for its window to reboot in goes on
    /// waiting. The agent stays connected and says that it is suspended; rollouts go past this
    /// host, as past one that is not connected.
    Suspend(Suspend),

    /// Take what is assigned again, at once
    #[command(after_help = local::RESUME_EXAMPLES)]
    Resume,

    /// Go back now, and suspend this machine
    ///
    /// What is on trial is undone, as the dead man's timer would. Where nothing is in
    /// flight, the machine leaves what it confirmed last for the system that it ran before,
    /// which then also boots. Needs no control plane; that is told when it can be reached.
    Revert(Revert),

    /// Delete old generations of the system, and what nobody needs any more
    ///
    /// The boot menu is written anew before anything is taken from the store.
    Gc(Gc),

    /// Check a configuration file, and list everything that is wrong with it
    #[command(after_help = CHECK_EXAMPLES)]
    CheckConfig(CheckConfig),

    /// Check that this program can go on from what is on this machine
    ///
    /// Used before a switch: the agent of the new system must be able to read the
    /// configuration, the trust root, the CA and the journal.
    #[command(after_help = SELFTEST_EXAMPLES)]
    Selftest,

    /// Place the secrets that this host keeps, sealed, on its disk
    ///
    /// What the boot does before users and services are set up. Needs no network and no
    /// control plane; changes nothing where all are in their place.
    #[command(after_help = PLACE_EXAMPLES)]
    PlaceSecrets,

    /// Internal: switch to a system and write down how that went
    #[command(hide = true)]
    Trial(Trial),

    /// Internal: what the dead man's timer starts
    #[command(hide = true)]
    Guard(Guard),
}

#[derive(Args, Debug)]
struct Shown {
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// One fact a line
    #[default]
    Text,
    /// One JSON document
    Json,
}

#[derive(Args, Debug)]
struct CheckConfig {
    /// File to check, instead of the one of --config
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Trial {
    /// The system to switch to
    #[arg(long)]
    toplevel: Toplevel,
    /// `test` or `boot`
    #[arg(long)]
    action: Action,
    /// Where the outcome is written
    #[arg(long)]
    outcome: PathBuf,
    /// The activation whose dead man's timer must be armed
    #[arg(long)]
    guarded_by: Option<ActivationId>,
}

#[derive(Args, Debug)]
struct Guard {
    /// The activation that it guards
    #[arg(long, required_unless_present = "boot")]
    activation: Option<ActivationId>,

    /// Guard the system that this boot is to try, if it is to try one
    #[arg(long, conflicts_with = "activation")]
    boot: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe-agent status --output json
  floe-agent history
  floe-agent suspend --reason 'the disk is being replaced'
  floe-agent revert
  floe-agent check-config /etc/floe/agent.toml
  journalctl --unit floe-agent FLOE_SERIAL=42";

const RUN_EXAMPLES: &str = "\
Examples:
  systemctl start floe-agent                   # as it is run on a host
  floe-agent run --config /etc/floe/agent.toml";

const STATUS_EXAMPLES: &str = "\
Examples:
  floe-agent status
  floe-agent status --output json";

const CHECK_EXAMPLES: &str = "\
Examples:
  floe-agent check-config
  floe-agent check-config ./agent.toml";

const PLACE_EXAMPLES: &str = "\
Examples:
  floe-agent place-secrets";

const SELFTEST_EXAMPLES: &str = "\
Examples:
  floe-agent selftest";

/// How long `run` waits before it ends, where it ends for a fault.
const HOLD_OFF: Duration = Duration::from_secs(3);

impl Cli {
    /// How much is logged.
    pub fn level(&self) -> LevelFilter {
        match (self.verbose, &self.command) {
            // What a person typed speaks for itself.
            (
                0,
                Command::Status(_)
                | Command::History(_)
                | Command::Suspend(_)
                | Command::Resume
                | Command::Revert(_)
                | Command::Gc(_)
                | Command::CheckConfig(_)
                | Command::PlaceSecrets
                | Command::Selftest,
            ) => LevelFilter::Warn,
            (0, Command::Run | Command::Trial(_) | Command::Guard(_)) => LevelFilter::Info,
            (1, _) => LevelFilter::Debug,
            (2.., _) => LevelFilter::Trace,
        }
    }
}

/// Does what was typed.
///
/// # Errors
///
/// What [`explain`] can put into words.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run => match run::run(&cli.config).await {
            Ok(Ending::Stopped) => Ok(ExitCode::SUCCESS),
            Ok(Ending::HandOver(code)) => Ok(ExitCode::from(code)),
            Err(error) => {
                // systemd starts us again at once, as it must after a hand-over: what fails
                // each time would fail ten times a second.
                let code = explain(&error.into());
                tokio::time::sleep(HOLD_OFF).await;
                Ok(code)
            }
        },
        Command::Status(args) => {
            status(&Config::read(&cli.config)?, args.output).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::History(args) => {
            show(&local::past(&Config::read(&cli.config)?)?, args.output)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Suspend(args) => {
            print(&local::suspend(&args, &Config::read(&cli.config)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Resume => {
            print(&local::resume(&Config::read(&cli.config)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Revert(args) => {
            let config = Config::read(&cli.config)?;
            print(&local::revert(&args, &run::paths(&config, &cli.config)).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Gc(args) => {
            let config = Config::read(&cli.config)?;
            let paths = run::paths(&config, &cli.config);
            print(&local::gc(&args, &config, &paths).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckConfig(args) => {
            let file = args.file.unwrap_or(cli.config);
            Config::read(&file)?;
            print(&format!("{}: ok", file.display()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Selftest => {
            run::selftest(&cli.config)?;
            print("ok");
            Ok(ExitCode::SUCCESS)
        }
        Command::PlaceSecrets => {
            let config = Config::read(&cli.config)?;
            let at = run::secrets_at(&config);
            let said = match secrets::place_kept(&at, &config.fleet, &config.role)? {
                Some(held) => format!("serial {} is in {}", held.serial, at.place.display()),
                None => "this host keeps no secrets".to_owned(),
            };
            print(&said);
            Ok(ExitCode::SUCCESS)
        }
        Command::Trial(Trial { toplevel, action, outcome, guarded_by }) => {
            trial::run(toplevel.as_path(), action, &outcome, guarded_by.as_ref()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Guard(Guard { activation, boot: _ }) => {
            let config = Config::read(&cli.config)?;
            let paths = run::paths(&config, &cli.config);
            match activation {
                Some(activation) => guard::run(paths, &activation).await?,
                None => guard::run_in_boot(paths).await?,
            };
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn status(config: &Config, output: Output) -> anyhow::Result<()> {
    let state = journal::read(&config.state_directory)?.state;
    let enrolled = Store::new(&config.state_directory).load()?;
    let identity = enrolled
        .map(|enrolled| Identity { host: enrolled.host, until: enrolled.certificate.not_after });
    let pinned = std::fs::read(&config.trust_root).ok();
    let believed =
        pinned.and_then(|file| trust::look(&config.state_directory, &config.fleet, &file).ok());
    let trust_root = believed
        .map(|trust| TrustRoot { version: trust.root.version, expires: trust.root.expires });
    let (sealing_key, secrets) = secrets::look(&config.state_directory);
    let machine = Machine {
        sealing_key,
        secrets,
        running: system::running(),
        // Where there is no systemd, there is no agent of its either.
        connection: unit::status_text(AGENT_UNIT).await.unwrap_or_default(),
        suspended: suspension::read(&config.state_directory),
    };
    show(&Status::new(config, &state, identity, trust_root, machine), output)
}

fn show(result: &(impl Display + Serialize), output: Output) -> anyhow::Result<()> {
    print(&match output {
        Output::Text => result.to_string(),
        Output::Json => serde_json::to_string_pretty(result)?,
    });
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the one place where results are printed")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

/// Prints the error and its advice to stderr; the code says who must act.
#[expect(clippy::print_stderr, reason = "the one place where errors are printed")]
pub fn explain(error: &anyhow::Error) -> ExitCode {
    eprintln!("floe-agent: {}", Chain(error.as_ref()));
    let config = error.downcast_ref().map(config::Error::advice);
    let journal = error.downcast_ref().map(journal::Error::advice);
    let identity = error.downcast_ref().map(identity::Error::advice);
    let run = error.downcast_ref::<run::Error>();
    let local = error.downcast_ref::<local::Error>();
    let secrets = error.downcast_ref::<secrets::Error>();
    let advice = config.or(journal).or(identity).or_else(|| run.map(run::Error::advice));
    let advice = advice.or_else(|| secrets.map(secrets::Error::advice));
    if let Some(advice) = advice.or_else(|| local.map(local::Error::advice)) {
        eprintln!("  try: {advice}");
    }
    let refused = run.is_some_and(run::Error::is_refusal);
    let refused = refused || secrets.is_some_and(secrets::Error::is_refusal);
    if refused || local.is_some_and(local::Error::is_refusal) {
        return ExitCode::from(3);
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has none", command.get_name());
        }
    }

    #[test]
    fn the_configuration_lies_where_the_module_puts_it() {
        let cli = Cli::try_parse_from(["floe-agent", "run"]).unwrap();
        assert_eq!(cli.config.to_str(), Some(config::DEFAULT_PATH));
        assert_eq!(cli.level(), LevelFilter::Info);
    }
}
