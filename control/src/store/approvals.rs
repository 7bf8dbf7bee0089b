//! Machines that wait for an operator, and what was decided about them.

use floe_proto::digest::Digest;
use floe_proto::id::{HostId, Role};
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

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
    /// Whether an operator denied it.
    pub denied: bool,
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

    /// The machines that asked as `host` and may be approved: that wait, or were denied.
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

    /// The machines that asked as `host` and may be denied: those, and who was approved and
    /// did not come yet.
    pub async fn deniable(&self, host: &HostId) -> Result<Vec<PendingRecord>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM approvals WHERE host = $1 AND used IS NULL \
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
        // An approval is taken back until its machine came.
        let (state, role, also) = match decision {
            Decision::Approve(role) => ("approved", role.as_str(), "denied"),
            Decision::Deny => ("denied", "", "approved"),
        };
        let decided = sqlx::query(
            "UPDATE approvals SET state = $3, role = CASE WHEN $4 = '' THEN role ELSE $4 END, \
             decider = $5, decided = $6 \
             WHERE host = $1 AND key_digest = $2 AND used IS NULL \
             AND state IN ('pending', 'denied', $7)",
        )
        .bind(host.as_str())
        .bind(key.to_string())
        .bind(state)
        .bind(role)
        .bind(decider)
        .bind(now.as_micros())
        .bind(also)
        .execute(self.pool())
        .await?;
        Ok(decided.rows_affected() == 1)
    }
}

/// The host is let in: whoever else asked for its name has to ask again, so that nobody is
/// approved in its place by what was asked before.
pub(super) async fn forget_pending(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM approvals WHERE host = $1 AND state = 'pending'")
        .bind(host.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Nobody comes in by what was approved before: the host is revoked.
pub(super) async fn void_approvals(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM approvals WHERE host = $1 AND state = 'approved' AND used IS NULL")
        .bind(host.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
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
        denied: column::<String>(row, "state")? == "denied",
    })
}
