//! Hosts that wait until an operator has seen what would change on them.

use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::pool::{Error, Store};
use super::tokens::Redemption;

impl Store {
    /// An operator has seen what would change on `host`, and said yes; `false` where it did not
    /// wait for that.
    pub async fn take_over(&self, host: &HostId) -> Result<bool, Error> {
        let taken =
            sqlx::query("UPDATE hosts SET adopted = NULL WHERE id = $1 AND adopted IS NOT NULL")
                .bind(host.as_str())
                .execute(self.pool())
                .await?;
        Ok(taken.rows_affected() == 1)
    }
}

/// Has the host of `attempt` wait, if its token is for a machine that is in use: whatever a
/// machine of this name confirmed before.
pub(super) async fn adopt(
    transaction: &mut Transaction<'static, Any>,
    attempt: &Redemption,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE hosts SET adopted = $2 WHERE id = $1 \
         AND EXISTS (SELECT 1 FROM join_tokens WHERE digest = $3 AND adopts = 1)",
    )
    .bind(attempt.host.as_str())
    .bind(now.as_micros())
    .bind(attempt.token.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floe_proto::digest::Digest;

    use super::super::pool::tests::store;
    use super::super::tokens::TokenRecord;
    use super::*;
    use crate::enrol::issuers::IssuerNumber;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    async fn enrol(store: &Store, host: &str, adopts: bool) -> Option<Timestamp> {
        enrol_as(store, host, adopts, host.as_bytes()).await
    }

    async fn enrol_as(store: &Store, host: &str, adopts: bool, key: &[u8]) -> Option<Timestamp> {
        let record = TokenRecord {
            digest: Digest::of(key),
            role: "www".parse().unwrap(),
            host: Some(host.parse().unwrap()),
            adopts,
            creator: "ada".into(),
            created: NOW,
            expires: NOW.after(Duration::from_secs(600)),
        };
        store.add_token(&record).await.unwrap();
        let attempt = Redemption {
            token: record.digest,
            host: host.parse().unwrap(),
            key: Digest::of(key),
            certificate_serial: "40".into(),
            certificate_expires: NOW.after(Duration::from_secs(1_000_000)),
            issuer: IssuerNumber::new(1),
        };
        store.redeem(&attempt, NOW).await.unwrap();
        store.host(&attempt.host).await.unwrap().unwrap().adopted
    }

    #[tokio::test]
    async fn who_comes_by_a_token_for_what_runs_already_waits_until_somebody_says_yes() {
        let (store, _dir) = store().await;
        assert_eq!(enrol(&store, "local-new", false).await, None);
        assert_eq!(enrol(&store, "local-old", true).await, Some(NOW));
        let (new, old) = ("local-new".parse().unwrap(), "local-old".parse().unwrap());
        assert!(!store.take_over(&new).await.unwrap());
        assert!(store.take_over(&old).await.unwrap());
        assert_eq!(store.host(&old).await.unwrap().unwrap().adopted, None);
        assert!(!store.take_over(&old).await.unwrap(), "once");
        // Revoked, in use without floe for a while, and adopted again.
        store.revoke(&old, "sold", NOW).await.unwrap();
        assert_eq!(enrol_as(&store, "local-old", true, b"other").await, Some(NOW));
    }
}
