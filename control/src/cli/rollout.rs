//! `floe rollout`: start one of what is published, look at one, watch one.

use clap::{Args, Subcommand};
use floe_proto::id::{Epoch, Role, Serial};
use floe_proto::pb;

use super::context::Context;
use super::end::End;
use super::view::rollout::{RolloutView, State};
use super::watch::{self, Watched};

/// Take a published bundle to a role's hosts, and see how far it is
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rollout {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show where a rollout stands, host by host
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Id of a rollout, or a role for its newest
        rollout: String,
    },
    /// Stay until a rollout has ended; fails if it was stopped
    #[command(after_help = WATCH_EXAMPLES)]
    Watch {
        /// Id of a rollout, or a role for its newest
        rollout: String,
    },
    /// Take a published bundle to its role's hosts: one canary, then the rest
    #[command(after_help = START_EXAMPLES)]
    Start {
        /// Whose hosts
        role: Role,
        /// Which manifest
        serial: Serial,
        /// The epoch that it was signed under [default: that of trust.json]
        #[arg(long)]
        epoch: Option<u32>,
        /// Try it again also on hosts that went back from this payload before
        #[arg(long)]
        retry: bool,
        /// Stay until it has ended
        #[arg(long)]
        watch: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  floe rollout show www.fossable.org       # the newest of the role
  floe rollout start www.fossable.org 42   # of what `floe push --no-rollout` published";

const SHOW_EXAMPLES: &str = "\
Examples:
  floe rollout show www.fossable.org       # the newest of the role
  floe rollout show r-12 --output json";

const WATCH_EXAMPLES: &str = "\
Examples:
  floe rollout watch r-12 && echo everybody confirmed

^C leaves, with code 1, and the rollout goes on.";

const START_EXAMPLES: &str = "\
Examples:
  floe rollout start www.fossable.org 42 --watch
  floe rollout start www.fossable.org 42 --retry   # also where it was reverted before";

impl Rollout {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        match self.command {
            Command::Show { rollout } => {
                context.print(&show(context, rollout).await?)?;
                Ok(End::Done)
            }
            Command::Watch { rollout } => {
                let seen = show(context, rollout).await?;
                to_the_end(context, seen).await
            }
            Command::Start { role, serial, epoch, retry, watch } => {
                let epoch = match epoch {
                    Some(epoch) => Epoch::new(epoch),
                    None => context.repository()?.trust()?.epoch,
                };
                let started = start(context, &role, epoch, serial, retry).await?;
                if watch {
                    return to_the_end(context, started).await;
                }
                context.print(&started)?;
                Ok(End::Done)
            }
        }
    }
}

/// What a shell is told of a rollout that was watched.
pub(super) fn end_of(watched: &Watched) -> End {
    match watched {
        Watched::Left(_) => End::Failed,
        Watched::Ended(rollout) => match rollout.state {
            State::Done => End::Done,
            State::Running | State::Stopped | State::Superseded | State::Unknown => End::Failed,
        },
    }
}

async fn show(context: &Context, rollout: String) -> anyhow::Result<RolloutView> {
    let connection = context.connect().await?;
    let refusal = connection.refusal(&format!("show the rollout `{rollout}`"));
    let request = pb::ShowRolloutRequest { rollout };
    let shown = connection.operator.clone().show_rollout(request).await.map_err(refusal)?;
    Ok(watch::view(shown.into_inner()))
}

async fn start(
    context: &Context,
    role: &Role,
    epoch: Epoch,
    serial: Serial,
    retry: bool,
) -> anyhow::Result<RolloutView> {
    let connection = context.connect().await?;
    let refusal = connection.refusal(&format!("start a rollout of `{role}` serial {serial}"));
    let request = pb::StartRolloutRequest {
        role: role.to_string(),
        epoch: epoch.get().into(),
        serial: serial.get(),
        retry,
    };
    let started = connection.operator.clone().start_rollout(request).await.map_err(refusal)?;
    Ok(watch::view(started.into_inner()))
}

async fn to_the_end(context: &Context, seen: RolloutView) -> anyhow::Result<End> {
    let connection = context.connect().await?;
    let progress = context.progress();
    let watched = watch::watch(&connection, seen, &progress).await?;
    if let Watched::Left(rollout) = &watched {
        let id = &rollout.id;
        progress.note(&format!("the rollout goes on; look at it with: floe rollout show {id}"));
    }
    drop(progress);
    let end = end_of(&watched);
    let (Watched::Ended(rollout) | Watched::Left(rollout)) = watched;
    context.print(&rollout)?;
    Ok(end)
}
