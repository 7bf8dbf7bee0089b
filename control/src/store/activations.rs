//! Activations: each attempt of each host, from the first word to the outcome.
//!
//! An outcome is written once; what is said of the same attempt later changes
//! nothing. Of each host the newest [`KEPT`] are kept.

use std::collections::BTreeMap;

use floe_proto::digest::Digest;
use floe_proto::id::{ActivationId, Epoch, HostId, Serial};
use floe_proto::report::{Outcome, Phase};
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::hosts::{serial, serial_column};
use super::output;
use super::pool::{Error, Store, column, number, text};
use crate::rollout::state::{Heard, Report, Said};

/// How many activations of a host are kept.
const KEPT: i64 = 100;

/// One attempt of one host to run a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Whose.
    pub host: HostId,
    /// As the agent named it.
    pub id: ActivationId,
    /// What it is about; `None` where that was never said.
    pub about: Option<(Epoch, Serial)>,
    /// SHA-256 of the signed manifest, once it was said.
    pub manifest: Option<Digest>,
    /// What is being done, or was last.
    pub phase: Option<Phase>,
    /// What came of it; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// For people: what is going on, or what decided.
    pub reason: String,
    /// The toplevel that the host ran after it.
    pub running: String,
    /// When it was first heard of.
    pub started: Timestamp,
    /// When its outcome was heard; `None` while it runs.
    pub ended: Option<Timestamp>,
    /// The payload was running already.
    pub unchanged: bool,
    /// Milliseconds that Nix took.
    pub build_ms: u64,
}

impl Store {
    /// One activation of a host.
    pub async fn activation(
        &self,
        host: &HostId,
        id: &ActivationId,
    ) -> Result<Option<Activation>, Error> {
        let row = sqlx::query("SELECT * FROM activations WHERE host = $1 AND id = $2")
            .bind(host.as_str())
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(activation).transpose()
    }

    /// A host's activations, newest first, at most `limit`.
    pub async fn activations(&self, host: &HostId, limit: u32) -> Result<Vec<Activation>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM activations WHERE host = $1 ORDER BY started DESC, id DESC LIMIT $2",
        )
        .bind(host.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(activation).collect()
    }

    /// The newest activation of each host.
    pub async fn latest_activations(&self) -> Result<BTreeMap<HostId, Activation>, Error> {
        let rows = sqlx::query(
            "SELECT a.* FROM activations a WHERE a.started = \
             (SELECT MAX(b.started) FROM activations b WHERE b.host = a.host) ORDER BY a.id",
        )
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| activation(row).map(|activation| (activation.host.clone(), activation)))
            .collect()
    }
}

/// Takes in what a host said of an activation.
pub(super) async fn save(
    transaction: &mut Transaction<'static, Any>,
    heard: &Heard,
) -> Result<(), Error> {
    if insert(transaction, heard).await? {
        return forget_the_oldest(transaction, &heard.host).await;
    }
    match &heard.said {
        Said::Entered { about, phase, detail } => {
            enter(transaction, heard, *about, *phase, detail).await
        }
        Said::Ended(report) => end(transaction, heard, report).await,
        Said::Wrote { .. } => Ok(()),
    }
}

/// Writes down an activation that was not heard of before; `false` if it was.
async fn insert(transaction: &mut Transaction<'static, Any>, heard: &Heard) -> Result<bool, Error> {
    let (about, phase, reason, report) = match &heard.said {
        Said::Entered { about, phase, detail } => {
            (Some(*about), phase.as_str(), detail.as_str(), None)
        }
        Said::Ended(report) => (report.about, "", report.reason.as_str(), Some(report)),
        Said::Wrote { .. } => (None, "", "", None),
    };
    let inserted = sqlx::query(
        "INSERT INTO activations (host, id, epoch, serial, manifest_digest, phase, outcome, \
         reason, running, started, ended, unchanged, build_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (host, id) DO NOTHING",
    )
    .bind(heard.host.as_str())
    .bind(heard.activation.as_str())
    .bind(about.map_or(0, |(epoch, _)| i64::from(epoch.get())))
    .bind(about.map_or(0, |(_, serial)| serial_column(serial)))
    .bind(report.map_or_else(String::new, manifest_column))
    .bind(phase)
    .bind(report.map_or("", |report| report.outcome.as_str()))
    .bind(reason)
    .bind(report.map_or("", |report| &report.running))
    .bind(heard.at.as_micros())
    .bind(report.map(|_| heard.at.as_micros()))
    .bind(report.map_or(0, |report| i64::from(report.unchanged)))
    .bind(report.map_or(0, build_column))
    .execute(&mut **transaction)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

async fn enter(
    transaction: &mut Transaction<'static, Any>,
    heard: &Heard,
    (epoch, serial): (Epoch, Serial),
    phase: Phase,
    detail: &str,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE activations SET epoch = $3, serial = $4, phase = $5, reason = $6 \
         WHERE host = $1 AND id = $2 AND ended IS NULL",
    )
    .bind(heard.host.as_str())
    .bind(heard.activation.as_str())
    .bind(i64::from(epoch.get()))
    .bind(serial_column(serial))
    .bind(phase.as_str())
    .bind(detail)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn end(
    transaction: &mut Transaction<'static, Any>,
    heard: &Heard,
    report: &Report,
) -> Result<(), Error> {
    let about = report.about;
    sqlx::query(
        "UPDATE activations SET epoch = COALESCE($3, epoch), serial = COALESCE($4, serial), \
         manifest_digest = $5, outcome = $6, reason = $7, running = $8, ended = $9, \
         unchanged = $10, build_ms = $11 WHERE host = $1 AND id = $2 AND ended IS NULL",
    )
    .bind(heard.host.as_str())
    .bind(heard.activation.as_str())
    .bind(about.map(|(epoch, _)| i64::from(epoch.get())))
    .bind(about.map(|(_, serial)| serial_column(serial)))
    .bind(manifest_column(report))
    .bind(report.outcome.as_str())
    .bind(&report.reason)
    .bind(&report.running)
    .bind(heard.at.as_micros())
    .bind(i64::from(report.unchanged))
    .bind(build_column(report))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn manifest_column(report: &Report) -> String {
    report.manifest.map(|digest| digest.to_string()).unwrap_or_default()
}

fn build_column(report: &Report) -> i64 {
    i64::try_from(report.build_ms).unwrap_or(i64::MAX)
}

/// A new activation pushes at most one old one out, and the lines of one.
async fn forget_the_oldest(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM activation_output WHERE host = $1 AND activation IN (SELECT id FROM \
         activations WHERE host = $1 ORDER BY started DESC, id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(host.as_str())
    .bind(output::KEPT)
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "DELETE FROM activations WHERE host = $1 AND id IN (SELECT id FROM activations \
         WHERE host = $1 ORDER BY started DESC, id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(host.as_str())
    .bind(KEPT)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn activation(row: &AnyRow) -> Result<Activation, Error> {
    let about = match column::<i64>(row, "serial")? {
        0 => None,
        known => Some((Epoch::new(number(row, "epoch")?), serial(known, "serial")?)),
    };
    let manifest: String = column(row, "manifest_digest")?;
    let manifest = if manifest.is_empty() { None } else { Some(text(row, "manifest_digest")?) };
    let outcome: String = column(row, "outcome")?;
    Ok(Activation {
        host: text(row, "host")?,
        id: text(row, "id")?,
        about,
        manifest,
        phase: output::phase(row)?,
        outcome: Outcome::ALL.into_iter().find(|known| known.as_str() == outcome),
        reason: column(row, "reason")?,
        running: column(row, "running")?,
        started: Timestamp::from_micros(column(row, "started")?),
        ended: column::<Option<i64>>(row, "ended")?.map(Timestamp::from_micros),
        unchanged: column::<i64>(row, "unchanged")? != 0,
        build_ms: number(row, "build_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rollout::ports::{Changes, Records};
    use crate::store::pool::tests::store;

    fn heard(activation: &str, at: i64, said: Said) -> Arc<Heard> {
        Arc::new(Heard {
            host: "local-a".parse().unwrap(),
            role: "www".parse().unwrap(),
            activation: activation.parse().unwrap(),
            at: Timestamp::from_micros(at),
            said,
        })
    }

    fn entered(phase: Phase) -> Said {
        let about = (Epoch::new(0), 4.try_into().unwrap());
        Said::Entered { about, phase, detail: "busy".into() }
    }

    fn ended(outcome: Outcome) -> Said {
        Said::Ended(Report {
            about: Some((Epoch::new(0), 4.try_into().unwrap())),
            manifest: Some(Digest::of(b"manifest")),
            outcome,
            reason: "decided".into(),
            running: "/nix/store/x".into(),
            unchanged: false,
            build_ms: 12,
        })
    }

    async fn hear(store: &Store, heard: Vec<Arc<Heard>>) {
        store.save(&Changes { rollouts: vec![], heard }).await.unwrap();
    }

    #[tokio::test]
    async fn an_outcome_is_written_once_and_nothing_said_later_changes_it() {
        let (store, _dir) = store().await;
        let (host, id) = ("local-a".parse().unwrap(), "x-1".parse().unwrap());
        hear(&store, vec![heard("x-1", 1, entered(Phase::Building))]).await;
        assert!(!store.has_ended(&host, &id).await.unwrap());
        let busy = store.activation(&host, &id).await.unwrap().unwrap();
        assert_eq!((busy.phase, busy.outcome, busy.ended), (Some(Phase::Building), None, None));

        hear(&store, vec![heard("x-1", 2, ended(Outcome::RolledBack))]).await;
        let before = store.activation(&host, &id).await.unwrap().unwrap();
        assert_eq!(before.outcome, Some(Outcome::RolledBack));
        assert_eq!((before.started.as_micros(), before.ended.unwrap().as_micros()), (1, 2));

        hear(&store, vec![heard("x-1", 3, ended(Outcome::Confirmed))]).await;
        hear(&store, vec![heard("x-1", 4, entered(Phase::Trying))]).await;
        assert_eq!(store.activation(&host, &id).await.unwrap().unwrap(), before);
        assert!(store.has_ended(&host, &id).await.unwrap());
    }

    #[tokio::test]
    async fn a_host_has_a_bounded_past_and_its_newest_is_found() {
        let (store, _dir) = store().await;
        let said =
            (1..=KEPT + 20).map(|at| heard(&format!("x-{at}"), at, ended(Outcome::Confirmed)));
        hear(&store, said.collect()).await;
        let host = "local-a".parse().unwrap();
        let all = store.activations(&host, 1000).await.unwrap();
        assert_eq!(i64::try_from(all.len()).unwrap(), KEPT);
        assert_eq!(all[0].id.as_str(), "x-120");
        let latest = store.latest_activations().await.unwrap();
        assert_eq!(latest[&host], all[0]);
    }
}
