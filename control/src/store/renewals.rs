//! Which key is a host's: renewal, revocation, and the signs of two machines with one
//! identity.
//!
//! ```text
//! current ──renew──▶ previous (listened to until the new one was used) ──renew──▶ former
//! ```
//!
//! A renewal compares and swaps the key on record in one transaction: of any number at
//! once one wins, and whoever comes with a key that was replaced is not the host, or no
//! longer the only one. That is written down as a conflict (catalogue T080).

use std::collections::BTreeMap;
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::approvals::void_approvals;
use super::conflicts::write_conflict;
use super::pool::{Error, Store, column, number, optional_text, text};
use crate::enrol::issuers::IssuerNumber;

/// For how long a renewal whose new key was used still answers the same way.
const REPLAY: Duration = Duration::from_secs(10 * 60);

/// Before that a key is not replaced: each one is kept for a month.
const LEAST_LIFE: Duration = Duration::from_secs(60);

/// For how long after a renewal the host may still be heard with the key before.
const OVERLAP: Duration = Duration::from_secs(60);

/// For how long an expired certificate still renews, by proof of its key.
pub const RENEWABLE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a host stands with its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which of its keys the current one is, from 1.
    pub generation: u64,
    /// Who signed its certificate.
    pub issuer: IssuerNumber,
    /// When that expires.
    pub expires: Timestamp,
    /// SHA-256 of the key before the current one.
    pub previous_key: Option<Digest>,
    /// When the current key took over; `None` for the first.
    pub renewed: Option<Timestamp>,
    /// Whether the current key was used since.
    pub key_used: bool,
    /// When it was revoked, and why.
    pub revoked: Option<(Timestamp, String)>,
    /// Since when two machines seem to have this identity, and how that was seen.
    pub conflict: Option<(Timestamp, String)>,
}

impl Standing {
    /// Whether no call of the host can still be under way with the key before: it renewed a
    /// while ago, and opened its next connection at once.
    pub fn has_left_its_key(&self, now: Timestamp) -> bool {
        self.key_used && self.renewed.is_some_and(|at| now.since(at) >= OVERLAP)
    }

    pub(super) fn of(row: &AnyRow) -> Result<Self, Error> {
        let since = |at, reason| -> Result<_, Error> {
            let at: Option<i64> = column(row, at)?;
            let reason: String = column(row, reason)?;
            Ok(at.map(|at| (Timestamp::from_micros(at), reason)))
        };
        Ok(Self {
            generation: number(row, "generation")?,
            issuer: IssuerNumber::new(number(row, "issuer")?),
            expires: Timestamp::from_micros(column(row, "certificate_expires")?),
            previous_key: optional_text(row, "previous_key")?,
            renewed: column::<Option<i64>>(row, "renewed")?.map(Timestamp::from_micros),
            key_used: column::<i64>(row, "key_used")? != 0,
            revoked: since("revoked", "revoked_reason")?,
            conflict: since("conflict", "conflict_reason")?,
        })
    }
}

/// One key for another.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Whose.
    pub host: HostId,
    /// SHA-256 of the key that it is asked for with.
    pub presented: Digest,
    /// SHA-256 of the new key.
    pub new: Digest,
    /// Serial number of the certificate that it would get, in hex.
    pub certificate_serial: String,
    /// When that expires.
    pub certificate_expires: Timestamp,
    /// Who signed it.
    pub issuer: IssuerNumber,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The new key is the host's.
    Renewed,
    /// It was already, and the answer was lost: the same again.
    Again,
    /// The host has this key already, and asks for it with itself.
    SameKey,
    /// The key took over a moment ago.
    TooSoon,
    /// There is no such host.
    Unknown,
    /// The host, or this key of it, was revoked.
    Revoked,
    /// The key is the host's no more: two machines have this identity.
    Conflict,
}

impl Store {
    /// Replaces a host's key by the next, or changes nothing, or writes a conflict down.
    pub async fn renew(&self, renewal: &Renewal, now: Timestamp) -> Result<Renewed, Error> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT * FROM hosts WHERE id = $1")
            .bind(renewal.host.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(Renewed::Unknown) };
        let (current, standing) = (text::<Digest>(&row, "key_digest")?, Standing::of(&row)?);
        if standing.revoked.is_some() {
            return Ok(Renewed::Revoked);
        }
        let outcome = if renewal.presented == current {
            if renewal.new == current {
                return Ok(Renewed::SameKey);
            }
            let least = (renewal.certificate_expires.since(now) / 8).min(LEAST_LIFE);
            if standing.renewed.is_some_and(|at| now.since(at) < least) {
                return Ok(Renewed::TooSoon);
            }
            replace(&mut transaction, renewal, standing.expires, now).await?
        } else if standing.previous_key == Some(renewal.presented)
            && renewal.new == current
            && (!standing.key_used || standing.renewed.is_some_and(|at| now.since(at) < REPLAY))
        {
            // Whoever asks holds both keys: the answer was lost on its way.
            note_certificate(&mut transaction, renewal).await?;
            Renewed::Again
        } else if is_revoked(&mut transaction, &renewal.host, &renewal.presented).await? {
            return Ok(Renewed::Revoked);
        } else {
            let reason = "a renewal was asked for with a key that has been replaced";
            write_conflict(&mut transaction, &renewal.host, reason, now).await?;
            Renewed::Conflict
        };
        transaction.commit().await?;
        Ok(outcome)
    }

    /// The host calls with its current key: the one before it is no longer listened to.
    pub async fn key_is_used(&self, host: &HostId, key: &Digest) -> Result<(), Error> {
        sqlx::query("UPDATE hosts SET key_used = 1 WHERE id = $1 AND key_digest = $2")
            .bind(host.as_str())
            .bind(key.to_string())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// By issuer: how many hosts have a certificate of it, and how many have one that
    /// has expired and may still renew. Who never used a new one may not have got it, and
    /// counts with the issuer of the one before as well.
    pub async fn certificates(
        &self,
        now: Timestamp,
    ) -> Result<BTreeMap<IssuerNumber, (u32, u32)>, Error> {
        let renewable = i64::try_from(RENEWABLE.as_micros()).unwrap_or(i64::MAX);
        let rows = sqlx::query(
            "SELECT issuer, COUNT(CASE WHEN certificate_expires > $1 THEN 1 END) AS good, \
             COUNT(CASE WHEN certificate_expires <= $1 THEN 1 END) AS expired FROM \
             (SELECT issuer, certificate_expires FROM hosts WHERE revoked IS NULL UNION ALL \
             SELECT previous_issuer AS issuer, certificate_expires FROM hosts \
             WHERE revoked IS NULL AND previous_key IS NOT NULL AND key_used = 0 \
             AND previous_issuer <> issuer) AS held \
             WHERE certificate_expires > $2 GROUP BY issuer",
        )
        .bind(now.as_micros())
        .bind(now.as_micros().saturating_sub(renewable))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let counts = (number(row, "good")?, number(row, "expired")?);
                Ok((IssuerNumber::new(number(row, "issuer")?), counts))
            })
            .collect()
    }

    /// Refuses the host from now on, with all keys that it ever had, and takes back what
    /// was approved and waits for it. Since when it is revoked; `None` where there is no
    /// such host.
    pub async fn revoke(
        &self,
        host: &HostId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT * FROM hosts WHERE id = $1")
            .bind(host.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        void_approvals(&mut transaction, host).await?;
        let standing = Standing::of(&row)?;
        if let Some((since, _)) = standing.revoked {
            transaction.commit().await?;
            return Ok(Some(since));
        }
        let current: Digest = text(&row, "key_digest")?;
        put_away(&mut transaction, host, &current, standing.expires).await?;
        sqlx::query("UPDATE former_keys SET revoked = 1 WHERE host = $1")
            .bind(host.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE hosts SET revoked = $2, revoked_reason = $3 WHERE id = $1")
            .bind(host.as_str())
            .bind(now.as_micros())
            .bind(reason)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(now))
    }
}

/// Compare and swap: of two at once, the second finds another key than it saw.
async fn replace(
    transaction: &mut Transaction<'static, Any>,
    renewal: &Renewal,
    expires: Timestamp,
    now: Timestamp,
) -> Result<Renewed, Error> {
    let swapped = sqlx::query(
        "UPDATE hosts SET previous_key = key_digest, key_digest = $3, generation = generation + 1, \
         previous_issuer = issuer, renewed = $4, key_used = 0 WHERE id = $1 AND key_digest = $2 AND revoked IS NULL",
    )
    .bind(renewal.host.as_str())
    .bind(renewal.presented.to_string())
    .bind(renewal.new.to_string())
    .bind(now.as_micros())
    .execute(&mut **transaction)
    .await?
    .rows_affected();
    if swapped != 1 {
        return Ok(Renewed::Conflict);
    }
    sqlx::query("DELETE FROM former_keys WHERE host = $1 AND until < $2")
        .bind(renewal.host.as_str())
        .bind(now.as_micros())
        .execute(&mut **transaction)
        .await?;
    put_away(transaction, &renewal.host, &renewal.presented, expires).await?;
    note_certificate(transaction, renewal).await?;
    Ok(Renewed::Renewed)
}

/// Keeps a key that is not the current one any more, as long as it may come back.
async fn put_away(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
    key: &Digest,
    expires: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO former_keys (host, key_digest, until, revoked) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (host, key_digest) DO NOTHING",
    )
    .bind(host.as_str())
    .bind(key.to_string())
    .bind(expires.after(RENEWABLE).as_micros())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn note_certificate(
    transaction: &mut Transaction<'static, Any>,
    renewal: &Renewal,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE hosts SET certificate_serial = $2, certificate_expires = $3, issuer = $4 \
         WHERE id = $1",
    )
    .bind(renewal.host.as_str())
    .bind(&renewal.certificate_serial)
    .bind(renewal.certificate_expires.as_micros())
    .bind(i64::from(renewal.issuer.get()))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn is_revoked(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
    key: &Digest,
) -> Result<bool, Error> {
    let found = sqlx::query(
        "SELECT 1 FROM former_keys WHERE host = $1 AND key_digest = $2 AND revoked = 1",
    )
    .bind(host.as_str())
    .bind(key.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(found.is_some())
}

#[cfg(test)]
#[path = "renewals_tests.rs"]
mod tests;
