//! Join tokens, and the one moment in which a token becomes a host.
//!
//! A token is used up by one conditional UPDATE whose number of affected rows is
//! looked at, in the transaction that puts the host on record: of any number of
//! redemptions at once exactly one succeeds (SPIRE's time-of-check bug, 1.14.6).

use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::{HostId, Role};
use floe_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::adoption::adopt;
use super::approvals::forget_pending;
use super::pool::{Error, Store, column, optional_text, text};
use super::renewals::RENEWABLE;
use crate::enrol::issuers::IssuerNumber;

/// For how long a token that was used still answers the same key the same way.
const REPLAY: Duration = Duration::from_secs(10 * 60);

/// A new token, as it is stored.
#[derive(Clone, Debug)]
pub struct TokenRecord {
    /// SHA-256 of the token.
    pub digest: Digest,
    /// The role that it gives.
    pub role: Role,
    /// The only host that may use it; `None` for any that is not enrolled.
    pub host: Option<HostId>,
    /// Whether the machine runs already, and waits after it joined until an operator has seen
    /// what would change.
    pub adopts: bool,
    /// The operator who asked for it.
    pub creator: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
}

/// An attempt to enrol.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// SHA-256 of the token.
    pub token: Digest,
    /// Who the machine says it is.
    pub host: HostId,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// Serial number of the certificate that it would get, in hex.
    pub certificate_serial: String,
    /// When that certificate expires.
    pub certificate_expires: Timestamp,
    /// Who signed it.
    pub issuer: IssuerNumber,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The host is on record with this role.
    Enrolled(Role),
    /// It was already, and the answer was lost: the same again.
    Again(Role),
    /// No such token, or it is used, expired, or for another host.
    Refused,
    /// The token is good, but the host id is on record with another key, and not to be
    /// taken over by this token. The token is not used up.
    OtherKey,
}

impl Store {
    /// Takes a new token on record, and forgets those that expired long ago.
    pub async fn add_token(&self, token: &TokenRecord) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM join_tokens WHERE expires < $1")
            .bind(token.created.as_micros().saturating_sub(KEPT_MICROS))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO join_tokens (digest, role, host, creator, created, expires, adopts) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(token.digest.to_string())
        .bind(token.role.as_str())
        .bind(token.host.as_ref().map(HostId::as_str))
        .bind(&token.creator)
        .bind(token.created.as_micros())
        .bind(token.expires.as_micros())
        .bind(i64::from(token.adopts))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Uses a token up and puts the host on record, or changes nothing.
    pub async fn redeem(&self, attempt: &Redemption, now: Timestamp) -> Result<Redeemed, Error> {
        let mut transaction = self.begin().await?;
        let used = sqlx::query(
            "UPDATE join_tokens SET used = $2, used_by = $3, used_key = $4 \
             WHERE digest = $1 AND used IS NULL AND expires > $2 AND (host IS NULL OR host = $3)",
        )
        .bind(attempt.token.to_string())
        .bind(now.as_micros())
        .bind(attempt.host.as_str())
        .bind(attempt.key.to_string())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if used != 1 {
            return replayed(&mut transaction, attempt, now).await;
        }
        let role: Role = text(
            &sqlx::query("SELECT role FROM join_tokens WHERE digest = $1")
                .bind(attempt.token.to_string())
                .fetch_one(&mut *transaction)
                .await?,
            "role",
        )?;
        let inserted = sqlx::query(
            "INSERT INTO hosts (id, role, key_digest, certificate_serial, certificate_expires, \
             issuer, enrolled, agent_version, system, running) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, '', '', '') \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(attempt.host.as_str())
        .bind(role.as_str())
        .bind(attempt.key.to_string())
        .bind(&attempt.certificate_serial)
        .bind(attempt.certificate_expires.as_micros())
        .bind(i64::from(attempt.issuer.get()))
        .bind(now.as_micros())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if inserted != 1
            && !is_itself(&mut transaction, attempt, &role).await?
            && !attested_anew(&mut transaction, attempt, &role, now).await?
        {
            // Dropping the transaction gives the token back.
            return Ok(Redeemed::OtherKey);
        }
        forget_pending(&mut transaction, &attempt.host).await?;
        adopt(&mut transaction, attempt, now).await?;
        transaction.commit().await?;
        Ok(Redeemed::Enrolled(role))
    }
}

/// A lost reply does not strand a machine: the same token, host and key get the
/// same answer for a while, with a new certificate for the same key.
async fn replayed(
    transaction: &mut Transaction<'static, Any>,
    attempt: &Redemption,
    now: Timestamp,
) -> Result<Redeemed, Error> {
    let row = sqlx::query(
        "SELECT hosts.role AS role, used, used_by, used_key FROM join_tokens \
         JOIN hosts ON hosts.id = used_by AND hosts.key_digest = used_key \
         WHERE digest = $1 AND hosts.revoked IS NULL",
    )
    .bind(attempt.token.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(row) = row else { return Ok(Redeemed::Refused) };
    let used = Timestamp::from_micros(column(&row, "used")?);
    let same = optional_text::<HostId>(&row, "used_by")?.as_ref() == Some(&attempt.host)
        && optional_text::<Digest>(&row, "used_key")?.as_ref() == Some(&attempt.key);
    if same && now.since(used) < REPLAY {
        Ok(Redeemed::Again(text(&row, "role")?))
    } else {
        Ok(Redeemed::Refused)
    }
}

/// A host that never got its first certificate asks once more, by another token: it has
/// the key that is on record, and no other way to one.
async fn is_itself(
    transaction: &mut Transaction<'static, Any>,
    attempt: &Redemption,
    role: &Role,
) -> Result<bool, Error> {
    let itself = sqlx::query(
        "UPDATE hosts SET certificate_serial = $4, certificate_expires = $5, issuer = $6 \
         WHERE id = $1 AND role = $2 AND key_digest = $3 AND revoked IS NULL",
    )
    .bind(attempt.host.as_str())
    .bind(role.as_str())
    .bind(attempt.key.to_string())
    .bind(&attempt.certificate_serial)
    .bind(attempt.certificate_expires.as_micros())
    .bind(i64::from(attempt.issuer.get()))
    .execute(&mut **transaction)
    .await?;
    Ok(itself.rows_affected() == 1)
}

/// A host that was revoked, or could not renew any more, comes back with a new key: by a
/// token that was made for exactly this host, and after it was revoked.
async fn attested_anew(
    transaction: &mut Transaction<'static, Any>,
    attempt: &Redemption,
    role: &Role,
    now: Timestamp,
) -> Result<bool, Error> {
    let lost = now.as_micros().saturating_sub(i64::try_from(RENEWABLE.as_micros()).unwrap_or(0));
    let back = sqlx::query(
        "UPDATE hosts SET role = $2, key_digest = $3, previous_key = NULL, key_used = 0, \
         renewed = NULL, generation = generation + 1, certificate_serial = $4, \
         certificate_expires = $5, issuer = $6, enrolled = $7, revoked = NULL, \
         revoked_reason = '', conflict = NULL, conflict_reason = '' \
         WHERE id = $1 AND (revoked IS NOT NULL OR certificate_expires < $8) \
         AND EXISTS (SELECT 1 FROM join_tokens WHERE digest = $9 AND host = $1 \
             AND created >= COALESCE(hosts.revoked, 0)) \
         AND NOT EXISTS (SELECT 1 FROM former_keys WHERE host = $1 AND key_digest = $3)",
    )
    .bind(attempt.host.as_str())
    .bind(role.as_str())
    .bind(attempt.key.to_string())
    .bind(&attempt.certificate_serial)
    .bind(attempt.certificate_expires.as_micros())
    .bind(i64::from(attempt.issuer.get()))
    .bind(now.as_micros())
    .bind(lost)
    .bind(attempt.token.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(back.rows_affected() == 1)
}

/// Expired tokens are kept for a week, for who asks what became of them.
const KEPT_MICROS: i64 = 7 * 24 * 3600 * 1_000_000;

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::super::pool::tests::store;
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn token(host: Option<&str>) -> TokenRecord {
        TokenRecord {
            digest: Digest::of(b"token"),
            role: "www".parse().unwrap(),
            host: host.map(|host| host.parse().unwrap()),
            adopts: false,
            creator: "ada".into(),
            created: NOW,
            expires: NOW.after(Duration::from_secs(600)),
        }
    }

    fn attempt(host: &str, key: &[u8]) -> Redemption {
        Redemption {
            token: Digest::of(b"token"),
            host: host.parse().unwrap(),
            key: Digest::of(key),
            certificate_serial: "40".into(),
            certificate_expires: NOW.after(Duration::from_secs(1_000_000)),
            issuer: IssuerNumber::new(1),
        }
    }

    fn enrolled() -> Redeemed {
        Redeemed::Enrolled("www".parse().unwrap())
    }

    fn again() -> Redeemed {
        Redeemed::Again("www".parse().unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn t071_of_a_hundred_at_once_exactly_one_redeems_a_token() {
        let (store, _dir) = store().await;
        store.add_token(&token(None)).await.unwrap();
        let mut tries = JoinSet::new();
        for number in 0..100 {
            let store = store.clone();
            let attempt = attempt(&format!("local-{number}"), format!("{number}").as_bytes());
            tries.spawn(async move { store.redeem(&attempt, NOW).await.unwrap() });
        }
        let outcomes = tries.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == enrolled()).count(), 1);
        assert_eq!(store.hosts(None).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_lost_reply_does_not_strand_a_machine() {
        let (store, _dir) = store().await;
        store.add_token(&token(None)).await.unwrap();
        let first = attempt("local-a", b"key");
        assert_eq!(store.redeem(&first, NOW).await.unwrap(), enrolled());
        let soon = NOW.after(Duration::from_secs(599));
        assert_eq!(store.redeem(&first, soon).await.unwrap(), again());
        for (other, at) in [
            (attempt("local-a", b"other key"), soon),
            (attempt("local-b", b"key"), soon),
            (attempt("local-a", b"key"), NOW.after(Duration::from_secs(600))),
        ] {
            assert_eq!(store.redeem(&other, at).await.unwrap(), Redeemed::Refused, "{other:?}");
        }
        assert_eq!(store.hosts(None).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn t082_a_revoked_host_gets_nothing_more_by_the_token_that_it_came_with() {
        let (store, _dir) = store().await;
        store.add_token(&token(None)).await.unwrap();
        let first = attempt("local-a", b"key");
        assert_eq!(store.redeem(&first, NOW).await.unwrap(), enrolled());
        store.revoke(&first.host, "stolen", NOW).await.unwrap();
        assert_eq!(store.redeem(&first, NOW).await.unwrap(), Redeemed::Refused);
    }

    #[tokio::test]
    async fn a_token_that_is_unknown_expired_or_for_another_host_changes_nothing() {
        let (store, _dir) = store().await;
        let good = attempt("local-a", b"key");
        assert_eq!(store.redeem(&good, NOW).await.unwrap(), Redeemed::Refused);
        store.add_token(&token(Some("local-a"))).await.unwrap();
        let late = NOW.after(Duration::from_secs(600));
        assert_eq!(store.redeem(&good, late).await.unwrap(), Redeemed::Refused);
        let other = attempt("local-b", b"key");
        assert_eq!(store.redeem(&other, NOW).await.unwrap(), Redeemed::Refused);
        assert!(store.hosts(None).await.unwrap().is_empty());
        assert_eq!(store.redeem(&good, NOW).await.unwrap(), enrolled());
    }

    #[tokio::test]
    async fn a_host_id_that_is_taken_does_not_use_the_token_up() {
        let (store, _dir) = store().await;
        store.add_token(&token(None)).await.unwrap();
        store.redeem(&attempt("local-a", b"key"), NOW).await.unwrap();
        let second = TokenRecord { digest: Digest::of(b"second"), ..token(None) };
        store.add_token(&second).await.unwrap();
        let taken = Redemption { token: second.digest, ..attempt("local-a", b"other") };
        assert_eq!(store.redeem(&taken, NOW).await.unwrap(), Redeemed::OtherKey);
        let free = Redemption { token: second.digest, ..attempt("local-b", b"other") };
        assert_eq!(store.redeem(&free, NOW).await.unwrap(), enrolled());
    }

    #[tokio::test]
    async fn a_machine_that_lost_the_reply_for_long_gets_in_by_another_token() {
        let (store, _dir) = store().await;
        store.add_token(&token(None)).await.unwrap();
        store.redeem(&attempt("local-a", b"key"), NOW).await.unwrap();
        let later = NOW.after(Duration::from_secs(600));
        for (text, role) in [(&b"second"[..], "db"), (b"third", "www"), (b"fourth", "www")] {
            let expires = later.after(Duration::from_secs(600));
            let role = role.parse().unwrap();
            let token = TokenRecord { digest: Digest::of(text), role, expires, ..token(None) };
            store.add_token(&token).await.unwrap();
        }
        let with = |text: &[u8]| {
            let (token, certificate_serial) = (Digest::of(text), "41".to_owned());
            Redemption { token, certificate_serial, ..attempt("local-a", b"key") }
        };
        // Its role stays what it is.
        assert_eq!(store.redeem(&with(b"second"), later).await.unwrap(), Redeemed::OtherKey);
        assert_eq!(store.redeem(&with(b"third"), later).await.unwrap(), enrolled());
        assert_eq!(store.redeem(&with(b"third"), later).await.unwrap(), again());
        // But not what was revoked.
        let host = "local-a".parse().unwrap();
        store.revoke(&host, "", later).await.unwrap();
        let again = store.redeem(&with(b"fourth"), later).await.unwrap();
        assert_eq!(again, Redeemed::OtherKey);
    }
}
