//! `floe serve`: the control plane of this repository's fleet, until it is told to end.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::context::Context;
use super::end::End;
use super::view::serve::ServeView;
use crate::repository::{Repository, Span};
use crate::serve::{self, Bound, ServeConfig};

/// Run the control plane
///
/// Keeps its state in SQLite, payloads in a bucket of its own, and makes its own CA;
/// all of it below one directory. The first start writes the first operator's
/// credentials to DIR/operator/admin/. SIGTERM and ^C end it cleanly.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    options: Options,
}

/// Where a control plane keeps things and is reached.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The fleet's floe.toml; trust.json lies beside it [default: that of the repository]
    #[arg(long, value_name = "FILE", conflicts_with = "repo")]
    config: Option<PathBuf>,

    /// Directory of everything that is kept [default: .floe in the repository]
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
  floe serve --listen 0.0.0.0:7443 --public-url https://floe.fossable.org:7443 \\
             --objects-listen 0.0.0.0:7444 --objects-url https://floe.fossable.org:7444";

impl Serve {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let config = self.options.config(&self.options.repository(context)?)?;
        let mut printed = Ok(());
        let ready = |bound: &Bound| printed = context.print(&ServeView::from(bound));
        Box::pin(serve::serve(config, ready, serve::terminated())).await?;
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
        let data = self.data.clone().unwrap_or_else(|| repository.root().join(".floe"));
        let mut config = ServeConfig::new(data, repository.file().fleet.clone(), root);
        config.listen = self.listen.unwrap_or(config.listen);
        config.objects_listen = self.objects_listen.unwrap_or(config.objects_listen);
        if let Some(lifetime) = repository.file().host_lifetime {
            config.host_lifetime = lifetime.duration();
        }
        config.public_url.clone_from(&self.public_url);
        config.objects_url.clone_from(&self.objects_url);
        if let Some(lifetime) = self.host_lifetime {
            config.host_lifetime = lifetime.duration();
        }
        config.aws = repository.file().aws.clone();
        for (_, file) in &mut config.aws.certificates {
            *file = repository.root().join(&*file);
        }
        Ok(config)
    }
}
