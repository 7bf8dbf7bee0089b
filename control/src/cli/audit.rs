//! `floe audit`: what was done, by whom, and whether the log of it is whole.

use std::str::FromStr;

use clap::Args;
use floe_proto::digest::Digest;
use floe_proto::pb;
use floe_proto::time::Timestamp;

use super::connection::Connection;
use super::context::Context;
use super::end::End;
use super::view::audit::{AuditEntryView, AuditView, ChainView};
use crate::repository::Span;
use crate::store::{AuditEntry, AuditRecord, Chain};

/// Show who did what, when, from where, and what came of it
///
/// Everything that changes something is in the log, done or refused. Its rows are chained
/// by hashes: --verify reads all of them and says whether one was changed or is missing.
/// Keep the head that it prints: whoever can write the control plane's database could
/// write a whole new log, which --head finds out.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Audit {
    /// How far back
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    since: Span,

    /// Only what this operator did, or `host/ID`
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,

    /// Read the whole log, and say whether it is whole
    #[arg(long, conflicts_with_all = ["since", "actor"])]
    verify: bool,

    /// A row that must be in it, as an earlier --verify printed it
    #[arg(long, value_name = "NUMBER:HASH", requires = "verify")]
    head: Option<Head>,
}

const EXAMPLES: &str = "\
Examples:
  floe audit --since 24h
  floe audit --actor ada --output json
  floe audit --verify";

/// A row of the log, by its number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    number: u64,
    hash: Digest,
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let wrong = "expected NUMBER:HASH, as --verify prints it";
        let (number, hash) = text.split_once(':').ok_or(wrong)?;
        Ok(Self {
            number: number.parse().map_err(|_| wrong)?,
            hash: hash.parse().map_err(|_| wrong)?,
        })
    }
}

impl Audit {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let connection = context.connect().await?;
        if self.verify {
            let mut verification = Verification::new(self.head);
            let all = pb::AuditRequest::default();
            each(&connection, all, |row| verification.goes_on_with(row)).await?;
            let view = verification.end();
            let end = if view.fault.is_none() { End::Done } else { End::Failed };
            context.print(&view)?;
            return Ok(end);
        }
        let actor = self.actor.map(|name| match name.contains('/') {
            true => name,
            false => format!("operator/{name}"),
        });
        let ago = i64::try_from(self.since.duration().as_micros()).unwrap_or(i64::MAX);
        let since = context.now().as_micros().saturating_sub(ago).max(0);
        let request = pb::AuditRequest { after: 0, since, actor: actor.unwrap_or_default() };
        let mut entries = Vec::new();
        each(&connection, request, |row| {
            entries.push(AuditEntryView::from(row));
            true
        })
        .await?;
        context.print(&AuditView { entries })?;
        Ok(End::Done)
    }
}

/// Asks for one page after the other, until there is none or `row` has enough.
async fn each(
    connection: &Connection,
    mut request: pb::AuditRequest,
    mut row: impl FnMut(pb::AuditRow) -> bool,
) -> anyhow::Result<()> {
    loop {
        let page = connection.operators().audit(request.clone()).await;
        let rows = page.map_err(connection.refusal("read the audit log"))?.into_inner().rows;
        let Some(last) = rows.last().map(|last| last.number) else { return Ok(()) };
        if last <= request.after {
            return Ok(()); // a control plane that goes in circles
        }
        request.after = last;
        for one in rows {
            if !row(one) {
                return Ok(());
            }
        }
    }
}

/// Follows the log, and knows where it breaks.
struct Verification {
    chain: Chain,
    head: Option<Head>,
    fault: Option<String>,
}

impl Verification {
    fn new(head: Option<Head>) -> Self {
        Self { chain: Chain::start(), head, fault: None }
    }

    fn goes_on_with(&mut self, row: pb::AuditRow) -> bool {
        let number = row.number;
        let follows = record(row).is_some_and(|record| self.chain.follow(&record));
        if !follows {
            let next = self.chain.number.saturating_add(1);
            self.fault = Some(if number == next {
                format!("row {number} was changed, or one before it was")
            } else {
                format!("after row {} comes row {number}: rows are missing", self.chain.number)
            });
            return false;
        }
        match self.head {
            Some(head) if head.number == number && head.hash != self.chain.hash => {
                self.fault =
                    Some(format!("row {number} is not the one of --head: the log was rewritten"));
                false
            }
            Some(_) | None => true,
        }
    }

    fn end(mut self) -> ChainView {
        let Chain { number, hash } = self.chain;
        if let Some(head) = self.head
            && self.fault.is_none()
            && head.number > number
        {
            self.fault = Some(format!("the log ends before row {} of --head", head.number));
        }
        let head = (number > 0).then(|| format!("{number}:{hash}"));
        ChainView { rows: number, head, fault: self.fault }
    }
}

fn record(row: pb::AuditRow) -> Option<AuditRecord> {
    Some(AuditRecord {
        number: row.number,
        hash: row.hash.parse().ok()?,
        entry: AuditEntry {
            at: Timestamp::from_micros(row.at),
            actor: row.actor,
            role: row.role,
            address: row.address,
            action: row.action,
            target: row.target,
            outcome: row.outcome,
            reason: row.reason,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(rows: u64) -> Vec<pb::AuditRow> {
        let mut chain = Chain::start();
        let row = |at: u64| {
            let at = i64::try_from(at).unwrap();
            let entry = AuditEntry { at: Timestamp::from_micros(at), ..AuditEntry::default() };
            chain = chain.after(&entry);
            pb::AuditRow {
                number: chain.number,
                at,
                hash: chain.hash.to_string(),
                ..pb::AuditRow::default()
            }
        };
        (1..=rows).map(row).collect()
    }

    fn fault(rows: Vec<pb::AuditRow>, head: Option<Head>) -> Option<String> {
        let mut verification = Verification::new(head);
        for row in rows {
            if !verification.goes_on_with(row) {
                break;
            }
        }
        verification.end().fault
    }

    #[test]
    fn a_log_that_was_changed_cut_or_rewritten_shows() {
        assert_eq!(fault(log(3), None), None);
        assert_eq!(fault(Vec::new(), None), None);
        let mut changed = log(3);
        changed.get_mut(1).unwrap().actor = "operator/eve".into();
        assert!(fault(changed, None).unwrap().starts_with("row 2 was changed"));
        let mut gap = log(3);
        gap.remove(1);
        assert!(fault(gap, None).unwrap().contains("after row 1 comes row 3"));

        let head = |number, hash: &[u8]| Some(Head { number, hash: Digest::of(hash) });
        let kept: Head = format!("3:{}", log(3).last().unwrap().hash).parse().unwrap();
        assert_eq!(fault(log(5), Some(kept)), None);
        assert!(fault(log(3), head(2, b"other")).unwrap().contains("rewritten"));
        assert!(fault(log(3), head(4, b"later")).unwrap().contains("ends before"));
        assert!("3".parse::<Head>().is_err());
    }
}
