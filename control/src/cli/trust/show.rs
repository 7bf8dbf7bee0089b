//! `floe trust show`: who may sign what, what is drawn up, and what is published.

use std::path::PathBuf;

use clap::Args;
use floe_proto::pb;
use floe_proto::time::Timestamp;

use super::super::connection::Connection;
use super::super::context::Context;
use super::super::view::trust::{RootView, TrustView, VersionView};
use super::desk::{self, Desk};
use crate::trust::proposal::Proposal;

/// Show who may sign what, what is drawn up, and who has signed it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Show {
    /// Show this proposal or trust root instead
    file: Option<PathBuf>,

    /// Ask the control plane which versions it has
    #[arg(long, conflicts_with = "file")]
    published: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe trust show
  floe trust show trust-next.json      # before you sign it
  floe trust show --published";

impl Show {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let now = context.now();
        if let Some(path) = &self.file {
            let proposal = desk::read(path)?;
            let desk = Desk::open(context).ok();
            let current = desk.as_ref().and_then(|desk| {
                let current = desk.current.as_deref();
                proposal.follows(desk.fleet(), current).ok().and(current)
            });
            let view = super::super::view::trust::ProposalView::new(&proposal, current, path, now);
            return context.print(&view);
        }
        let desk = Desk::open(context)?;
        let mut view = TrustView {
            trust: desk.current.as_ref().map(|root| RootView::new(root, now)),
            proposal: None,
            published: None,
        };
        if let Some(proposal) = desk.proposal()? {
            view.proposal = Some(desk.view(&proposal, &desk.proposal_file(), now));
        }
        if self.published {
            let connection = context.connect_from(Some(&desk.repository)).await?;
            view.published = Some(published(&connection).await?);
        }
        context.print(&view)
    }
}

/// What the control plane says that it has. Hosts verify each step; this shows it only.
async fn published(connection: &Connection) -> anyhow::Result<Vec<VersionView>> {
    let mut versions: Vec<VersionView> = Vec::new();
    loop {
        let after = versions.last().map_or(0, |last| last.version);
        let refusal = connection.refusal("ask for the trust roots");
        let asked = connection.trust().show_roots(pb::ShowRootsRequest { after }).await;
        let before = versions.len();
        for root in asked.map_err(refusal)?.into_inner().roots {
            // Whatever is answered, this comes to an end.
            if versions.last().is_none_or(|last| root.version > last.version) {
                let said = Proposal::parse(&root.root_envelope).ok();
                versions.push(VersionView {
                    version: root.version,
                    publisher: root.publisher,
                    published: Timestamp::from_micros(root.published),
                    expires: said.map(|said| said.root().expires),
                });
            }
        }
        if versions.len() == before {
            return Ok(versions);
        }
    }
}
