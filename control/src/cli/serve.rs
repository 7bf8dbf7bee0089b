//! `floe serve`: the control plane of this repository's fleet, until it is told to end.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::context::Context;
use super::end::End;
use super::view::serve::{CheckedView, ServeView};
use crate::repository::{Repository, Span};
use crate::serve::{self, Bound, ServeConfig};
use crate::supervisor;

/// Run the control plane
///
/// Keeps its state in SQLite, payloads in a bucket of its own, and makes its own CA;
/// all of it below one directory. The first start writes the first operator's
/// credentials to DIR/operator/admin/. SIGTERM and ^C end it cleanly. What is not typed
/// is taken from [serve] of floe.toml.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// Check floe.toml and the trust root, and end
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    options: Options,
}

/// Where a control plane keeps things and is reached.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The fleet's floe.toml; trust.json lies beside it [default: that of the repository]
    #[arg(long, value_name = "FILE", conflicts_with = "repo")]
    config: Option<PathBuf>,

    /// Directory of everything that is kept [default: `data` in [serve] of floe.toml, or .floe beside it]
    #[arg(long, env = "FLOE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where to listen for operators and hosts [default: 127.0.0.1:7443]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// How operators and hosts reach it [default: https:// and the address]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// Where to listen for payloads [default: 127.0.0.1:7444]
    #[arg(long, value_name = "ADDR")]
    objects_listen: Option<SocketAddr>,

    /// How operators and hosts reach payloads [default: https:// and the address]
    #[arg(long, value_name = "URL")]
    objects_url: Option<String>,

    /// How long certificates of hosts are good; they are renewed at half of it [default: 24h]
    #[arg(long, value_name = "SPAN")]
    host_lifetime: Option<Span>,
}

const EXAMPLES: &str = "\
Examples:
  floe serve                                            # on this machine only
  floe serve --config /etc/floe/floe.toml --check       # as NixOS does before it installs it
  floe serve --listen 0.0.0.0:7443 --public-url https://floe.fossable.org:7443 \\
             --objects-listen 0.0.0.0:7444 --objects-url https://floe.fossable.org:7444";

impl Serve {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let config = self.options.config(&self.options.repository(context)?)?;
        if self.check {
            serve::check(&config).await?;
            context.print(&CheckedView::from(&config))?;
            return Ok(End::Done);
        }
        let mut printed = Ok(());
        let ready = |bound: &Bound| {
            printed = context.print(&ServeView::from(bound));
            supervisor::ready(&bound.url);
        };
        let told_to_end = async {
            serve::terminated().await;
            supervisor::stopping();
        };
        tokio::select! {
            served = Box::pin(serve::serve(config, ready, told_to_end)) => served?,
            () = supervisor::watchdog() => {}
        }
        printed?;
        Ok(End::Done)
    }
}

impl Options {
    /// The repository whose fleet is served.
    pub(super) fn repository(&self, context: &Context) -> anyhow::Result<Repository> {
        Ok(match &self.config {
            Some(file) => Repository::of_file(file)?,
            None => context.repository()?,
        })
    }

    /// What the server is told.
    pub(super) fn config(&self, repository: &Repository) -> anyhow::Result<ServeConfig> {
        let trust = repository.trust_file();
        let root = fs::read(&trust)
            .with_context(|| format!("could not read the trust root `{}`", trust.display()))?;
        let written = &repository.file().serve;
        let data = match (&self.data, &written.data) {
            (Some(typed), _) => typed.clone(),
            (None, Some(data)) => repository.root().join(data),
            (None, None) => repository.root().join(".floe"),
        };
        let mut config = ServeConfig::new(data, repository.file().fleet.clone(), root);
        config.listen = self.listen.or(written.listen).unwrap_or(config.listen);
        config.objects_listen =
            self.objects_listen.or(written.objects_listen).unwrap_or(config.objects_listen);
        if let Some(lifetime) = repository.file().host_lifetime {
            config.host_lifetime = lifetime.duration();
        }
        config.public_url = self.public_url.clone().or_else(|| written.public_url.clone());
        config.objects_url = self.objects_url.clone().or_else(|| written.objects_url.clone());
        if let Some(lifetime) = self.host_lifetime {
            config.host_lifetime = lifetime.duration();
        }
        config.escrow = repository.file().escrow;
        config.aws = repository.file().aws.clone();
        for (_, file) in &mut config.aws.certificates {
            *file = repository.root().join(&*file);
        }
        Ok(config)
    }
}
