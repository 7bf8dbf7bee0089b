//! A machine that is let in: it becomes a host on record, or takes one's place.

use floe_proto::digest::Digest;
use floe_proto::id::{HostId, Role};
use floe_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::pool::Error;

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
             enrolled, agent_version, system, running) VALUES ($1, $2, $3, $4, $5, $6, '', '', '') \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(self.host.as_str())
        .bind(self.role.as_str())
        .bind(self.key.to_string())
        .bind(self.certificate_serial)
        .bind(self.certificate_expires.as_micros())
        .bind(now.as_micros())
        .execute(&mut **transaction)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Takes the place of the host with this id, as if that had never been: an operator
    /// said so.
    pub(super) async fn take_over(
        &self,
        transaction: &mut Transaction<'static, Any>,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM hosts WHERE id = $1")
            .bind(self.host.as_str())
            .execute(&mut **transaction)
            .await?;
        self.put_on_record(transaction, now).await?;
        Ok(())
    }
}
