//! Manifests that were handed in, and those of them that are published.
//!
//! The envelope is kept byte for byte, and was verified before it got here. A
//! serial is taken for good once it is published; one that was only begun gives
//! way when the same serial is begun again.

use data_encoding::BASE64;
use floe_proto::digest::Digest;
use floe_proto::id::{Epoch, Role, Serial};
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use super::hosts::{serial, serial_column};
use super::pool::{Error, Store, column, number, text};

/// One manifest as it stands on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRecord {
    /// SHA-256 of the signed bytes.
    pub digest: Digest,
    /// The role that it is for.
    pub role: Role,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its serial.
    pub serial: Serial,
    /// The DSSE envelope as it was handed in.
    pub envelope: Vec<u8>,
    /// SHA-256 of the payload.
    pub payload: Digest,
    /// Length of the payload in bytes.
    pub payload_length: u64,
    /// The operator who handed it in.
    pub publisher: String,
    /// When it was handed in.
    pub begun: Timestamp,
    /// When its payload was seen to be there; `None` before that.
    pub published: Option<Timestamp>,
}

/// What came of beginning a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The manifest is on record; its payload is awaited.
    Begun,
    /// This very manifest is published already.
    Published,
    /// The serial is taken by another manifest, or not above the newest, which
    /// is this.
    Taken {
        /// Epoch of the role's newest published manifest.
        epoch: Epoch,
        /// Its serial.
        serial: Serial,
    },
}

impl Store {
    /// Takes a verified manifest on record, unpublished. `manifest.published` is
    /// not looked at.
    pub async fn begin_publication(&self, manifest: &ManifestRecord) -> Result<Begun, Error> {
        let mut transaction = self.begin().await?;
        // Written first, so that the transaction holds the write lock while it reads.
        sqlx::query(
            "DELETE FROM manifests WHERE role = $1 AND epoch = $2 AND serial = $3 \
             AND published IS NULL",
        )
        .bind(manifest.role.as_str())
        .bind(i64::from(manifest.epoch.get()))
        .bind(serial_column(manifest.serial))
        .execute(&mut *transaction)
        .await?;
        let newest = sqlx::query(NEWEST)
            .bind(manifest.role.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(newest) = newest.as_ref().map(record).transpose()? {
            if newest.digest == manifest.digest {
                return Ok(Begun::Published);
            }
            if (newest.epoch, newest.serial) >= (manifest.epoch, manifest.serial) {
                return Ok(Begun::Taken { epoch: newest.epoch, serial: newest.serial });
            }
        }
        sqlx::query(
            "INSERT INTO manifests (digest, role, epoch, serial, envelope, payload_digest, \
             payload_length, publisher, begun) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(manifest.digest.to_string())
        .bind(manifest.role.as_str())
        .bind(i64::from(manifest.epoch.get()))
        .bind(serial_column(manifest.serial))
        .bind(BASE64.encode(&manifest.envelope))
        .bind(manifest.payload.to_string())
        .bind(i64::try_from(manifest.payload_length).unwrap_or(i64::MAX))
        .bind(&manifest.publisher)
        .bind(manifest.begun.as_micros())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Begun::Begun)
    }

    /// Says that the payload is there. `false` where no such manifest was begun, or a
    /// newer one of the role was published meanwhile: the newest only rises.
    pub async fn finish_publication(&self, digest: &Digest, now: Timestamp) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE manifests SET published = COALESCE(published, $2) WHERE digest = $1 \
             AND (published IS NOT NULL OR NOT EXISTS (SELECT 1 FROM manifests newer \
             WHERE newer.role = manifests.role AND newer.published IS NOT NULL \
             AND (newer.epoch > manifests.epoch \
             OR (newer.epoch = manifests.epoch AND newer.serial > manifests.serial))))",
        )
        .bind(digest.to_string())
        .bind(now.as_micros())
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The manifest with this digest, published or not.
    pub async fn manifest(&self, digest: &Digest) -> Result<Option<ManifestRecord>, Error> {
        let row = sqlx::query("SELECT * FROM manifests WHERE digest = $1")
            .bind(digest.to_string())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// The role's published manifest with this number.
    pub async fn published_manifest(
        &self,
        role: &Role,
        epoch: Epoch,
        serial: Serial,
    ) -> Result<Option<ManifestRecord>, Error> {
        let row = sqlx::query(
            "SELECT * FROM manifests WHERE role = $1 AND epoch = $2 AND serial = $3 \
             AND published IS NOT NULL",
        )
        .bind(role.as_str())
        .bind(i64::from(epoch.get()))
        .bind(serial_column(serial))
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(record).transpose()
    }

    /// At most `limit` published manifests of the role, newest first; only those below
    /// (epoch, serial), if that is given.
    pub async fn published_manifests(
        &self,
        role: &Role,
        below: Option<(Epoch, Serial)>,
        limit: u32,
    ) -> Result<Vec<ManifestRecord>, Error> {
        let (epoch, serial) = match below {
            Some((epoch, serial)) => (i64::from(epoch.get()), serial_column(serial)),
            None => (i64::MAX, 0),
        };
        let rows = sqlx::query(
            "SELECT * FROM manifests WHERE role = $1 AND published IS NOT NULL \
             AND (epoch < $2 OR (epoch = $2 AND serial < $3)) \
             ORDER BY epoch DESC, serial DESC LIMIT $4",
        )
        .bind(role.as_str())
        .bind(epoch)
        .bind(serial)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(record).collect()
    }

    /// The role's newest published manifest.
    pub async fn newest_manifest(&self, role: &Role) -> Result<Option<ManifestRecord>, Error> {
        let row = sqlx::query(NEWEST).bind(role.as_str()).fetch_optional(self.pool()).await?;
        row.as_ref().map(record).transpose()
    }
}

const NEWEST: &str = "SELECT * FROM manifests WHERE role = $1 AND published IS NOT NULL \
                      ORDER BY epoch DESC, serial DESC LIMIT 1";

fn record(row: &AnyRow) -> Result<ManifestRecord, Error> {
    let envelope: String = column(row, "envelope")?;
    Ok(ManifestRecord {
        digest: text(row, "digest")?,
        role: text(row, "role")?,
        epoch: Epoch::new(number(row, "epoch")?),
        serial: serial(column(row, "serial")?, "serial")?,
        envelope: BASE64
            .decode(envelope.as_bytes())
            .map_err(|error| Error::Corrupt { column: "envelope", source: error.into() })?,
        payload: text(row, "payload_digest")?,
        payload_length: number(row, "payload_length")?,
        publisher: column(row, "publisher")?,
        begun: Timestamp::from_micros(column(row, "begun")?),
        published: column::<Option<i64>>(row, "published")?.map(Timestamp::from_micros),
    })
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::store;
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn manifest(serial: u64, text: &str) -> ManifestRecord {
        ManifestRecord {
            digest: Digest::of(text.as_bytes()),
            role: "www".parse().unwrap(),
            epoch: Epoch::new(0),
            serial: serial.try_into().unwrap(),
            envelope: text.as_bytes().to_vec(),
            payload: Digest::of(b"payload"),
            payload_length: 7,
            publisher: "ada".into(),
            begun: NOW,
            published: None,
        }
    }

    #[tokio::test]
    async fn only_what_is_finished_is_published() {
        let (store, _dir) = store().await;
        let (first, role) = (manifest(1, "first"), manifest(1, "").role);
        assert_eq!(store.begin_publication(&first).await.unwrap(), Begun::Begun);
        assert_eq!(store.newest_manifest(&role).await.unwrap(), None);
        let none = store.published_manifest(&role, first.epoch, first.serial).await.unwrap();
        assert_eq!(none, None);
        assert_eq!(store.manifest(&first.digest).await.unwrap(), Some(first.clone()));

        assert!(store.finish_publication(&first.digest, NOW).await.unwrap());
        let published = ManifestRecord { published: Some(NOW), ..first.clone() };
        assert_eq!(store.newest_manifest(&role).await.unwrap(), Some(published));
        assert!(!store.finish_publication(&Digest::of(b"unknown"), NOW).await.unwrap());
        assert_eq!(store.begin_publication(&first).await.unwrap(), Begun::Published);
    }

    #[tokio::test]
    async fn what_is_published_is_listed_newest_first_from_any_number_down() {
        let (store, _dir) = store().await;
        let epoch = |record, epoch| ManifestRecord { epoch: Epoch::new(epoch), ..record };
        let all = [
            manifest(1, "a"),
            manifest(9, "b"),
            epoch(manifest(1, "c"), 1),
            epoch(manifest(2, "d"), 1),
        ];
        for record in &all {
            store.begin_publication(record).await.unwrap();
            assert!(store.finish_publication(&record.digest, NOW).await.unwrap());
        }
        store.begin_publication(&epoch(manifest(3, "begun only"), 1)).await.unwrap();
        let listed = async |below: Option<(u32, u64)>, limit| {
            let below = below.map(|(e, s)| (Epoch::new(e), Serial::try_from(s).unwrap()));
            let found = store.published_manifests(&all[0].role, below, limit).await.unwrap();
            let text = |record: ManifestRecord| String::from_utf8(record.envelope).unwrap();
            found.into_iter().map(text).collect::<String>()
        };
        assert_eq!(listed(None, 10).await, "dcba");
        assert_eq!(listed(None, 2).await, "dc");
        assert_eq!(listed(Some((1, 2)), 2).await, "cb");
        assert_eq!(listed(Some((0, 9)), 2).await, "a");
    }

    #[tokio::test]
    async fn an_unfinished_publication_gives_way_and_a_finished_one_does_not() {
        let (store, _dir) = store().await;
        let (left, again) = (manifest(5, "left"), manifest(5, "again"));
        store.begin_publication(&left).await.unwrap();
        assert_eq!(store.begin_publication(&again).await.unwrap(), Begun::Begun);
        assert_eq!(store.manifest(&left.digest).await.unwrap(), None);
        store.finish_publication(&again.digest, NOW).await.unwrap();

        let taken = Begun::Taken { epoch: Epoch::new(0), serial: 5.try_into().unwrap() };
        for late in [manifest(5, "another"), manifest(4, "older")] {
            assert_eq!(store.begin_publication(&late).await.unwrap(), taken);
            assert_eq!(store.manifest(&late.digest).await.unwrap(), None);
        }
        let next = ManifestRecord { epoch: Epoch::new(1), ..manifest(1, "next epoch") };
        assert_eq!(store.begin_publication(&next).await.unwrap(), Begun::Begun);
    }

    #[tokio::test]
    async fn what_was_begun_before_a_newer_one_was_published_stays_unpublished() {
        let (store, _dir) = store().await;
        let (slow, fast) = (manifest(5, "slow"), manifest(6, "fast"));
        store.begin_publication(&slow).await.unwrap();
        store.begin_publication(&fast).await.unwrap();
        assert!(store.finish_publication(&fast.digest, NOW).await.unwrap());
        assert!(!store.finish_publication(&slow.digest, NOW).await.unwrap());
        let none = store.published_manifest(&slow.role, slow.epoch, slow.serial).await.unwrap();
        assert_eq!(none, None);
        assert!(store.finish_publication(&fast.digest, NOW).await.unwrap());
    }
}
