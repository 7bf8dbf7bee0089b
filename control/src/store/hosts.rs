//! Hosts on record: who they are, and what they said last.
//!
//! A host gets on record by redeeming a token ([`super::tokens`]); nothing here
//! makes one. What a host was told is with the rollouts. Presence lives in memory
//! (`session`), and is written now and then, many hosts at once.

use floe_proto::digest::Digest;
use floe_proto::id::{Epoch, HostId, Role, Serial};
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use crate::rollout::state::Confirmed;
use crate::session::presence::{Presence, Records};

use super::pool::{Error, Store, column, number, text};
use super::renewals::Standing;

/// One host as it stands on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRecord {
    /// Its id.
    pub id: HostId,
    /// The role that its enrolment gave it.
    pub role: Role,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// When it enrolled.
    pub enrolled: Timestamp,
    /// When it was last heard of, as far as this was written down.
    pub last_seen: Option<Timestamp>,
    /// Version of its agent; empty until it said.
    pub agent_version: String,
    /// Nix system; empty until it said.
    pub system: String,
    /// The toplevel that it runs; empty until it said.
    pub running: String,
    /// What it confirmed last.
    pub confirmed: Option<Confirmed>,
    /// Since when it waits until an operator has seen what would change on it.
    pub adopted: Option<Timestamp>,
    /// How it stands with its certificate.
    pub standing: Standing,
}

impl Store {
    /// One host; `None` where it is not on record.
    pub async fn host(&self, id: &HostId) -> Result<Option<HostRecord>, Error> {
        let row = sqlx::query("SELECT * FROM hosts WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// All hosts, or those of `role`, by id.
    pub async fn hosts(&self, role: Option<&Role>) -> Result<Vec<HostRecord>, Error> {
        let rows = match role {
            Some(role) => {
                sqlx::query("SELECT * FROM hosts WHERE role = $1 ORDER BY id")
                    .bind(role.as_str())
                    .fetch_all(self.pool())
                    .await?
            }
            None => sqlx::query("SELECT * FROM hosts ORDER BY id").fetch_all(self.pool()).await?,
        };
        rows.iter().map(record).collect()
    }
}

// Stays here, beside the columns that it writes.
impl Records for Store {
    type Error = Error;

    async fn write_presence(&self, said: &[(HostId, Presence)]) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        for (id, presence) in said {
            let confirmed = presence.confirmed;
            sqlx::query(
                "UPDATE hosts SET last_seen = $2, agent_version = $3, system = $4, running = $5, \
                 confirmed_epoch = COALESCE($6, confirmed_epoch), \
                 confirmed_serial = COALESCE($7, confirmed_serial), \
                 confirmed_manifest = COALESCE($8, confirmed_manifest) WHERE id = $1",
            )
            .bind(id.as_str())
            .bind(presence.last_seen.as_micros())
            .bind(&presence.agent_version)
            .bind(&presence.system)
            .bind(&presence.running)
            .bind(confirmed.map(|confirmed| i64::from(confirmed.epoch.get())))
            .bind(confirmed.map(|confirmed| serial_column(confirmed.serial)))
            .bind(confirmed.map(|confirmed| confirmed.manifest.to_string()))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn write_conflict(
        &self,
        host: &HostId,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.note_conflict(host, reason, now).await
    }
}

/// A serial as a column has it; serials stay below 2^53.
pub(super) fn serial_column(serial: Serial) -> i64 {
    i64::try_from(serial.get()).unwrap_or(i64::MAX)
}

/// A serial out of a column.
pub(super) fn serial(number: i64, name: &'static str) -> Result<Serial, Error> {
    let corrupt = |source| Error::Corrupt { column: name, source };
    u64::try_from(number)
        .map_err(|error| corrupt(error.into()))?
        .try_into()
        .map_err(|error: floe_proto::id::InvalidSerial| corrupt(error.into()))
}

fn record(row: &AnyRow) -> Result<HostRecord, Error> {
    let confirmed = match column::<Option<i64>>(row, "confirmed_serial")? {
        None => None,
        Some(confirmed) => Some(Confirmed {
            epoch: Epoch::new(number(row, "confirmed_epoch")?),
            serial: serial(confirmed, "confirmed_serial")?,
            manifest: text(row, "confirmed_manifest")?,
            // Said by who is connected; nothing is decided by what others said once.
            reverted: false,
        }),
    };
    Ok(HostRecord {
        id: text(row, "id")?,
        role: text(row, "role")?,
        key: text(row, "key_digest")?,
        enrolled: Timestamp::from_micros(column(row, "enrolled")?),
        last_seen: column::<Option<i64>>(row, "last_seen")?.map(Timestamp::from_micros),
        agent_version: column(row, "agent_version")?,
        system: column(row, "system")?,
        running: column(row, "running")?,
        adopted: column::<Option<i64>>(row, "adopted")?.map(Timestamp::from_micros),
        confirmed,
        standing: Standing::of(row)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::pool::tests::store;
    use super::super::{Redemption, TokenRecord};
    use super::*;
    use crate::enrol::issuers::IssuerNumber;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    async fn enrol(store: &Store, host: &str, role: &str) -> HostId {
        let digest = Digest::of(host.as_bytes());
        let id: HostId = host.parse().unwrap();
        let expires = NOW.after(Duration::from_secs(600));
        let token = TokenRecord {
            digest,
            role: role.parse().unwrap(),
            host: None,
            adopts: false,
            creator: "ada".into(),
            created: NOW,
            expires,
        };
        store.add_token(&token).await.unwrap();
        let attempt = Redemption {
            token: digest,
            host: id.clone(),
            key: digest,
            certificate_serial: "40".into(),
            certificate_expires: expires,
            issuer: IssuerNumber::default(),
        };
        store.redeem(&attempt, NOW).await.unwrap();
        id
    }

    #[tokio::test]
    async fn hosts_are_listed_by_id_and_by_role() {
        let (store, _dir) = store().await;
        for (host, role) in [("local-b", "www"), ("local-a", "www"), ("local-c", "db")] {
            enrol(&store, host, role).await;
        }
        let ids = |hosts: Vec<HostRecord>| -> Vec<_> {
            hosts.into_iter().map(|host| host.id.to_string()).collect()
        };
        let all = ids(store.hosts(None).await.unwrap());
        assert_eq!(all, ["local-a", "local-b", "local-c"]);
        let www = ids(store.hosts(Some(&"www".parse().unwrap())).await.unwrap());
        assert_eq!(www, ["local-a", "local-b"]);
        assert_eq!(store.host(&"local-d".parse().unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_host_says_is_on_record_and_silence_lowers_nothing() {
        let (store, _dir) = store().await;
        let id = enrol(&store, "local-a", "www").await;
        let fresh = store.host(&id).await.unwrap().unwrap();
        assert_eq!((fresh.enrolled, fresh.last_seen, fresh.confirmed), (NOW, None, None));

        let confirmed = Confirmed {
            epoch: Epoch::new(1),
            serial: 42.try_into().unwrap(),
            manifest: Digest::of(b"manifest"),
            reverted: false,
        };
        let later = NOW.after(Duration::from_secs(9));
        let said = Presence {
            online: true,
            last_seen: NOW,
            agent_version: "0.1.0".into(),
            system: "x86_64-linux".into(),
            running: "/nix/store/a".into(),
            confirmed: Some(confirmed),
            suspended: None,
        };
        let silent = Presence { confirmed: None, last_seen: later, ..said.clone() };
        store.write_presence(&[(id.clone(), said), (id.clone(), silent)]).await.unwrap();
        let host = store.host(&id).await.unwrap().unwrap();
        assert_eq!((host.confirmed, host.last_seen), (Some(confirmed), Some(later)));
        assert_eq!((host.running.as_str(), host.agent_version.as_str()), ("/nix/store/a", "0.1.0"));
    }
}
