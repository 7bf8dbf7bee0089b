//! Machines that wait for an operator, and what was decided about them.

use floe_proto::digest::Digest;
use floe_proto::id::{HostId, Role};
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use super::pool::{Error, Store, column, text};
use crate::enrol::instance::{Account, ImageId, Region};

/// A machine that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRecord {
    /// The id that it would have.
    pub host: HostId,
    /// SHA-256 of the key that it asks with.
    pub key: Digest,
    /// Whose instance it is.
    pub account: Account,
    /// Where it runs.
    pub region: Region,
    /// What it was launched from.
    pub image: ImageId,
    /// The role that its image gives; `None` where that is not on record.
    pub role: Option<Role>,
    /// Why it does not enrol by itself.
    pub reasons: Vec<String>,
    /// Where it asked from last.
    pub address: String,
    /// When.
    pub asked: Timestamp,
}

/// What an operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is let in, once, within a day, with this role.
    Approve(Role),
    /// It is refused, until somebody approves it.
    Deny,
}

impl Store {
    /// All machines that wait, those that asked last first.
    pub async fn pending(&self) -> Result<Vec<PendingRecord>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM approvals WHERE state = 'pending' ORDER BY asked DESC, host, key_digest",
        )
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(record).collect()
    }

    /// The machines that asked as `host` and may be decided about: that wait, or were
    /// denied.
    pub async fn undecided(&self, host: &HostId) -> Result<Vec<PendingRecord>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM approvals WHERE host = $1 AND state IN ('pending', 'denied') \
             ORDER BY state DESC, asked DESC, key_digest",
        )
        .bind(host.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(record).collect()
    }

    /// Decides about `host` with `key`; `false` where nobody asks for that any more.
    pub async fn decide(
        &self,
        host: &HostId,
        key: &Digest,
        decision: &Decision,
        decider: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (state, role) = match decision {
            Decision::Approve(role) => ("approved", role.as_str()),
            Decision::Deny => ("denied", ""),
        };
        let decided = sqlx::query(
            "UPDATE approvals SET state = $3, role = CASE WHEN $4 = '' THEN role ELSE $4 END, \
             decider = $5, decided = $6 \
             WHERE host = $1 AND key_digest = $2 AND state IN ('pending', 'denied')",
        )
        .bind(host.as_str())
        .bind(key.to_string())
        .bind(state)
        .bind(role)
        .bind(decider)
        .bind(now.as_micros())
        .execute(self.pool())
        .await?;
        Ok(decided.rows_affected() == 1)
    }
}

/// A list of sentences, as a column has it.
pub(super) fn as_json(sentences: &[String]) -> String {
    serde_json::Value::from(sentences).to_string()
}

fn record(row: &AnyRow) -> Result<PendingRecord, Error> {
    let role: String = column(row, "role")?;
    let reasons: String = column(row, "reasons")?;
    Ok(PendingRecord {
        host: text(row, "host")?,
        key: text(row, "key_digest")?,
        account: text(row, "account")?,
        region: text(row, "region")?,
        image: text(row, "image")?,
        role: if role.is_empty() { None } else { Some(text(row, "role")?) },
        reasons: serde_json::from_str(&reasons)
            .map_err(|source| Error::Corrupt { column: "reasons", source: source.into() })?,
        address: column(row, "address")?,
        asked: Timestamp::from_micros(column(row, "asked")?),
    })
}
