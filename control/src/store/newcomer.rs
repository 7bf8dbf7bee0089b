//! A machine that is let in: it becomes a host on record, or takes one's place.

use floe_proto::digest::Digest;
use floe_proto::id::{HostId, Role};
use floe_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::pool::Error;
use super::renewals::RENEWABLE;
use crate::enrol::issuers::IssuerNumber;

/// Who it will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer<'a> {
    /// Its id.
    pub(super) host: &'a HostId,
    /// Its role.
    pub(super) role: &'a Role,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub(super) key: &'a Digest,
    /// Serial number of its certificate, in hex.
    pub(super) certificate_serial: &'a str,
    /// When that expires.
    pub(super) certificate_expires: Timestamp,
    /// Who signed it.
    pub(super) issuer: IssuerNumber,
}

impl Newcomer<'_> {
    /// Puts it on record; `false` where a host with this id is on it already.
    pub(super) async fn put_on_record(
        &self,
        transaction: &mut Transaction<'static, Any>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let inserted = sqlx::query(
            "INSERT INTO hosts (id, role, key_digest, certificate_serial, certificate_expires, \
             issuer, enrolled, agent_version, system, running) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, '', '', '') ON CONFLICT (id) DO NOTHING",
        )
        .bind(self.host.as_str())
        .bind(self.role.as_str())
        .bind(self.key.to_string())
        .bind(self.certificate_serial)
        .bind(self.certificate_expires.as_micros())
        .bind(i64::from(self.issuer.get()))
        .bind(now.as_micros())
        .execute(&mut **transaction)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Whether its key was revoked together with the host that had it.
    pub(super) async fn is_revoked(
        &self,
        transaction: &mut Transaction<'static, Any>,
    ) -> Result<bool, Error> {
        let found = sqlx::query(
            "SELECT 1 FROM former_keys WHERE host = $1 AND key_digest = $2 AND revoked = 1",
        )
        .bind(self.host.as_str())
        .bind(self.key.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
        Ok(found.is_some())
    }

    /// Takes the place of the host with this id: an operator said so. Whoever still has
    /// a key of before is refused from now on, and is no sign of a second machine.
    pub(super) async fn take_over(
        &self,
        transaction: &mut Transaction<'static, Any>,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO former_keys (host, key_digest, until, revoked) \
             SELECT id, key_digest, certificate_expires + $3, 1 FROM hosts \
             WHERE id = $1 AND key_digest <> $2 \
             ON CONFLICT (host, key_digest) DO UPDATE SET revoked = 1",
        )
        .bind(self.host.as_str())
        .bind(self.key.to_string())
        .bind(i64::try_from(RENEWABLE.as_micros()).unwrap_or(i64::MAX))
        .execute(&mut **transaction)
        .await?;
        sqlx::query("UPDATE former_keys SET revoked = 1 WHERE host = $1 AND key_digest <> $2")
            .bind(self.host.as_str())
            .bind(self.key.to_string())
            .execute(&mut **transaction)
            .await?;
        sqlx::query(
            "UPDATE hosts SET role = $2, key_digest = $3, previous_key = NULL, key_used = 0, \
             renewed = NULL, generation = generation + 1, certificate_serial = $4, \
             certificate_expires = $5, issuer = $6, enrolled = $7, revoked = NULL, \
             revoked_reason = '', conflict = NULL, conflict_reason = '' WHERE id = $1",
        )
        .bind(self.host.as_str())
        .bind(self.role.as_str())
        .bind(self.key.to_string())
        .bind(self.certificate_serial)
        .bind(self.certificate_expires.as_micros())
        .bind(i64::from(self.issuer.get()))
        .bind(now.as_micros())
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}
