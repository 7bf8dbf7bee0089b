//! `floe dev`: the control plane and a fleet of local hosts, until ^C.
//!
//! What a host is, a machine command decides: a container, a virtual machine. It is run
//! once for each host, in a process group of its own, with what the host needs to join
//! in its environment, and ends when it is sent SIGTERM. Nothing is left running.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;
use floe_proto::id::HostId;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Credentials};
use super::context::Context;
use super::end::{End, Stopped};
use super::hosts;
use super::machine::{self, Machine, Wanted};
use super::progress::Progress;
use super::serve::Options;
use super::token::{self, Joining};
use super::view::host::HostsView;
use crate::clock;
use crate::repository::{Repository, Span};
use crate::serve::{self, Bound};

/// Run the control plane and a fleet of local hosts, to try things
///
/// For each host the machine command is run with FLOE_HOST, FLOE_ROLE, FLOE_SERVER and
/// the paths FLOE_JOIN (join.toml), FLOE_CA (ca.pem) and FLOE_TRUST (trust.json) in its
/// environment, until it is sent SIGTERM; its stdin is closed when floe is gone, however
/// it went. A host that joined in an earlier run gets no new token: its machine must have
/// kept /var/lib/floe.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dev {
    /// Hosts of a role: ROLE or ROLE=NUMBER; may be repeated
    #[arg(long = "host", value_name = "ROLE[=N]", required = true)]
    hosts: Vec<Wanted>,

    /// Command that runs one machine (given to sh -c)
    #[arg(long, value_name = "CMD")]
    machine: String,

    /// For how long to wait until all hosts are online
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    patience: Span,

    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "\
Examples:
  floe dev --host www.fossable.org=2 --host db.fossable.org --machine ./machine
  tests/world/dev     # in the repository of floe itself: containers as machines";

/// How often it is looked who is online.
const LOOK: Duration = Duration::from_millis(250);

impl Dev {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = self.options.repository(context)?;
        let wanted = machine::name(&self.hosts);
        for (_, role) in &wanted {
            repository.role_directory(role)?;
        }
        let config = self.options.config(&repository)?;
        let data = config.data.clone();

        let closing = CancellationToken::new();
        let (bound_sender, bound) = oneshot::channel();
        let mut server = JoinSet::new();
        let told = closing.clone();
        server.spawn(async move {
            let ready = |bound: &Bound| drop(bound_sender.send(bound.clone()));
            Box::pin(serve::serve(config, ready, told.cancelled_owned())).await
        });
        let mut machines = JoinSet::new();
        let stopping = CancellationToken::new();
        let fleet = async {
            // The sender is dropped only by a server that could not start.
            let Ok(bound) = bound.await else { return std::future::pending().await };
            let joined = self.join(&repository, &wanted, &bound, data.join("dev")).await?;
            for machine in joined.machines {
                machines.spawn(machine.run(stopping.clone()));
            }
            let progress = Progress::plain();
            let hosts = tokio::select! {
                online = self.all_online(&joined.connection, &wanted, &progress) => online?,
                ended = first_end(&mut machines) => return Err(ended.into()),
            };
            context.print(&hosts)?;
            progress.note(&next(&repository, &bound, &wanted));
            Err::<(), _>(first_end(&mut machines).await.into())
        };
        let outcome = tokio::select! {
            Err(error) = Box::pin(fleet) => Err(error),
            () = serve::terminated() => Ok(End::Done),
            Some(ended) = server.join_next() => {
                ended??;
                Err(Stopped::failed("the control plane ended", "look at what it logged").into())
            }
        };

        // Machines first, so that they can say goodbye.
        stopping.cancel();
        while machines.join_next().await.is_some() {}
        closing.cancel();
        while let Some(ended) = server.join_next().await {
            ended??;
        }
        outcome
    }

    /// Makes a token for each host that has not joined yet.
    async fn join(
        &self,
        repository: &Repository,
        wanted: &[(HostId, floe_proto::id::Role)],
        bound: &Bound,
        directory: PathBuf,
    ) -> anyhow::Result<Joined> {
        let connection =
            Connection::open(&bound.url, &Credentials::read(&bound.operator, clock::now())?)
                .await?;
        let known = hosts::list(&connection, None).await?.hosts;
        let mut machines = Vec::new();
        for (host, role) in wanted {
            let directory = directory.join(host.as_str());
            std::fs::create_dir_all(&directory)?;
            let join = directory.join("join.toml");
            if !known.iter().any(|known| known.id == host.as_str()) {
                let token =
                    token::create(&connection, role, Some(host), TOKEN, Joining::New).await?;
                token::write_join_file(&join, host, &token.token)?;
            }
            machines.push(Machine {
                host: host.clone(),
                command: self.machine.clone(),
                environment: vec![
                    ("FLOE_HOST", host.as_str().into()),
                    ("FLOE_ROLE", role.as_str().into()),
                    ("FLOE_JOIN", join.into()),
                    ("FLOE_CA", bound.operator.join("ca.pem").into()),
                    ("FLOE_SERVER", bound.url.clone().into()),
                    ("FLOE_TRUST", std::path::absolute(repository.trust_file())?.into()),
                ],
            });
        }
        Ok(Joined { connection, machines })
    }

    async fn all_online(
        &self,
        connection: &Connection,
        wanted: &[(HostId, floe_proto::id::Role)],
        progress: &Progress,
    ) -> anyhow::Result<HostsView> {
        let begun = Instant::now();
        let mut said = 0;
        progress.doing(&format!("starting {} machines", wanted.len()));
        loop {
            let seen = hosts::list(connection, None).await?;
            let is_online = |host: &HostId| {
                seen.hosts.iter().any(|known| known.online && known.id == host.as_str())
            };
            let absent: Vec<_> =
                wanted.iter().map(|(host, _)| host).filter(|host| !is_online(host)).collect();
            if absent.is_empty() {
                return Ok(seen);
            }
            let online = wanted.len() - absent.len();
            if online != said {
                progress.doing(&format!("{online} of {} hosts are online", wanted.len()));
                said = online;
            }
            if begun.elapsed() > self.patience.duration() {
                let absent = absent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(Error::Late { hosts: absent, patience: self.patience }.into());
            }
            sleep(LOOK).await;
        }
    }
}

/// Machines that can start.
struct Joined {
    connection: Connection,
    machines: Vec<Machine>,
}

/// Long enough for machines that boot one after the other.
const TOKEN: Span = Span::seconds(3600);

/// Waits until a machine ends that should not.
async fn first_end(machines: &mut JoinSet<(HostId, std::io::Result<ExitStatus>)>) -> Error {
    match machines.join_next().await {
        Some(Ok((host, Ok(status)))) => Error::Ended { host, status },
        Some(Ok((host, Err(source)))) => Error::NotStarted { host, source },
        // Nobody is left to wait for.
        Some(Err(_)) | None => std::future::pending().await,
    }
}

/// What to type now: as this command was typed, and only the flags that floe.toml does
/// not say already.
fn next(
    repository: &Repository,
    bound: &Bound,
    wanted: &[(HostId, floe_proto::id::Role)],
) -> String {
    let role = wanted.first().map_or("ROLE", |(_, role)| role.as_str());
    let floe = std::env::args_os().next().unwrap_or_else(|| "floe".into());
    let floe = floe.to_string_lossy();
    let mut flags = String::new();
    if repository.file().server != bound.url {
        flags += &format!(" --server {}", bound.url);
    }
    if repository.credentials() != bound.operator {
        flags += &format!(" --credentials {}", bound.operator.display());
    }
    format!(
        "\nall hosts are online; ^C stops everything. In another terminal, in {}:\n  \
         {floe} push {role} --watch{flags}\n  {floe} hosts{flags}",
        repository.root().display()
    )
}

/// Why the fleet did not come up, or did not stay.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the machine of `{host}` could not be started")]
    NotStarted {
        host: HostId,
        #[source]
        source: std::io::Error,
    },
    #[error("the machine of `{host}` ended: {status}")]
    Ended { host: HostId, status: ExitStatus },
    #[error("after {patience} these hosts are not online: {hosts}")]
    Late { hosts: String, patience: Span },
}

impl Error {
    /// What the operator can do next.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::NotStarted { .. } => "check the command of --machine".into(),
            Self::Ended { host, .. } => format!("read the lines above that begin with `{host}`"),
            Self::Late { .. } => {
                "read the lines above that begin with their names; --patience waits longer".into()
            }
        }
    }
}
