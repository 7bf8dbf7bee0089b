//! `floe hosts`: who is there, what they did, and how new ones join.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use floe_proto::id::{ActivationId, HostId, Role};
use floe_proto::pb;
use floe_proto::time::Timestamp;
use tokio_stream::StreamExt as _;

use super::admit::{self, Asking};
use super::connection::Connection;
use super::context::Context;
use super::end::{End, Stopped};
use super::takeover;
use super::token::{self, Joining};
use super::view::activation::ActivationView;
use super::view::adopt::TakenOverView;
use super::view::host::{HostDetailView, HostView, HostsView};
use super::view::log::{LineView, LogView};
use super::view::revocation::{ResolvedView, RevokedView};
use super::view::token::TokenView;
use crate::repository::Span;

/// List hosts, show one, read its logs, let new ones join
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Hosts {
    #[command(subcommand)]
    command: Option<Command>,

    /// Only hosts of this role
    #[arg(long)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List hosts: who is online, what they confirmed, what came last
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only hosts of this role
        #[arg(long)]
        role: Option<Role>,
    },
    /// Show one host and its latest activations
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Which host
        host: HostId,
    },
    /// Print what builds and trials of a host wrote
    #[command(after_help = LOGS_EXAMPLES)]
    Logs {
        /// Which host
        host: HostId,
        /// Of this activation [default: the latest]
        #[arg(long, value_name = "ID")]
        activation: Option<ActivationId>,
        /// Go on until the activation has ended; with `--output json` one document a line
        #[arg(long, short)]
        follow: bool,
    },
    /// Make a join token: one machine may become a host of the role with it, once
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(Token),
    /// Refuse a host from now on: its session ends, and so do all of its keys
    ///
    /// The machine goes on with what it runs, and is told nothing more. It comes back with
    /// a token that is made for exactly this host afterwards.
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// Which host
        host: HostId,
        /// Why, for who looks at it later
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Say that of two machines with one identity the other one is gone
    ///
    /// Such a host is told nothing. Where it is not certain which of the two is left,
    /// revoke the host and let the right machine join anew.
    #[command(after_help = RESOLVE_EXAMPLES)]
    Resolve {
        /// Which host
        host: HostId,
    },
    /// Have a host that was in use before told what it should run, without being shown what
    /// changes
    ///
    /// For a host that cannot show it; `floe push` shows it, and asks.
    #[command(after_help = TAKE_OVER_EXAMPLES)]
    TakeOver {
        /// Which host
        host: HostId,
    },
    /// List machines on EC2 that ask to enrol and need to be approved, and why
    #[command(after_help = PENDING_EXAMPLES)]
    Pending,
    /// Let a machine in that waits: with the key that it asks with, once, within a day
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve {
        #[command(flatten)]
        asking: Asking,
        /// The role that it gets [default: its image's]
        #[arg(long)]
        role: Option<Role>,
    },
    /// Refuse a machine that waits, until it is approved; or take an approval back that its
    /// machine has not used yet
    #[command(after_help = DENY_EXAMPLES)]
    Deny {
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Args, Debug)]
struct Token {
    /// The role that the host gets
    role: Role,
    /// The only host id that may use it [default: any that is not enrolled]
    #[arg(long)]
    host: Option<HostId>,
    /// For how long it may be used; at most a day
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    valid_for: Span,
    /// Write the join.toml for /var/lib/floe/ here (mode 0600), and do not show the token
    #[arg(long, value_name = "FILE", requires = "host")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  floe hosts
  floe hosts --role www.fossable.org --output json
  floe hosts logs local-www-1 --follow";

const LIST_EXAMPLES: &str = "\
Examples:
  floe hosts list --role www.fossable.org";

const SHOW_EXAMPLES: &str = "\
Examples:
  floe hosts show local-www-1";

const LOGS_EXAMPLES: &str = "\
Examples:
  floe hosts logs local-www-1               # the latest activation
  floe hosts logs local-www-1 --follow";

const TAKE_OVER_EXAMPLES: &str = "\
Examples:
  floe diff www.fossable.org --host local-www-1    # what would change
  floe hosts take-over local-www-1";

const PENDING_EXAMPLES: &str = "\
Examples:
  floe hosts pending";

const APPROVE_EXAMPLES: &str = "\
Examples:
  floe hosts approve i-0123456789abcdef0
  floe hosts approve i-0123456789abcdef0 --role www.fossable.org --key 5f70bf18a086";

const DENY_EXAMPLES: &str = "\
Examples:
  floe hosts deny i-0123456789abcdef0";

const TOKEN_EXAMPLES: &str = "\
Examples:
  floe hosts token www.fossable.org
  floe hosts token www.fossable.org --host local-www-1 --out join.toml";

const REVOKE_EXAMPLES: &str = "\
Examples:
  floe hosts revoke local-www-1 --reason 'disk was stolen'
  floe hosts token www.fossable.org --host local-www-1    # lets it join anew";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  floe hosts show local-www-1        # says how it was seen
  floe hosts resolve local-www-1";

impl Hosts {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let command = self.command.unwrap_or(Command::List { role: self.role });
        let connection = context.connect().await?;
        match command {
            Command::List { role } => context.print(&list(&connection, role).await?)?,
            Command::Show { host } => context.print(&show(&connection, &host).await?)?,
            Command::Logs { host, activation, follow } => {
                logs(context, &connection, &host, activation, follow).await?;
            }
            Command::Revoke { host, reason } => {
                context.print(&revoke(&connection, &host, reason).await?)?;
            }
            Command::Resolve { host } => context.print(&resolve(&connection, host).await?)?,
            Command::Pending => context.print(&admit::pending(&connection).await?)?,
            Command::Approve { asking, role } => {
                context.print(&asking.approve(&connection, role).await?)?;
            }
            Command::Deny { asking } => context.print(&asking.deny(&connection).await?)?,
            Command::TakeOver { host } => {
                takeover::release(&connection, &host).await?;
                context.print(&TakenOverView { host: host.into() })?;
            }
            Command::Token(token) => {
                token.check(context)?;
                context.print(&token.make(&connection).await?)?;
            }
        }
        Ok(End::Done)
    }
}

/// All hosts, or those of a role, by id.
pub(super) async fn list(connection: &Connection, role: Option<Role>) -> anyhow::Result<HostsView> {
    let of = role.map(String::from);
    let request = pb::ListHostsRequest { role: of.clone().unwrap_or_default() };
    let listed = connection.operator.clone().list_hosts(request).await;
    let hosts = listed.map_err(connection.refusal("list hosts"))?.into_inner().hosts;
    Ok(HostsView { hosts: hosts.into_iter().map(HostView::from).collect(), of })
}

async fn show(connection: &Connection, host: &HostId) -> anyhow::Result<HostDetailView> {
    let refusal = connection.refusal(&format!("show the host `{host}`"));
    let request = pb::ShowHostRequest { host: host.to_string() };
    let shown = connection.operator.clone().show_host(request).await.map_err(refusal)?;
    let reply = shown.into_inner();
    Ok(HostDetailView {
        host: reply.host.unwrap_or_default().into(),
        activations: reply.activations.into_iter().map(ActivationView::from).collect(),
    })
}

async fn revoke(
    connection: &Connection,
    host: &HostId,
    reason: String,
) -> anyhow::Result<RevokedView> {
    let refusal = connection.refusal(&format!("revoke the host `{host}`"));
    let request = pb::RevokeHostRequest { host: host.to_string(), reason };
    let revoked = connection.authority().revoke_host(request).await.map_err(refusal)?;
    let revoked = Timestamp::from_micros(revoked.into_inner().revoked);
    Ok(RevokedView { host: host.to_string(), revoked })
}

async fn resolve(connection: &Connection, host: HostId) -> anyhow::Result<ResolvedView> {
    let refusal = connection.refusal(&format!("resolve the host `{host}`"));
    let request = pb::ResolveHostRequest { host: host.to_string() };
    connection.authority().resolve_host(request).await.map_err(refusal)?;
    Ok(ResolvedView { host: host.into() })
}

async fn logs(
    context: &Context,
    connection: &Connection,
    host: &HostId,
    activation: Option<ActivationId>,
    follow: bool,
) -> anyhow::Result<()> {
    let refusal = connection.refusal(&format!("read the logs of `{host}`"));
    let request = pb::HostLogsRequest {
        host: host.to_string(),
        activation: activation.map(String::from).unwrap_or_default(),
        follow,
    };
    let stream = connection.operator.clone().host_logs(request).await.map_err(&refusal)?;
    let mut stream = stream.into_inner();
    let mut lines = Vec::new();
    while let Some(line) = stream.next().await {
        let line = LineView::from(line.map_err(&refusal)?);
        if follow {
            context.print_line(&line)?;
        } else {
            lines.push(line);
        }
    }
    if !follow {
        context.print(&LogView { host: host.to_string(), lines })?;
    }
    Ok(())
}

impl Token {
    /// What is wrong is found before a token is made, which would be lost.
    fn check(&self, context: &Context) -> anyhow::Result<()> {
        // Without a repository nobody knows which roles there are.
        if let Ok(repository) = context.repository() {
            repository.role_directory(&self.role)?;
        }
        match &self.out {
            Some(path) if path.symlink_metadata().is_ok() => Err(Stopped::failed(
                format!("`{}` is there already", path.display()),
                "name another file with --out, or remove this one",
            )
            .into()),
            Some(_) | None => Ok(()),
        }
    }

    async fn make(self, connection: &Connection) -> anyhow::Result<TokenView> {
        let Self { role, host, valid_for, out } = self;
        let made = token::create(connection, &role, host.as_ref(), valid_for, Joining::New).await?;
        let file = match (&out, &host) {
            (Some(path), Some(host)) => {
                token::write_join_file(path, host, &made.token)?;
                Some(path.display().to_string())
            }
            _ => None,
        };
        Ok(TokenView {
            role: role.to_string(),
            host: host.map(String::from),
            token: file.is_none().then_some(made.token),
            file,
            expires: made.expires,
        })
    }
}
