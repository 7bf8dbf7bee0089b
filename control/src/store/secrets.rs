//! Sealed secrets as they are remembered: what [`crate::session::sealed`] needs of the records,
//! and how they are published.

use data_encoding::BASE64;
use floe_proto::id::{Epoch, HostId, Role};
use floe_proto::sealed::SealingKey;
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use super::hosts::{serial, serial_column};
use super::pool::{Error, Store, column, number, text};
use crate::session::sealed::{ForHost, HostSays, Number, Published, Records};

impl Records for Store {
    type Error = Error;

    async fn note_recipient(
        &self,
        host: &HostId,
        key: &SealingKey,
        held: Option<Number>,
        now: Timestamp,
    ) -> Result<(), Error> {
        // The same key keeps the time at which it was said first, and what is wrong with it.
        sqlx::query(
            "INSERT INTO sealing_keys (host, key, since, held_epoch, held_serial, problem) \
             VALUES ($1, $2, $3, $4, $5, '') ON CONFLICT (host) DO UPDATE SET \
             since = CASE WHEN sealing_keys.key = excluded.key THEN sealing_keys.since \
                     ELSE excluded.since END, \
             problem = CASE WHEN sealing_keys.key = excluded.key THEN sealing_keys.problem \
                     ELSE '' END, \
             key = excluded.key, held_epoch = excluded.held_epoch, \
             held_serial = excluded.held_serial",
        )
        .bind(host.as_str())
        .bind(key.to_string())
        .bind(now.as_micros())
        .bind(held.map(|(epoch, _)| i64::from(epoch.get())))
        .bind(held.map(|(_, serial)| serial_column(serial)))
        .execute(self.pool())
        .await?;
        Ok(())
    }

    async fn note_placed(
        &self,
        host: &HostId,
        held: Option<Number>,
        problem: &str,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE sealing_keys SET held_epoch = $2, held_serial = $3, problem = $4 \
             WHERE host = $1",
        )
        .bind(host.as_str())
        .bind(held.map(|(epoch, _)| i64::from(epoch.get())))
        .bind(held.map(|(_, serial)| serial_column(serial)))
        .bind(problem)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    async fn published_secrets(&self, role: &Role) -> Result<Option<Published>, Error> {
        let row = sqlx::query("SELECT * FROM secret_sets WHERE role = $1")
            .bind(role.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(published).transpose()
    }

    async fn sealed_for(&self, host: &HostId, role: &Role) -> Result<Option<ForHost>, Error> {
        let row = sqlx::query("SELECT * FROM sealed_secrets WHERE host = $1 AND role = $2")
            .bind(host.as_str())
            .bind(role.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(for_host).transpose()
    }

    async fn keep_sealed(&self, role: &Role, sealed: &ForHost) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        keep(&mut transaction, role, sealed).await?;
        Ok(transaction.commit().await?)
    }
}

impl Store {
    /// Publishes `set`, sealed to `hosts`; `false` where it is not above the newest. What was
    /// sealed before to hosts of the role is gone.
    pub async fn publish_secrets(&self, set: &Published, hosts: &[ForHost]) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let (epoch, number) = (i64::from(set.number.0.get()), serial_column(set.number.1));
        let done = sqlx::query(
            "INSERT INTO secret_sets (role, epoch, serial, escrow, count, publisher, published) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (role) DO UPDATE SET \
             epoch = excluded.epoch, serial = excluded.serial, escrow = excluded.escrow, \
             count = excluded.count, publisher = excluded.publisher, published = excluded.published \
             WHERE excluded.epoch > secret_sets.epoch OR \
             (excluded.epoch = secret_sets.epoch AND excluded.serial > secret_sets.serial)",
        )
        .bind(set.role.as_str())
        .bind(epoch)
        .bind(number)
        .bind(set.escrow.as_ref().map(|escrow| BASE64.encode(escrow)).unwrap_or_default())
        .bind(i64::from(set.count))
        .bind(&set.publisher)
        .bind(set.published.as_micros())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM sealed_secrets WHERE role = $1")
            .bind(set.role.as_str())
            .execute(&mut *transaction)
            .await?;
        for sealed in hosts {
            keep(&mut transaction, &set.role, sealed).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// What `host` said of its secrets; `None` before it said anything.
    pub async fn says(&self, host: &HostId) -> Result<Option<HostSays>, Error> {
        let row = sqlx::query("SELECT * FROM sealing_keys WHERE host = $1")
            .bind(host.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(says).transpose()
    }
}

async fn keep(
    transaction: &mut sqlx::Transaction<'static, sqlx::Any>,
    role: &Role,
    sealed: &ForHost,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO sealed_secrets (host, role, epoch, serial, key, sealed) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (host) DO UPDATE SET \
         role = excluded.role, epoch = excluded.epoch, serial = excluded.serial, \
         key = excluded.key, sealed = excluded.sealed \
         WHERE excluded.role <> sealed_secrets.role OR excluded.epoch > sealed_secrets.epoch OR \
         (excluded.epoch = sealed_secrets.epoch AND excluded.serial >= sealed_secrets.serial)",
    )
    .bind(sealed.host.as_str())
    .bind(role.as_str())
    .bind(i64::from(sealed.number.0.get()))
    .bind(serial_column(sealed.number.1))
    .bind(sealed.key.to_string())
    .bind(BASE64.encode(&sealed.sealed))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn published(row: &AnyRow) -> Result<Published, Error> {
    let escrow = bytes(row, "escrow")?;
    Ok(Published {
        role: text(row, "role")?,
        number: which(row)?,
        escrow: (!escrow.is_empty()).then_some(escrow),
        count: number(row, "count")?,
        publisher: column(row, "publisher")?,
        published: Timestamp::from_micros(column(row, "published")?),
    })
}

fn for_host(row: &AnyRow) -> Result<ForHost, Error> {
    Ok(ForHost {
        host: text(row, "host")?,
        key: text(row, "key")?,
        number: which(row)?,
        sealed: bytes(row, "sealed")?,
    })
}

fn says(row: &AnyRow) -> Result<HostSays, Error> {
    let epoch: Option<i64> = column(row, "held_epoch")?;
    let held = match (epoch, column::<Option<i64>>(row, "held_serial")?) {
        (Some(_), Some(number)) => {
            let epoch = self::number(row, "held_epoch")?;
            Some((Epoch::new(epoch), serial(number, "held_serial")?))
        }
        (None, _) | (_, None) => None,
    };
    Ok(HostSays {
        key: text(row, "key")?,
        since: Timestamp::from_micros(column(row, "since")?),
        held,
        problem: column(row, "problem")?,
    })
}

fn which(row: &AnyRow) -> Result<Number, Error> {
    Ok((Epoch::new(number(row, "epoch")?), serial(column(row, "serial")?, "serial")?))
}

fn bytes(row: &AnyRow, name: &'static str) -> Result<Vec<u8>, Error> {
    let text: String = column(row, name)?;
    BASE64
        .decode(text.as_bytes())
        .map_err(|error| Error::Corrupt { column: name, source: Box::new(error) })
}

#[cfg(test)]
mod tests {
    use floe_proto::sealed::OpeningKey;

    use super::*;
    use crate::store::pool::tests::store;

    fn key() -> SealingKey {
        OpeningKey::generate().unwrap().public()
    }

    fn set(serial: u64) -> Published {
        Published {
            role: "www".parse().unwrap(),
            number: (Epoch::default(), serial.try_into().unwrap()),
            escrow: (serial > 1).then(|| b"escrow".to_vec()),
            count: 2,
            publisher: "ada".into(),
            published: Timestamp::from_micros(7),
        }
    }

    fn sealed(host: &str, set: &Published) -> ForHost {
        let sealed = format!("to {host}").into_bytes();
        ForHost { host: host.parse().unwrap(), key: key(), number: set.number, sealed }
    }

    #[tokio::test]
    async fn the_newest_set_of_a_role_counts_and_an_older_one_changes_nothing() {
        let (store, _dir) = store().await;
        let (one, two) = (set(1), set(2));
        let (a, b) = (sealed("local-a", &one), sealed("local-b", &two));
        assert!(store.publish_secrets(&one, std::slice::from_ref(&a)).await.unwrap());
        assert_eq!(store.sealed_for(&a.host, &one.role).await.unwrap(), Some(a.clone()));
        assert!(store.publish_secrets(&two, std::slice::from_ref(&b)).await.unwrap());
        for stale in [&one, &two] {
            assert!(!store.publish_secrets(stale, std::slice::from_ref(&a)).await.unwrap());
        }
        assert_eq!(store.published_secrets(&two.role).await.unwrap(), Some(two.clone()));
        assert_eq!(
            store.sealed_for(&a.host, &one.role).await.unwrap(),
            None,
            "it was not named again"
        );
        assert_eq!(store.sealed_for(&b.host, &one.role).await.unwrap(), Some(b.clone()));
        let a = sealed("local-a", &two);
        store.keep_sealed(&two.role, &a).await.unwrap();
        store.keep_sealed(&two.role, &sealed("local-a", &one)).await.unwrap();
        assert_eq!(store.sealed_for(&a.host, &one.role).await.unwrap(), Some(a.clone()), "newer");
        let other = "db".parse().unwrap();
        assert_eq!(store.sealed_for(&a.host, &other).await.unwrap(), None, "of another role");
    }

    #[tokio::test]
    async fn a_key_is_known_since_it_was_said_first() {
        let (store, _dir) = store().await;
        let (host, first, second) = ("local-a".parse().unwrap(), key(), key());
        let at = Timestamp::from_micros;
        let held = Some(set(3).number);
        store.note_recipient(&host, &first, None, at(1)).await.unwrap();
        store.note_placed(&host, held, "no room").await.unwrap();
        store.note_recipient(&host, &first, held, at(2)).await.unwrap();
        let found = store.says(&host).await.unwrap().unwrap();
        assert_eq!((found.since, found.held, found.problem.as_str()), (at(1), held, "no room"));
        store.note_recipient(&host, &second, None, at(3)).await.unwrap();
        let found = store.says(&host).await.unwrap().unwrap();
        assert_eq!((found.key, found.since, found.held), (second, at(3), None));
    }
}
