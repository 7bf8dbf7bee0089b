//! Machines on EC2 that ask to be let in: by themselves, once, or by an operator's
//! approval.
//!
//! ```text
//!            no doubt, image on record, first time, never denied ─▶ enrolled
//! arrival ─┤                                  approved ─▶ enrolled; the approval is used up
//!            anything else ─▶ pending ──────┤
//!                                             denied ─▶ refused
//! ```
//!
//! What an operator said comes before what follows by itself.
//!
//! Each arrow is one transaction. That an instance enrols once is the primary key of
//! `instances`, whose affected rows are looked at; that an approval counts once, a
//! conditional UPDATE likewise. An approval is for this instance with this key.

use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::Role;
use floe_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::approvals::{as_json, forget_pending};
use super::newcomer::Newcomer;
use super::pool::{Error, Store, column, text};
use crate::enrol::iid::Document;
use crate::enrol::issuers::IssuerNumber;

/// For how long the same instance with the same key gets the same answer again.
const REPLAY: Duration = Duration::from_secs(10 * 60);

/// For how long an approval waits for its machine.
const APPROVED_FOR: Duration = Duration::from_secs(24 * 3600);

/// A machine whose document is believed, and that no rule refused.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What AWS signed.
    pub document: Document,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// Where it asks from.
    pub address: String,
    /// What an operator should know before it is let in.
    pub doubts: Vec<String>,
    /// Serial number of the certificate that it would get, in hex.
    pub certificate_serial: String,
    /// When that certificate expires.
    pub certificate_expires: Timestamp,
    /// Who signed it.
    pub issuer: IssuerNumber,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The host is on record with this role.
    Enrolled(Role),
    /// It was already, and the answer was lost: the same again.
    Again(Role),
    /// An operator has to approve it, for these reasons.
    Waiting(Vec<String>),
    /// An operator denied it.
    Denied,
}

impl Store {
    /// Lets a machine in, or keeps it for an operator to decide.
    pub async fn arrive(&self, arrival: &Arrival, now: Timestamp) -> Result<Arrived, Error> {
        let mut transaction = self.begin().await?;
        if let Some(role) = replayed(&mut transaction, arrival, now).await? {
            return Ok(Arrived::Again(role));
        }
        if let Some(outcome) = by_decision(&mut transaction, arrival, now).await? {
            transaction.commit().await?;
            return Ok(outcome);
        }
        let role = role_of_image(&mut transaction, arrival).await?;
        let mut reasons = arrival.doubts.clone();
        if role.is_none() {
            reasons.push("its image is not on record for any role".to_owned());
        }
        reasons.extend(enrolled_before(&mut transaction, arrival).await?);
        reasons.extend(denied_before(&mut transaction, arrival).await?);
        if let (Some(role), true) = (&role, reasons.is_empty()) {
            let newcomer = arrival.newcomer(role);
            if first_time(&mut transaction, arrival, now).await?
                && newcomer.put_on_record(&mut transaction, now).await?
            {
                forget_pending(&mut transaction, newcomer.host).await?;
                transaction.commit().await?;
                return Ok(Arrived::Enrolled(role.clone()));
            }
            // Another arrival was quicker. Dropping the transaction undoes our half.
            return Ok(Arrived::Waiting(vec!["it enrolled already".to_owned()]));
        }
        let outcome = wait(&mut transaction, arrival, role.as_ref(), reasons, now).await?;
        transaction.commit().await?;
        Ok(outcome)
    }
}

impl Arrival {
    fn newcomer<'a>(&'a self, role: &'a Role) -> Newcomer<'a> {
        Newcomer {
            host: &self.document.instance,
            role,
            key: &self.key,
            certificate_serial: &self.certificate_serial,
            certificate_expires: self.certificate_expires,
            issuer: self.issuer,
        }
    }
}

type Tx = Transaction<'static, Any>;

/// A lost reply does not strand a machine.
async fn replayed(
    transaction: &mut Tx,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<Option<Role>, Error> {
    let document = &arrival.document;
    let row = sqlx::query(
        "SELECT hosts.role AS role, instances.enrolled AS since FROM instances \
         JOIN hosts ON hosts.id = instances.id AND hosts.key_digest = instances.key_digest \
         WHERE instances.account = $1 AND instances.region = $2 AND instances.id = $3 \
         AND instances.key_digest = $4 AND hosts.revoked IS NULL",
    )
    .bind(document.account.as_str())
    .bind(document.region.as_str())
    .bind(document.instance.as_str())
    .bind(arrival.key.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let since = Timestamp::from_micros(column(&row, "since")?);
    if now.since(since) < REPLAY { Ok(Some(text(&row, "role")?)) } else { Ok(None) }
}

/// The role that our record of the image gives; what the machine says is not asked.
async fn role_of_image(transaction: &mut Tx, arrival: &Arrival) -> Result<Option<Role>, Error> {
    let document = &arrival.document;
    let row = sqlx::query("SELECT role FROM images WHERE account = $1 AND region = $2 AND id = $3")
        .bind(document.account.as_str())
        .bind(document.region.as_str())
        .bind(document.image.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    row.as_ref().map(|row| text(row, "role")).transpose()
}

async fn enrolled_before(transaction: &mut Tx, arrival: &Arrival) -> Result<Option<String>, Error> {
    let document = &arrival.document;
    let instance = sqlx::query(
        "SELECT enrolled FROM instances WHERE account = $1 AND region = $2 AND id = $3",
    )
    .bind(document.account.as_str())
    .bind(document.region.as_str())
    .bind(document.instance.as_str())
    .fetch_optional(&mut **transaction)
    .await?;
    if let Some(row) = instance {
        let at = Timestamp::from_micros(column(&row, "enrolled")?).whole_seconds();
        return Ok(Some(format!("it enrolled already, at {at}")));
    }
    let host = sqlx::query("SELECT id FROM hosts WHERE id = $1")
        .bind(document.instance.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(host.map(|_| "a host with this id is on record already".to_owned()))
}

/// A new key is no way around an operator's word about the instance.
async fn denied_before(transaction: &mut Tx, arrival: &Arrival) -> Result<Option<String>, Error> {
    let denied = sqlx::query("SELECT 1 FROM approvals WHERE host = $1 AND state = 'denied'")
        .bind(arrival.document.instance.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(denied.map(|_| "it was denied when it asked with another key".to_owned()))
}

/// Takes the instance's one enrolment; `false` where it is taken.
async fn first_time(
    transaction: &mut Tx,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<bool, Error> {
    let document = &arrival.document;
    let inserted = sqlx::query(
        "INSERT INTO instances (account, region, id, image, key_digest, pending, enrolled) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, region, id) DO NOTHING",
    )
    .bind(document.account.as_str())
    .bind(document.region.as_str())
    .bind(document.instance.as_str())
    .bind(document.image.as_str())
    .bind(arrival.key.to_string())
    .bind(document.pending.as_micros())
    .bind(now.as_micros())
    .execute(&mut **transaction)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What an operator decided about this instance with this key; `None` where nobody did,
/// or it was used up, waited too long, or is older than a revocation of the host.
async fn by_decision(
    transaction: &mut Tx,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<Option<Arrived>, Error> {
    let (host, key) = (&arrival.document.instance, arrival.key.to_string());
    let row = sqlx::query("SELECT state, role FROM approvals WHERE host = $1 AND key_digest = $2")
        .bind(host.as_str())
        .bind(&key)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(row) = row else { return Ok(None) };
    if column::<String>(&row, "state")? == "denied" {
        return Ok(Some(Arrived::Denied));
    }
    let oldest = now.as_micros().saturating_sub(micros(APPROVED_FOR));
    let used = sqlx::query(
        "UPDATE approvals SET used = $3 WHERE host = $1 AND key_digest = $2 \
         AND state = 'approved' AND used IS NULL AND decided > $4 \
         AND decided >= COALESCE((SELECT revoked FROM hosts WHERE id = $1), 0)",
    )
    .bind(host.as_str())
    .bind(&key)
    .bind(now.as_micros())
    .bind(oldest)
    .execute(&mut **transaction)
    .await?
    .rows_affected();
    if used != 1 {
        return Ok(None);
    }
    let role: Role = text(&row, "role")?;
    let newcomer = arrival.newcomer(&role);
    if newcomer.is_revoked(transaction).await? {
        return Ok(Some(Arrived::Denied));
    }
    if !newcomer.put_on_record(transaction, now).await? {
        newcomer.take_over(transaction, now).await?;
    }
    let document = &arrival.document;
    sqlx::query("DELETE FROM instances WHERE account = $1 AND region = $2 AND id = $3")
        .bind(document.account.as_str())
        .bind(document.region.as_str())
        .bind(document.instance.as_str())
        .execute(&mut **transaction)
        .await?;
    first_time(transaction, arrival, now).await?;
    forget_pending(transaction, newcomer.host).await?;
    Ok(Some(Arrived::Enrolled(role)))
}

/// Keeps the arrival for an operator. So much is kept, and no more: of one instance the
/// keys that asked first, as whoever has its document could make the next one all the time
/// until the instance's own is gone; and of all what was asked last.
async fn wait(
    transaction: &mut Tx,
    arrival: &Arrival,
    role: Option<&Role>,
    mut reasons: Vec<String>,
    now: Timestamp,
) -> Result<Arrived, Error> {
    let (document, key) = (&arrival.document, arrival.key.to_string());
    sqlx::query("DELETE FROM approvals WHERE state = 'pending' AND asked < $1")
        .bind(now.as_micros().saturating_sub(micros(PENDING_FOR)))
        .execute(&mut **transaction)
        .await?;
    let others = sqlx::query(
        "SELECT COUNT(*) AS others FROM approvals \
         WHERE host = $1 AND state = 'pending' AND key_digest <> $2",
    )
    .bind(document.instance.as_str())
    .bind(&key)
    .fetch_one(&mut **transaction)
    .await?;
    if column::<i64>(&others, "others")? >= KEYS_OF_ONE {
        reasons.push(format!("{KEYS_OF_ONE} other keys wait for it: one has to be denied first"));
        return Ok(Arrived::Waiting(reasons));
    }
    sqlx::query(
        "INSERT INTO approvals (host, key_digest, account, region, image, state, role, reasons, \
         address, asked, decider) VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, $9, '') \
         ON CONFLICT (host, key_digest) DO UPDATE SET state = 'pending', role = $6, reasons = $7, \
         address = $8, asked = $9, image = $5, decider = '', decided = NULL, used = NULL",
    )
    .bind(document.instance.as_str())
    .bind(key)
    .bind(document.account.as_str())
    .bind(document.region.as_str())
    .bind(document.image.as_str())
    .bind(role.map_or("", Role::as_str))
    .bind(as_json(&reasons))
    .bind(&arrival.address)
    .bind(now.as_micros())
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "DELETE FROM approvals WHERE state = 'pending' AND asked < (SELECT MIN(asked) FROM \
         (SELECT asked FROM approvals WHERE state = 'pending' ORDER BY asked DESC LIMIT $1) \
         AS newest)",
    )
    .bind(PENDING)
    .execute(&mut **transaction)
    .await?;
    Ok(Arrived::Waiting(reasons))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// For how long a machine that does not ask again is shown.
const PENDING_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
const KEYS_OF_ONE: i64 = 3;
const PENDING: i64 = 1000;

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
