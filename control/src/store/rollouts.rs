//! Rollouts as they are remembered: what [`crate::rollout`] needs of the records.
//!
//! A turn of the rollouts' owner is one transaction, with what hosts said in it
//! (`activations`, `output`).

use floe_proto::digest::Digest;
use floe_proto::id::{ActivationId, Epoch, HostId, Role, RolloutId, Serial};
use floe_proto::report::{Outcome, Phase};
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Transaction};

use super::hosts::{serial, serial_column};
use super::pool::{Error, Store, column, number, text};
use super::{activations, output};
use crate::rollout::ports::{Changes, Records};
use crate::rollout::state::{Host, Release, Rollout, Said, Standing, State, Wave};

impl Records for Store {
    type Error = Error;

    async fn newest(&self) -> Result<(Vec<Rollout>, u64), Error> {
        let rows = sqlx::query(
            "SELECT * FROM rollouts WHERE number IN \
             (SELECT MAX(number) FROM rollouts GROUP BY role) ORDER BY number",
        )
        .fetch_all(self.pool())
        .await?;
        let mut rollouts = Vec::with_capacity(rows.len());
        let mut highest = 0;
        for row in &rows {
            highest = number(row, "number")?;
            rollouts.push(self.with_hosts(row).await?);
        }
        Ok((rollouts, highest))
    }

    async fn told(&self) -> Result<Vec<(HostId, RolloutId, Release)>, Error> {
        let rows = sqlx::query(
            "SELECT h.host, r.* FROM rollout_hosts h JOIN rollouts r ON r.number = h.rollout \
             WHERE h.rollout = (SELECT MAX(t.rollout) FROM rollout_hosts t \
             WHERE t.host = h.host AND t.assigned IS NOT NULL)",
        )
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((text(row, "host")?, id(row)?, release(row)?))).collect()
    }

    async fn rollout(&self, id: &RolloutId) -> Result<Option<Rollout>, Error> {
        let row = sqlx::query("SELECT * FROM rollouts WHERE number = $1")
            .bind(number_of(id))
            .fetch_optional(self.pool())
            .await?;
        match row {
            Some(row) => Ok(Some(self.with_hosts(&row).await?)),
            None => Ok(None),
        }
    }

    async fn published(
        &self,
        role: &Role,
        epoch: Epoch,
        serial: Serial,
    ) -> Result<Option<(Release, Vec<u8>)>, Error> {
        Ok(self.published_manifest(role, epoch, serial).await?.map(|record| {
            let release = Release {
                role: record.role,
                epoch: record.epoch,
                serial: record.serial,
                manifest: record.digest,
                payload: record.payload,
            };
            (release, record.envelope)
        }))
    }

    async fn members(&self, role: &Role) -> Result<Vec<HostId>, Error> {
        Ok(self.hosts(Some(role)).await?.into_iter().map(|host| host.id).collect())
    }

    async fn has_ended(&self, host: &HostId, activation: &ActivationId) -> Result<bool, Error> {
        Ok(self.activation(host, activation).await?.is_some_and(|known| known.ended.is_some()))
    }

    async fn save(&self, changes: &Changes) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        for (rollout, hosts) in &changes.rollouts {
            save_rollout(&mut transaction, rollout).await?;
            let (hosts, gone): (Vec<_>, Vec<_>) =
                hosts.iter().cloned().partition(|host| rollout.hosts.contains_key(host));
            for hosts in hosts.chunks(ROWS) {
                save_hosts(&mut transaction, rollout, hosts).await?;
            }
            for host in &gone {
                forget_host(&mut transaction, rollout, host).await?;
            }
        }
        for heard in &changes.heard {
            activations::save(&mut transaction, heard).await?;
            if let Said::Wrote { phase, lines } = &heard.said {
                output::append(&mut transaction, heard, *phase, lines).await?;
            }
        }
        Ok(transaction.commit().await?)
    }
}

impl Store {
    async fn with_hosts(&self, row: &AnyRow) -> Result<Rollout, Error> {
        let reasons: String = column(row, "reasons")?;
        let mut rollout = Rollout {
            id: id(row)?,
            release: release(row)?,
            retry: column::<i64>(row, "retry")? != 0,
            state: state(row)?,
            reasons: serde_json::from_str(&reasons)
                .map_err(|error| Error::Corrupt { column: "reasons", source: error.into() })?,
            hosts: std::collections::BTreeMap::new(),
            withdrawn: column(row, "withdrawn")?,
            started: Timestamp::from_micros(column(row, "started")?),
            ended: column::<Option<i64>>(row, "ended")?.map(Timestamp::from_micros),
        };
        let hosts = sqlx::query("SELECT * FROM rollout_hosts WHERE rollout = $1")
            .bind(column::<i64>(row, "number")?)
            .fetch_all(self.pool())
            .await?;
        for row in &hosts {
            rollout.hosts.insert(text(row, "host")?, host(row)?);
        }
        Ok(rollout)
    }
}

async fn save_rollout(
    transaction: &mut Transaction<'static, Any>,
    rollout: &Rollout,
) -> Result<(), Error> {
    let release = &rollout.release;
    let reasons = serde_json::Value::from(rollout.reasons.as_slice()).to_string();
    sqlx::query(
        "INSERT INTO rollouts (number, role, epoch, serial, manifest_digest, payload_digest, \
         state, reasons, started, ended, withdrawn, retry) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (number) DO UPDATE SET state = excluded.state, reasons = excluded.reasons, \
         ended = excluded.ended, withdrawn = excluded.withdrawn",
    )
    .bind(number_of(&rollout.id))
    .bind(release.role.as_str())
    .bind(i64::from(release.epoch.get()))
    .bind(serial_column(release.serial))
    .bind(release.manifest.to_string())
    .bind(release.payload.to_string())
    .bind(state_text(rollout.state))
    .bind(reasons)
    .bind(rollout.started.as_micros())
    .bind(rollout.ended.map(Timestamp::as_micros))
    .bind(rollout.withdrawn.as_deref())
    .bind(i64::from(rollout.retry))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Writes these hosts of a rollout in one statement: each costs two changes of threads.
async fn save_hosts(
    transaction: &mut Transaction<'static, Any>,
    rollout: &Rollout,
    hosts: &[HostId],
) -> Result<(), Error> {
    let hosts = hosts.iter().filter_map(|id| rollout.hosts.get_key_value(id));
    let mut statement = QueryBuilder::<Any>::new(
        "INSERT INTO rollout_hosts (rollout, host, wave, standing, reason, unchanged, build_ms, \
         assigned) ",
    );
    statement.push_values(hosts, |mut row, (id, host)| {
        row.push_bind(number_of(&rollout.id))
            .push_bind(id.as_str())
            .push_bind(i64::from(host.wave.number()))
            .push_bind(standing_text(host.standing))
            .push_bind(&host.reason)
            .push_bind(i64::from(host.unchanged))
            .push_bind(i64::try_from(host.build_ms).unwrap_or(i64::MAX))
            .push_bind(host.assigned.map(Timestamp::as_micros));
    });
    statement.push(
        " ON CONFLICT (rollout, host) DO UPDATE SET wave = excluded.wave, \
         standing = excluded.standing, reason = excluded.reason, \
         unchanged = excluded.unchanged, build_ms = excluded.build_ms, \
         assigned = excluded.assigned",
    );
    statement.build().execute(&mut **transaction).await?;
    Ok(())
}

/// The host left for another role.
async fn forget_host(
    transaction: &mut Transaction<'static, Any>,
    rollout: &Rollout,
    host: &HostId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM rollout_hosts WHERE rollout = $1 AND host = $2")
        .bind(number_of(&rollout.id))
        .bind(host.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// How many hosts one statement writes; SQLite takes 32,766 values.
const ROWS: usize = 500;

/// `r-12` is 12; the type has room for no more than 18 digits.
fn number_of(id: &RolloutId) -> i64 {
    id.as_str().strip_prefix("r-").and_then(|digits| digits.parse().ok()).unwrap_or(i64::MAX)
}

fn id(row: &AnyRow) -> Result<RolloutId, Error> {
    let number: i64 = column(row, "number")?;
    format!("r-{number}")
        .parse()
        .map_err(|error| Error::Corrupt { column: "number", source: Box::new(error) })
}

fn release(row: &AnyRow) -> Result<Release, Error> {
    Ok(Release {
        role: text(row, "role")?,
        epoch: Epoch::new(number(row, "epoch")?),
        serial: serial(column(row, "serial")?, "serial")?,
        manifest: text::<Digest>(row, "manifest_digest")?,
        payload: text::<Digest>(row, "payload_digest")?,
    })
}

fn host(row: &AnyRow) -> Result<Host, Error> {
    Ok(Host {
        wave: if column::<i64>(row, "wave")? == 1 { Wave::Canary } else { Wave::Rest },
        standing: standing(row)?,
        reason: column(row, "reason")?,
        unchanged: column::<i64>(row, "unchanged")? != 0,
        build_ms: number(row, "build_ms")?,
        assigned: column::<Option<i64>>(row, "assigned")?.map(Timestamp::from_micros),
    })
}

const STATES: [State; 4] = [State::Running, State::Done, State::Stopped, State::Superseded];

const fn state_text(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Done => "done",
        State::Stopped => "stopped",
        State::Superseded => "superseded",
    }
}

fn state(row: &AnyRow) -> Result<State, Error> {
    let text: String = column(row, "state")?;
    STATES
        .into_iter()
        .find(|state| state_text(*state) == text)
        .ok_or_else(|| Error::Corrupt { column: "state", source: text.into() })
}

const fn standing_text(standing: Standing) -> &'static str {
    match standing {
        Standing::Untouched => "untouched",
        Standing::Offline => "offline",
        Standing::Assigned => "assigned",
        Standing::Activating(phase) => phase.as_str(),
        Standing::Ended(outcome) => outcome.as_str(),
    }
}

fn standing(row: &AnyRow) -> Result<Standing, Error> {
    let text: String = column(row, "standing")?;
    [Standing::Untouched, Standing::Offline, Standing::Assigned]
        .into_iter()
        .chain(Phase::ALL.map(Standing::Activating))
        .chain(Outcome::ALL.map(Standing::Ended))
        .find(|standing| standing_text(*standing) == text)
        .ok_or_else(|| Error::Corrupt { column: "standing", source: text.into() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::pool::tests::store;

    fn rollout(number: u64, role: &str) -> Rollout {
        let release = Release {
            role: role.parse().unwrap(),
            epoch: Epoch::new(1),
            serial: number.try_into().unwrap(),
            manifest: Digest::of(b"manifest"),
            payload: Digest::of(b"payload"),
        };
        let hosts = ["local-a", "local-b"].map(|host| host.parse().unwrap());
        let id = format!("r-{number}").parse().unwrap();
        let retry = number % 2 == 1;
        Rollout { retry, ..Rollout::new(id, release, hosts, Timestamp::from_micros(5)) }
    }

    fn all(rollout: &Rollout) -> (Arc<Rollout>, Vec<HostId>) {
        (Arc::new(rollout.clone()), rollout.hosts.keys().cloned().collect())
    }

    #[tokio::test]
    async fn a_rollout_comes_back_as_it_was_in_every_standing() {
        let (store, _dir) = store().await;
        let mut rollout = rollout(7, "www");
        let standings = [Standing::Untouched, Standing::Offline, Standing::Assigned]
            .into_iter()
            .chain(Phase::ALL.map(Standing::Activating))
            .chain(Outcome::ALL.map(Standing::Ended));
        for standing in standings {
            let host = rollout.hosts.values_mut().next().unwrap();
            host.standing = standing;
            (host.wave, host.reason, host.unchanged) = (Wave::Canary, "`x`".into(), true);
            rollout.reasons = vec!["one \"quoted\"".into(), standing_text(standing).into()];
            rollout.ended = rollout.ended.xor(Some(Timestamp::from_micros(9)));
            rollout.withdrawn = rollout.withdrawn.xor(Some("`root` 2".into()));
            let changes = Changes { rollouts: vec![all(&rollout)], heard: vec![] };
            store.save(&changes).await.unwrap();
            assert_eq!(Records::rollout(&store, &rollout.id).await.unwrap().unwrap(), rollout);
        }
        for state in STATES {
            rollout.state = state;
            let changes =
                Changes { rollouts: vec![(Arc::new(rollout.clone()), vec![])], heard: vec![] };
            store.save(&changes).await.unwrap();
            assert_eq!(Records::rollout(&store, &rollout.id).await.unwrap().unwrap().state, state);
        }
    }

    #[tokio::test]
    async fn the_newest_of_each_role_and_what_each_host_was_told_last_are_found() {
        let (store, _dir) = store().await;
        assert_eq!(store.newest().await.unwrap(), (vec![], 0));
        let (first, mut second, mut other) =
            (rollout(1, "www"), rollout(2, "www"), rollout(3, "db"));
        let told = |rollout: &mut Rollout, host: &str| {
            let host = rollout.hosts.get_mut(&host.parse().unwrap()).unwrap();
            host.assigned = Some(Timestamp::from_micros(6));
        };
        let mut first = first;
        told(&mut first, "local-a");
        told(&mut first, "local-b");
        told(&mut second, "local-a");
        other.hosts.clear();
        let rollouts = [&first, &second, &other].map(all).into();
        store.save(&Changes { rollouts, heard: vec![] }).await.unwrap();

        let (newest, highest) = store.newest().await.unwrap();
        assert_eq!((newest, highest), (vec![second.clone(), other], 3));
        let mut told = store.told().await.unwrap();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [("local-a", &second), ("local-b", &first)]
            .map(|(host, r)| (host.parse().unwrap(), r.id.clone(), r.release.clone()));
        assert_eq!(told, expected);
    }
}
