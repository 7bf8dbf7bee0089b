//! `floe adopt`: machines that are in use become hosts, by the last run of what kept them until
//! now.
//!
//! Nothing here touches a machine. What joins by such a token waits until an operator has seen
//! what would change on it (`cli/takeover.rs`).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use floe_proto::id::{HostId, Role};
use floe_proto::payload::pin::Pin;

use super::context::Context;
use super::end::{End, Stopped};
use super::hosts;
use super::token::{self, Joining};
use super::view::adopt::{AdoptView, JoinView, ModuleView};
use crate::bundle::source::Source;
use crate::repository::{Repository, Span, TRUST_FILE};

/// Take machines over that are in use: prints what their last Ansible run has to add
///
/// Each machine gets the agent's module, the fleet's trust root and CA, and a join token of its
/// own, and is switched one last time by what kept it until now. It joins, and waits: `floe push`
/// shows what would change on it, and asks, before anything does.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Adopt {
    /// The role that the machines get: a directory below hosts/
    role: Role,

    /// Ids that they get, such as `local-www-1`
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<HostId>,

    /// Write each join.toml into this directory as HOST.toml (mode 0600), and show no token
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// For how long the tokens may be used; at most a day
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    valid_for: Span,
}

const EXAMPLES: &str = "\
Examples:
  floe adopt www.fossable.org local-www-1 local-www-2 --out .floe/join
  floe push www.fossable.org     # shows each one's difference, and asks";

/// What makes a machine a host of its role; `floe init` and `floe import` write it.
const AGENT_FILE: &str = "floe.nix";

/// The attestation that looks at no token.
const IID: &str = "aws-iid";

/// The pin that holds the agent's module.
const AGENT_PIN: &str = "floe";

impl Adopt {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        let directory = repository.role_directory(&self.role)?;
        // What is wrong is found before a token is made, which would be lost.
        let source = Source::read(&repository, &self.role)?;
        let module = match source.settings.code.flake() {
            // What it is made of is in the flake.
            Some(_) => None,
            None => Some(module(&repository, &directory, &source)?),
        };
        let credentials = context.credentials(Some(&repository));
        let ca = credentials.unwrap_or_else(|| repository.credentials()).join("ca.pem");
        if let Some(directory) = &self.out {
            for host in &self.hosts {
                refuse_existing(&join_path(directory, host))?;
            }
        }
        let connection = context.connect_from(Some(&repository)).await?;
        // Before a token is made that nobody could use.
        let known = hosts::list(&connection, None).await?;
        let enrolled = |host: &&HostId| {
            known.hosts.iter().any(|it| it.id == host.as_str() && it.revoked.is_none())
        };
        if let Some(host) = self.hosts.iter().find(enrolled) {
            return Err(Stopped::failed(
                format!("`{host}` is a host already"),
                "name another id; `floe hosts` lists those that are taken, `floe hosts revoke` frees one",
            )
            .into());
        }
        let mut joins = Vec::new();
        for host in &self.hosts {
            let (role, valid_for) = (&self.role, self.valid_for);
            let made = token::create(&connection, role, Some(host), valid_for, Joining::InUse);
            let made = made.await?;
            let file = match &self.out {
                Some(directory) => {
                    let path = join_path(directory, host);
                    std::fs::create_dir_all(directory)
                        .with_context(|| format!("could not make `{}`", directory.display()))?;
                    token::write_join_file(&path, host, &made.token)?;
                    Some(path)
                }
                None => None,
            };
            joins.push(JoinView {
                host: host.to_string(),
                content: file.is_none().then(|| token::join_file(host, &made.token)),
                file: file.map(|path| path.display().to_string()),
                expires: made.expires,
            });
        }
        context.print(&AdoptView {
            role: self.role.to_string(),
            module,
            trust_root: absolute(&repository.root().join(TRUST_FILE))?,
            ca: absolute(&ca)?,
            joins,
        })?;
        Ok(End::Done)
    }
}

/// What the machines of a role that is no flake's need to be hosts.
fn module(
    repository: &Repository,
    directory: &Path,
    source: &Source,
) -> anyhow::Result<ModuleView> {
    let settings = directory.join(AGENT_FILE);
    let text = match std::fs::read_to_string(&settings) {
        Ok(text) => text,
        Err(error) => {
            return Err(Stopped::failed(
                format!(
                    "could not read `{}`, which makes a machine a host: {error}",
                    settings.display()
                ),
                "write it: `floe init --example` shows one, `floe import` writes it",
            )
            .into());
        }
    };
    if text.contains(IID) {
        return Err(Stopped::failed(
            format!(
                "`{}` has hosts enrol by what EC2 says, and not by a token",
                settings.display()
            ),
            "leave `attestation` out for the machines that are adopted: it needs a token, by which \
             they wait until somebody has seen what changes",
        )
        .into());
    }
    let mut pins = source.lock.iter().flat_map(|lock| &lock.pins);
    let pin = pins.find(|(name, _)| name.to_string() == AGENT_PIN);
    let Some((_, Pin::Path(tree))) = pin else {
        return Err(Stopped::failed(
            format!("floe.lock pins no tree of the repository as `{AGENT_PIN}`"),
            "copy the directory nixos/ of floe's own repository to pins/floe, and pin that: \
             `path = \"pins/floe\"`",
        )
        .into());
    };
    let tree = repository.root().join(tree.as_str());
    Ok(ModuleView { tree: absolute(&tree)?, settings: absolute(&settings)? })
}

fn join_path(directory: &Path, host: &HostId) -> PathBuf {
    directory.join(format!("{host}.toml"))
}

fn refuse_existing(path: &Path) -> Result<(), Stopped> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => Err(Stopped::failed(
            format!("`{}` is there already", path.display()),
            "name another directory with --out, or remove this file",
        )),
    }
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path).context("could not tell where this directory is")?;
    Ok(path.display().to_string())
}
