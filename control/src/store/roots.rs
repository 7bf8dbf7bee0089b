//! The trust root's versions as they are remembered: what [`crate::trust`] needs of the
//! records. A row is written once and never changed.

use data_encoding::BASE64;
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use super::pool::{Error, Store, column, number, text};
use crate::trust::roots::{Records, RootRecord};

impl Records for Store {
    type Error = Error;

    async fn roots(&self) -> Result<Vec<RootRecord>, Error> {
        let rows = sqlx::query("SELECT * FROM trust_roots ORDER BY version")
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(record).collect()
    }

    async fn add_root(&self, root: &RootRecord) -> Result<bool, Error> {
        let done = sqlx::query(
            "INSERT INTO trust_roots (version, digest, envelope, publisher, published) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (version) DO NOTHING",
        )
        .bind(i64::from(root.version))
        .bind(root.digest.to_string())
        .bind(BASE64.encode(&root.envelope))
        .bind(&root.publisher)
        .bind(root.published.as_micros())
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn record(row: &AnyRow) -> Result<RootRecord, Error> {
    let envelope: String = column(row, "envelope")?;
    let envelope = BASE64
        .decode(envelope.as_bytes())
        .map_err(|error| Error::Corrupt { column: "envelope", source: Box::new(error) })?;
    Ok(RootRecord {
        version: number(row, "version")?,
        digest: text(row, "digest")?,
        envelope,
        publisher: column(row, "publisher")?,
        published: Timestamp::from_micros(column(row, "published")?),
    })
}

#[cfg(test)]
mod tests {
    use floe_proto::digest::Digest;

    use super::*;
    use crate::store::pool::tests::store;

    #[tokio::test]
    async fn a_version_is_written_once() {
        let (store, _dir) = store().await;
        let root = |version, text: &str| RootRecord {
            version,
            digest: Digest::of(text.as_bytes()),
            envelope: text.into(),
            publisher: "ada".into(),
            published: Timestamp::from_micros(7),
        };
        assert!(store.add_root(&root(2, "two")).await.unwrap());
        assert!(store.add_root(&root(1, "one")).await.unwrap());
        assert!(!store.add_root(&root(2, "forged")).await.unwrap());
        assert_eq!(store.roots().await.unwrap(), [root(1, "one"), root(2, "two")]);
    }
}
