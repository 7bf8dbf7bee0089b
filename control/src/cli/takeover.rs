//! Machines that were in use before floe knew them: each is shown as a push would change it,
//! and somebody says yes, before it is told anything.

use std::path::Path;

use clap::Args;
use floe_proto::id::HostId;
use floe_proto::manifest::{Kind, Manifest};
use floe_proto::pb;
use floe_proto::root::Root;
use floe_proto::verify::Verified;

use super::ask;
use super::connection::{self, Connection};
use super::context::Context;
use super::end::End;
use super::previewing::Preview;
use super::progress;
use super::view::{Page, View as _};
use crate::signing::Signer;

/// Whether hosts that were adopted may be changed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct TakeOverArgs {
    /// Let floe change hosts that were in use before, and wait, without asking; what would
    /// change on each is shown all the same
    ///
    /// Without it they are asked about on a terminal, and left alone elsewhere. With it the push
    /// ends with 1 where one of them could not show it, and is left alone.
    #[arg(long, conflicts_with_all = ["no_rollout", "dry_run"])]
    take_over: bool,
}

/// What is about to be pushed.
pub(super) struct Pushed<'a> {
    pub(super) manifest: &'a Manifest,
    /// `None` where the store has it.
    pub(super) payload: Option<&'a Path>,
    pub(super) signers: &'a [Signer],
    pub(super) root: &'a Verified<Root>,
}

/// The hosts for which somebody said yes.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    hosts: Vec<HostId>,
    /// Whether one was to be taken over, and is not.
    failed: bool,
}

impl TakeOverArgs {
    /// Shows what would change on each host of the role that waits, and asks. None of them is
    /// told anything before [`Agreed::carry_out`].
    pub(super) async fn ask(
        self,
        context: &Context,
        connection: &Connection,
        pushed: &Pushed<'_>,
    ) -> anyhow::Result<Agreed> {
        let waiting = waiting(connection, pushed.manifest).await?;
        let mut agreed = Agreed::default();
        if waiting.is_empty() {
            return Ok(agreed);
        }
        if !self.take_over && !context.environment().terminal {
            leave(&waiting, "nobody is here to be asked; --take-over says yes");
            return Ok(agreed);
        }
        if pushed.manifest.kind == Kind::Closure {
            leave(&waiting, "hosts do not build what is pushed, so that none can show it first");
            agreed.failed = self.take_over;
            return Ok(agreed);
        }
        let Pushed { manifest, payload, signers, root } = pushed;
        let trusted = (*root, context.now());
        let preview = Preview::begin(connection, manifest, *payload, signers, trusted).await?;
        for host in waiting {
            let progress = context.progress();
            let shown = preview.ask(connection, Some(&host), &progress).await;
            drop(progress);
            let view = match shown {
                Ok(view) => view,
                Err(error) => {
                    leave(&[host], &format!("{error:#}"));
                    agreed.failed |= self.take_over;
                    continue;
                }
            };
            progress::line(&view.text(Page { now: context.now(), width: None }));
            if self.take_over && view.is_whole() {
                agreed.hosts.push(host);
            } else if self.take_over {
                leave(
                    &[host],
                    "not all is known of what would change on it, or it would refuse it",
                );
                agreed.failed = true;
            } else {
                let question = format!("Let floe take {host} over, and change it like this?");
                match ask::yes(&question, context.environment())? {
                    Some(true) => agreed.hosts.push(host),
                    Some(false) | None => leave(&[host], "nobody said yes"),
                }
            }
        }
        Ok(agreed)
    }
}

impl Agreed {
    /// Has the hosts told what they should run: once that is what was shown.
    pub(super) async fn carry_out(self, connection: &Connection) -> anyhow::Result<End> {
        for host in &self.hosts {
            take_over(connection, host).await?;
            progress::line(&format!("{host} is taken over"));
        }
        Ok(if self.failed { End::Failed } else { End::Done })
    }
}

/// Has a host that waits be told what it should run; one that does not wait any more is fine.
async fn take_over(connection: &Connection, host: &HostId) -> Result<(), connection::Error> {
    match release(connection, host).await {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Has a host that waits be told what it should run.
pub(super) async fn release(
    connection: &Connection,
    host: &HostId,
) -> Result<(), connection::Error> {
    let request = pb::TakeOverHostRequest { host: host.to_string() };
    let refusal = connection.refusal(&format!("take `{host}` over"));
    connection.operator.clone().take_over_host(request).await.map_err(refusal)?;
    Ok(())
}

/// The hosts of the role that wait.
async fn waiting(connection: &Connection, manifest: &Manifest) -> anyhow::Result<Vec<HostId>> {
    let request = pb::ListHostsRequest { role: manifest.role.to_string() };
    let listed = connection.operator.clone().list_hosts(request).await;
    let hosts = listed.map_err(connection.refusal("list hosts"))?.into_inner().hosts;
    let waiting = hosts.into_iter().filter(|host| host.adopted != 0 && host.revoked == 0);
    Ok(waiting.map(|host| host.id.parse()).collect::<Result<_, _>>()?)
}

fn leave(hosts: &[HostId], why: &str) {
    for host in hosts {
        progress::line(&format!(
            "warning: {host} was in use before and is left as it is: {why}; `floe hosts take-over {host}` has \
             it changed without being shown"
        ));
    }
}
