//! The audit log: who did what to what, when, from where, and what came of it.
//!
//! Rows are only appended. Each carries a hash over the row before it and its own
//! fields, so that a row that was changed or left out shows ([`Chain`]). Who can
//! write the whole database can also write a whole new chain: a reader who kept the
//! hash of an older row sees that as well.

use floe_proto::digest::Digest;
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::pool::{Error, Store, column, number, text};

/// What is to be written down. Texts are cut to a length that a log can bear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// `operator/NAME`, `host/ID`, `control`; empty for who showed no certificate.
    pub actor: String,
    /// An operator's role; else empty.
    pub role: String,
    /// The IP address that the call came from; empty for the control plane itself.
    pub address: String,
    /// `SERVICE/METHOD`, or what the control plane did by itself.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// `ok`, or the name of a gRPC status code.
    pub outcome: String,
    /// Why not; empty where it was done.
    pub reason: String,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// 1, 2, 3, …
    pub number: u64,
    /// What was written down.
    pub entry: AuditEntry,
    /// Over the row before it and this one.
    pub hash: Digest,
}

/// Which rows are asked for.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only rows after this number.
    pub after: u64,
    /// Only rows at or after this time.
    pub since: Timestamp,
    /// Only rows of this actor.
    pub actor: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Follows the log from one row to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of the last row; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Chain {
    /// Before the first row.
    pub fn start() -> Self {
        Self { number: 0, hash: Digest::of(DOMAIN) }
    }

    /// The row after this one, with `entry` in it.
    pub fn after(&self, entry: &AuditEntry) -> Self {
        let number = self.number.saturating_add(1);
        let mut bytes = DOMAIN.to_vec();
        let AuditEntry { at, actor, role, address, action, target, outcome, reason } = entry;
        let (before, at) = (self.hash.to_string(), at.as_micros().to_string());
        let fields = [
            &before,
            &number.to_string(),
            &at,
            actor,
            role,
            address,
            action,
            target,
            outcome,
            reason,
        ];
        for field in fields {
            // Lengths, so that no two rows are written the same.
            bytes.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        Self { number, hash: Digest::of(&bytes) }
    }

    /// Goes on to `record`; `false` where it is not the row that follows.
    #[must_use]
    pub fn follow(&mut self, record: &AuditRecord) -> bool {
        let next = self.after(&record.entry);
        let follows = next == Self { number: record.number, hash: record.hash };
        if follows {
            *self = next;
        }
        follows
    }
}

const DOMAIN: &[u8] = b"floe.audit.v1";

impl Store {
    /// Writes `entry` down, as the last row.
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        append(&mut transaction, entry).await?;
        Ok(transaction.commit().await?)
    }

    /// Rows of the log, the oldest first.
    pub async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM audit_log WHERE number > $1 AND at >= $2 \
             AND ($3 = '' OR actor = $3) ORDER BY number LIMIT $4",
        )
        .bind(i64::try_from(query.after).unwrap_or(i64::MAX))
        .bind(query.since.as_micros())
        .bind(query.actor.as_deref().unwrap_or_default())
        .bind(i64::from(query.limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(record).collect()
    }
}

/// Writes `entry` down as the last row, together with what else `transaction` does.
pub(super) async fn append(
    transaction: &mut Transaction<'static, Any>,
    entry: AuditEntry,
) -> Result<(), Error> {
    let entry = entry.bounded();
    let last = sqlx::query("SELECT number, hash FROM audit_log ORDER BY number DESC LIMIT 1")
        .fetch_optional(&mut **transaction)
        .await?;
    let last = match last {
        Some(row) => Chain { number: number(&row, "number")?, hash: text(&row, "hash")? },
        None => Chain::start(),
    };
    let Chain { number, hash } = last.after(&entry);
    sqlx::query(
        "INSERT INTO audit_log \
         (number, at, actor, role, address, action, target, outcome, reason, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(i64::try_from(number).unwrap_or(i64::MAX))
    .bind(entry.at.as_micros())
    .bind(&entry.actor)
    .bind(&entry.role)
    .bind(&entry.address)
    .bind(&entry.action)
    .bind(&entry.target)
    .bind(&entry.outcome)
    .bind(&entry.reason)
    .bind(hash.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl AuditEntry {
    /// Without what could steer a terminal, and short enough that nobody fills a disk
    /// with one call.
    fn bounded(self) -> Self {
        let cut = |text: String| -> String {
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect()
        };
        Self {
            at: self.at,
            actor: cut(self.actor),
            role: cut(self.role),
            address: cut(self.address),
            action: cut(self.action),
            target: cut(self.target),
            outcome: cut(self.outcome),
            reason: cut(self.reason),
        }
    }
}

/// The longest text of a row, in characters.
const MOST: usize = 300;

fn record(row: &AnyRow) -> Result<AuditRecord, Error> {
    Ok(AuditRecord {
        number: number(row, "number")?,
        entry: AuditEntry {
            at: Timestamp::from_micros(column(row, "at")?),
            actor: column(row, "actor")?,
            role: column(row, "role")?,
            address: column(row, "address")?,
            action: column(row, "action")?,
            target: column(row, "target")?,
            outcome: column(row, "outcome")?,
            reason: column(row, "reason")?,
        },
        hash: text(row, "hash")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::store;
    use super::*;

    fn entry(actor: &str, at: i64) -> AuditEntry {
        AuditEntry {
            at: Timestamp::from_micros(at),
            actor: actor.into(),
            action: "Operator/StartRollout".into(),
            outcome: "ok".into(),
            ..AuditEntry::default()
        }
    }

    fn intact(records: &[AuditRecord]) -> bool {
        let mut chain = Chain::start();
        records.iter().all(|record| chain.follow(record))
    }

    #[tokio::test]
    async fn what_was_changed_left_out_or_put_in_shows() {
        let (store, _dir) = store().await;
        for (actor, at) in [("operator/ada", 1), ("host/local-a", 2), ("operator/ada", 3)] {
            store.audit(entry(actor, at)).await.unwrap();
        }
        let all = AuditQuery { limit: 100, ..AuditQuery::default() };
        let records = store.audit_log(&all).await.unwrap();
        assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(intact(&records));

        let mut changed = records.clone();
        changed.get_mut(1).unwrap().entry.actor = "host/local-b".into();
        assert!(!intact(&changed));
        let mut moved = records.clone();
        // What one field loses, the next one gains.
        moved.get_mut(0).unwrap().entry.action = "Operator/Start".into();
        moved.get_mut(0).unwrap().entry.target = "Rollout".into();
        assert!(!intact(&moved));
        for gone in 0..2 {
            let mut shorter = records.clone();
            shorter.remove(gone);
            assert!(!intact(&shorter), "without {gone}");
        }

        let of_ada = AuditQuery { actor: Some("operator/ada".into()), ..all.clone() };
        assert_eq!(store.audit_log(&of_ada).await.unwrap().len(), 2);
        let late = AuditQuery { since: Timestamp::from_micros(2), limit: 1, ..all };
        let found = store.audit_log(&late).await.unwrap();
        assert_eq!(found.iter().map(|record| record.number).collect::<Vec<_>>(), [2]);
    }

    #[tokio::test]
    async fn t096_a_row_cannot_steer_a_terminal_or_fill_the_disk() {
        let (store, _dir) = store().await;
        let target = format!("\u{1b}[2J\n{}", "x".repeat(1_000_000));
        store.audit(AuditEntry { target, ..entry("operator/ada", 1) }).await.unwrap();
        let all = AuditQuery { limit: 1, ..AuditQuery::default() };
        let records = store.audit_log(&all).await.unwrap();
        let target = &records.first().unwrap().entry.target;
        assert_eq!(target.chars().count(), MOST);
        assert!(target.starts_with(" [2J x"), "{target}");
        assert!(intact(&records));
    }
}
