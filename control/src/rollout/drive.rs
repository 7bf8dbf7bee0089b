//! The one task that owns all running rollouts: learn, decide, store, tell.
//!
//! What was said meanwhile is taken in together and stored in one transaction; hosts,
//! watchers and those who wait for an acknowledgement are told only after that. So
//! nothing is ever told that a restart would forget. Where the store fails nothing
//! has happened: who said something is not acknowledged and says it again. Nothing
//! here polls; it wakes when a host or an operator does something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::id::{HostId, Role, RolloutId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::draft::{Draft, Live};
use super::handle::{Board, Event, QUEUE, Refusal, Rollouts};
use super::ports::{Changes, Clock, Here, Hosts, Order, Records, Trust};
use super::state::{Assignment, Release, Said};

/// The owner of all running rollouts; [`Self::run`] is its task.
#[derive(Debug)]
pub struct Drive<R, H, T> {
    records: R,
    hosts: H,
    trust: T,
    /// The version of the trust root that all live rollouts were judged by.
    judged: Option<u32>,
    clock: Clock,
    events: mpsc::Receiver<Event>,
    board: Arc<Board>,
    news: watch::Sender<u64>,
    /// The newest rollout of each role.
    live: BTreeMap<Role, Live>,
    /// What each host was told last.
    told: BTreeMap<HostId, (RolloutId, Release)>,
    /// What each connected host's stream was handed last.
    handed: BTreeMap<HostId, (u64, Option<Assignment>)>,
    /// The highest number that a rollout has.
    number: u64,
}

impl<R: Records + Clone, H: Hosts, T: Trust> Drive<R, H, T> {
    /// The owner, and the handle through which everybody else speaks with it.
    pub fn new(records: R, hosts: H, trust: T, clock: Clock) -> (Rollouts<R>, Self) {
        let (sender, events) = mpsc::channel(QUEUE);
        let (news, newest) = watch::channel(0);
        let board = Arc::new(Board::default());
        let rollouts = Rollouts {
            records: records.clone(),
            events: sender,
            board: Arc::clone(&board),
            news: newest,
        };
        let drive = Self {
            records,
            hosts,
            trust,
            judged: None,
            clock,
            events,
            board,
            news,
            live: BTreeMap::new(),
            told: BTreeMap::new(),
            handed: BTreeMap::new(),
            number: 0,
        };
        (rollouts, drive)
    }

    /// Takes up what was running before a restart. To be awaited before anybody may
    /// connect or ask; [`Self::run`] comes after it.
    pub async fn recall(&mut self) -> Result<(), R::Error> {
        let (newest, number) = self.records.newest().await?;
        self.number = number;
        self.told = self
            .records
            .told()
            .await?
            .into_iter()
            .map(|(host, rollout, release)| (host, (rollout, release)))
            .collect();
        for rollout in newest {
            let Release { role, epoch, serial, .. } = &rollout.release;
            let published = self.records.published(role, *epoch, *serial).await?;
            let envelope = published.map(|(_, envelope)| envelope).unwrap_or_default().into();
            let rollout = Arc::new(rollout);
            let shown = watch::Sender::new(Arc::clone(&rollout));
            self.live.insert(rollout.release.role.clone(), Live { rollout, envelope, shown });
        }
        self.show();
        Ok(())
    }

    /// Goes on until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.hosts.changed() => {}
                () = self.trust.changed() => {}
                received = self.events.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                }
            }
            while let Err(error) = self.turn(batch.drain(..)).await {
                error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not store what rollouts and hosts did; nothing was done"
                );
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }

    /// Takes in what was said, decides, stores, and tells.
    async fn turn(&mut self, events: impl Iterator<Item = Event> + Send) -> Result<(), R::Error> {
        let (here, now) = (self.hosts.here(), (self.clock)());
        let mut draft = Draft { live: self.live.clone(), number: self.number, ..Draft::default() };
        // Taken before anything is judged: what comes meanwhile is judged next time.
        let version = self.trust.version();
        for event in events {
            match event {
                Event::Start { role, epoch, serial, retry, answer } => {
                    match self.records.published(&role, epoch, serial).await? {
                        Some((release, envelope)) => {
                            if let Some(why) = self.trust.objection(&envelope, Some(now)) {
                                let _ = answer.send(Err(Refusal::NotBelieved(why)));
                                continue;
                            }
                            let members = self.records.members(&role).await?;
                            let id = draft.start(release, envelope.into(), members, retry, now);
                            draft.answers.extend(id.map(|id| (answer, id)));
                        }
                        None => {
                            let _ = answer.send(Err(Refusal::NotPublished));
                        }
                    }
                }
                Event::Heard { heard, stored } => {
                    let again = matches!(heard.said, Said::Ended(_))
                        && (draft.has_ended(&heard)
                            || self.records.has_ended(&heard.host, &heard.activation).await?);
                    draft.stored.push(stored);
                    if !again {
                        draft.hear(heard, &self.told);
                    }
                }
            }
        }
        if self.judged != Some(version) {
            draft.judge(&self.trust);
        }
        draft.advance(&here, now);
        let changes = draft.changes(&self.live);
        if !changes.is_empty() {
            self.records.save(&changes).await?;
        }
        self.publish(draft, &changes, &here);
        self.judged = Some(version);
        Ok(())
    }

    /// Everything is stored; now everybody may know.
    fn publish(&mut self, draft: Draft, changes: &Changes, here: &BTreeMap<HostId, Here>) {
        for (rollout, _) in &changes.rollouts {
            let Release { role, serial, .. } = &rollout.release;
            info!(rollout = %rollout.id, %role, %serial, state = ?rollout.state,
                reasons = ?rollout.reasons, "rollout changed");
        }
        self.number = draft.number;
        for (host, rollout, release) in draft.told {
            info!(%host, rollout = %rollout, serial = %release.serial, "host assigned");
            self.told.insert(host, (rollout, release));
        }
        for (old, shown) in draft.displaced {
            shown.send_replace(old);
        }
        self.live = draft.live;
        for live in self.live.values() {
            live.shown.send_if_modified(|shown| {
                let changed = !Arc::ptr_eq(shown, &live.rollout);
                *shown = Arc::clone(&live.rollout);
                changed
            });
        }
        if !changes.is_empty() {
            self.show();
        }
        self.hand_out(here);
        for (answer, id) in draft.answers {
            let started = self.live.values().find(|live| live.rollout.id == id);
            let started = started.map(|live| Arc::clone(&live.rollout));
            let _ = answer.send(started.ok_or(Refusal::NotPublished));
        }
        for stored in draft.stored {
            let _ = stored.send(());
        }
        if !changes.heard.is_empty() {
            self.news.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Brings the board up to date.
    fn show(&self) {
        let assignments: BTreeMap<_, _> = self
            .told
            .iter()
            .map(|(host, (rollout, release))| {
                let pending = self.live.get(&release.role).is_some_and(|live| {
                    live.rollout.id == *rollout && live.rollout.is_pending(host)
                });
                let (rollout, release) = (rollout.clone(), release.clone());
                (host.clone(), Assignment { rollout, release, pending })
            })
            .collect();
        self.board.write(|board| {
            board.newest = self
                .live
                .iter()
                .map(|(role, live)| (role.clone(), live.shown.subscribe()))
                .collect();
            board.assignments = assignments;
        });
    }

    /// Hands each connected host's stream what it should be told from now on.
    fn hand_out(&mut self, here: &BTreeMap<HostId, Here>) {
        self.handed.retain(|host, _| here.contains_key(host));
        let wanted: Vec<_> = self.board.read(|board| {
            here.iter()
                .map(|(host, here)| {
                    let pending = board.assignments.get(host).filter(|order| order.pending);
                    (host.clone(), (here.stream, pending.cloned()))
                })
                .filter(|(host, wanted)| self.handed.get(host) != Some(wanted))
                .collect()
        });
        for (host, (stream, assignment)) in wanted {
            let order = assignment.as_ref().and_then(|assignment| {
                let live = self.live.get(&assignment.release.role)?;
                let (envelope, retry) = (Arc::clone(&live.envelope), live.rollout.retry);
                Some(Order { assignment: assignment.clone(), envelope, retry })
            });
            self.hosts.order(&host, order);
            self.handed.insert(host, (stream, assignment));
        }
    }
}

/// How much that was said is taken in together.
const BATCH: usize = 256;

/// How long to wait after the store failed.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
