//! Which NARs belong to the payload of a closure.
//!
//! All of a payload's are written at once, or none; they were read from the payload
//! itself, whose digest is signed, so that they never change.

use std::collections::BTreeMap;

use floe_proto::digest::Digest;

use super::pool::{Error, Store, number, text};

/// How many rows one statement writes.
const ROWS: usize = 200;

impl Store {
    /// Takes on record that `payload` lists these NARs, with their lengths. Once is enough.
    pub async fn add_closure(
        &self,
        payload: &Digest,
        nars: &BTreeMap<Digest, u64>,
    ) -> Result<(), Error> {
        let nars: Vec<_> = nars.iter().collect();
        let mut transaction = self.begin().await?;
        for rows in nars.chunks(ROWS) {
            // The payload is $1, then two for each row.
            let values =
                (0..rows.len()).map(|at| format!("($1, ${}, ${})", 2 * at + 2, 2 * at + 3));
            let statement = format!(
                "INSERT INTO closure_nars (payload, nar, length) VALUES {} ON CONFLICT DO NOTHING",
                values.collect::<Vec<_>>().join(", ")
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(payload.to_string());
            let query = rows.iter().fold(query, |query, (nar, length)| {
                query.bind(nar.to_string()).bind(i64::try_from(**length).unwrap_or(i64::MAX))
            });
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Whether the NARs of `payload` are on record.
    pub async fn knows_closure(&self, payload: &Digest) -> Result<bool, Error> {
        let row = sqlx::query("SELECT nar FROM closure_nars WHERE payload = $1 LIMIT 1")
            .bind(payload.to_string())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }

    /// The NARs of `payload` and their lengths; empty where they are not on record.
    pub async fn closure(&self, payload: &Digest) -> Result<Vec<(Digest, u64)>, Error> {
        let rows = sqlx::query("SELECT nar, length FROM closure_nars WHERE payload = $1")
            .bind(payload.to_string())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok((text(row, "nar")?, number(row, "length")?))).collect()
    }

    /// The length of a NAR of `payload`; `None` where it is none of it.
    pub async fn nar_length(&self, payload: &Digest, nar: &Digest) -> Result<Option<u64>, Error> {
        let row = sqlx::query("SELECT length FROM closure_nars WHERE payload = $1 AND nar = $2")
            .bind(payload.to_string())
            .bind(nar.to_string())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(|row| number(row, "length")).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::store;
    use super::*;

    #[tokio::test]
    async fn a_nar_belongs_to_the_payloads_that_list_it_and_to_no_other() {
        let (store, _dir) = store().await;
        let (payload, other) = (Digest::of(b"payload"), Digest::of(b"other"));
        let nars: BTreeMap<_, _> =
            (0..450_u64).map(|n| (Digest::of(&n.to_le_bytes()), n + 1)).collect();
        assert_eq!(store.closure(&payload).await.unwrap(), []);
        assert!(!store.knows_closure(&payload).await.unwrap());
        for _ in 0..2 {
            store.add_closure(&payload, &nars).await.unwrap();
        }
        let found: BTreeMap<_, _> = store.closure(&payload).await.unwrap().into_iter().collect();
        assert_eq!(found, nars);
        assert!(store.knows_closure(&payload).await.unwrap());
        assert!(!store.knows_closure(&other).await.unwrap());

        let nar = Digest::of(&7_u64.to_le_bytes());
        assert_eq!(store.nar_length(&payload, &nar).await.unwrap(), Some(8));
        assert_eq!(store.nar_length(&other, &nar).await.unwrap(), None);
        assert_eq!(store.nar_length(&payload, &other).await.unwrap(), None);
    }
}
