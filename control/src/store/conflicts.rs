//! Two machines with one identity: how that was seen, until an operator has looked.

use floe_proto::digest::Digest;
use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::audit::{AuditEntry, append};
use super::pool::{Error, Store};

impl Store {
    /// Somebody calls with a key that is not the host's: whether that is a sign of two
    /// machines, which is then on record.
    pub async fn is_conflict(
        &self,
        host: &HostId,
        key: &Digest,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let known = sqlx::query(
            "SELECT 1 FROM former_keys WHERE host = $1 AND key_digest = $2 AND revoked = 0",
        )
        .bind(host.as_str())
        .bind(key.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        if known.is_none() {
            return Ok(false);
        }
        let reason = "a call came with a key that has been replaced";
        write_conflict(&mut transaction, host, reason, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Two machines have this identity: on record, and in the audit log the first time.
    pub async fn note_conflict(
        &self,
        host: &HostId,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        write_conflict(&mut transaction, host, reason, now).await?;
        Ok(transaction.commit().await?)
    }

    /// An operator says that the other machine is gone. Whether there was a conflict;
    /// `None` where there is no such host.
    pub async fn resolve_conflict(&self, host: &HostId) -> Result<Option<bool>, Error> {
        let Some(record) = self.host(host).await? else { return Ok(None) };
        sqlx::query("UPDATE hosts SET conflict = NULL, conflict_reason = '' WHERE id = $1")
            .bind(host.as_str())
            .execute(self.pool())
            .await?;
        Ok(Some(record.standing.conflict.is_some()))
    }
}

/// The first sign counts, until an operator has looked at it: it is in the audit log, with
/// the name of the host, however it came.
pub(super) async fn write_conflict(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let first = sqlx::query(
        "UPDATE hosts SET conflict = $2, conflict_reason = $3 WHERE id = $1 AND conflict IS NULL",
    )
    .bind(host.as_str())
    .bind(now.as_micros())
    .bind(reason)
    .execute(&mut **transaction)
    .await?;
    if first.rows_affected() == 1 {
        append(transaction, conflict_entry(host, reason, now)).await?;
    }
    Ok(())
}

fn conflict_entry(host: &HostId, reason: &str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: "control".to_owned(),
        action: "conflict".to_owned(),
        target: host.to_string(),
        outcome: "ok".to_owned(),
        reason: reason.to_owned(),
        ..AuditEntry::default()
    }
}
