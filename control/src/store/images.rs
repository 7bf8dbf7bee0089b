//! Images on record: the only way from what an instance was launched from to a role.

use floe_proto::id::Role;
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use super::pool::{Error, Store, column, text};
use crate::enrol::instance::{Account, ImageId, Region};

/// An image, and the role that its instances get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// The account in which instances are launched from it.
    pub account: Account,
    /// The region that it is in.
    pub region: Region,
    /// Its id.
    pub id: ImageId,
    /// The role.
    pub role: Role,
    /// Who put it on record.
    pub adder: String,
    /// When.
    pub added: Timestamp,
}

impl Store {
    /// Puts an image on record; `false` where it is there with another role already.
    pub async fn add_image(&self, image: &ImageRecord) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO images (account, region, id, role, adder, added) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, id) DO NOTHING",
        )
        .bind(image.account.as_str())
        .bind(image.region.as_str())
        .bind(image.id.as_str())
        .bind(image.role.as_str())
        .bind(&image.adder)
        .bind(image.added.as_micros())
        .execute(&mut *transaction)
        .await?;
        let row =
            sqlx::query("SELECT role FROM images WHERE account = $1 AND region = $2 AND id = $3")
                .bind(image.account.as_str())
                .bind(image.region.as_str())
                .bind(image.id.as_str())
                .fetch_one(&mut *transaction)
                .await?;
        let role: Role = text(&row, "role")?;
        transaction.commit().await?;
        Ok(role == image.role)
    }

    /// Takes an image off the record; `false` where it was not on it. Hosts that enrolled
    /// from it stay.
    pub async fn remove_image(
        &self,
        account: &Account,
        region: &Region,
        id: &ImageId,
    ) -> Result<bool, Error> {
        let removed =
            sqlx::query("DELETE FROM images WHERE account = $1 AND region = $2 AND id = $3")
                .bind(account.as_str())
                .bind(region.as_str())
                .bind(id.as_str())
                .execute(self.pool())
                .await?;
        Ok(removed.rows_affected() == 1)
    }

    /// All images, by role.
    pub async fn images(&self) -> Result<Vec<ImageRecord>, Error> {
        let rows = sqlx::query("SELECT * FROM images ORDER BY role, account, region, id")
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(record).collect()
    }
}

fn record(row: &AnyRow) -> Result<ImageRecord, Error> {
    Ok(ImageRecord {
        account: text(row, "account")?,
        region: text(row, "region")?,
        id: text(row, "id")?,
        role: text(row, "role")?,
        adder: column(row, "adder")?,
        added: Timestamp::from_micros(column(row, "added")?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::store;
    use super::*;

    #[tokio::test]
    async fn an_image_gives_one_role_until_it_is_taken_off() {
        let (store, _dir) = store().await;
        let image = ImageRecord {
            account: "123456789012".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            id: "ami-0123456789abcdef0".parse().unwrap(),
            role: "www".parse().unwrap(),
            adder: "ada".into(),
            added: Timestamp::from_micros(7),
        };
        assert!(store.add_image(&image).await.unwrap());
        assert!(store.add_image(&image).await.unwrap());
        let other = ImageRecord { role: "db".parse().unwrap(), ..image.clone() };
        assert!(!store.add_image(&other).await.unwrap());
        assert_eq!(store.images().await.unwrap(), std::slice::from_ref(&image));
        let remove = || store.remove_image(&image.account, &image.region, &image.id);
        assert!(remove().await.unwrap());
        assert!(!remove().await.unwrap());
        assert!(store.add_image(&other).await.unwrap());
    }
}
