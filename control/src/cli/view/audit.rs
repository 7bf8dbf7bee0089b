//! What was done, by whom, and whether the log of it is whole.

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::{Page, View, short, table};

/// `floe audit`: `{entries: […]}`, the oldest first.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditView {
    pub(crate) entries: Vec<AuditEntryView>,
}

/// One row of the log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditEntryView {
    /// 1, 2, 3, …
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
    /// `operator/NAME`, `host/ID`, `control`; `null` for who showed no certificate.
    pub(crate) actor: Option<String>,
    /// An operator's role at that time.
    pub(crate) role: Option<String>,
    /// Where the call came from; `null` for the control plane itself.
    pub(crate) address: Option<String>,
    /// SERVICE/METHOD, or what the control plane did by itself.
    pub(crate) action: String,
    pub(crate) target: Option<String>,
    /// `ok`, or the name of a gRPC status code.
    pub(crate) outcome: String,
    /// Why not.
    pub(crate) reason: Option<String>,
    /// Over the row before and this one.
    pub(crate) hash: String,
}

/// `floe audit --verify`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChainView {
    /// How many rows follow one another without a gap or a change.
    pub(crate) rows: u64,
    /// The last of them, for `--head` another day; `null` where there is none.
    pub(crate) head: Option<String>,
    /// What is wrong; `null` where nothing is.
    pub(crate) fault: Option<String>,
}

impl From<pb::AuditRow> for AuditEntryView {
    fn from(row: pb::AuditRow) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            number: row.number,
            at: Timestamp::from_micros(row.at),
            actor: text(row.actor),
            role: text(row.role),
            address: text(row.address),
            action: row.action,
            target: text(row.target),
            outcome: row.outcome,
            reason: text(row.reason),
            hash: row.hash,
        }
    }
}

impl View for AuditView {
    fn text(&self, page: Page) -> String {
        if self.entries.is_empty() {
            return "nothing was done\n".into();
        }
        let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.into());
        let rows = self.entries.iter().map(|entry| {
            let outcome = match &entry.reason {
                Some(reason) => format!("{}: {reason}", entry.outcome),
                None => entry.outcome.clone(),
            };
            [
                entry.at.whole_seconds().to_string(),
                or(&entry.actor, "(a stranger)"),
                or(&entry.address, "-"),
                entry.action.clone(),
                or(&entry.target, "-"),
                outcome,
            ]
        });
        table(page, ["WHEN", "WHO", "FROM", "WHAT", "OF", "OUTCOME"], rows)
    }
}

impl View for ChainView {
    fn text(&self, _: Page) -> String {
        let head = self.head.as_deref().map_or_else(String::new, |head| {
            let (number, hash) = head.split_once(':').unwrap_or((head, ""));
            format!("; the last is {number}, {}…\nkeep it: --head {head}", short(hash))
        });
        match &self.fault {
            None => format!("{} rows, none changed or missing{head}\n", self.rows),
            Some(fault) => format!("{fault}\n{} rows before it are whole{head}\n", self.rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> AuditView {
        let done = pb::AuditRow {
            number: 1,
            at: 1_795_380_000_000_000,
            actor: "operator/ada".into(),
            role: "deployer".into(),
            address: "192.0.2.1".into(),
            action: "Operator/StartRollout".into(),
            target: "www serial 5".into(),
            outcome: "ok".into(),
            reason: String::new(),
            hash: "ab".repeat(32),
        };
        let refused = pb::AuditRow {
            number: 2,
            actor: String::new(),
            role: String::new(),
            action: "Enrolment/Enrol".into(),
            target: "local-a".into(),
            outcome: "unauthenticated".into(),
            reason: "the join token is unknown, used or expired".into(),
            ..done.clone()
        };
        AuditView { entries: vec![done.into(), refused.into()] }
    }

    #[test]
    fn the_log_as_people_read_it() {
        insta::assert_snapshot!(log().text(Page::endless(Timestamp::default())));
    }

    #[test]
    fn the_json_of_the_log() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&log()).unwrap());
    }

    #[test]
    fn whether_the_log_is_whole() {
        let head = Some(format!("2:{}", "ab".repeat(32)));
        let whole = ChainView { rows: 2, head: head.clone(), fault: None };
        insta::assert_snapshot!(whole.text(Page::endless(Timestamp::default())));
        let fault = Some("row 3 was changed, or one before it is missing".into());
        let broken = ChainView { rows: 2, head, fault };
        insta::assert_snapshot!(broken.text(Page::endless(Timestamp::default())));
    }
}
