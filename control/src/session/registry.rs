//! Live streams, at most one for each host: a newer one ends the older.
//!
//! What a host should run is a value that its stream watches, not a queue: whoever
//! is slow finds the newest order and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_proto::id::{HostId, Role};
use tokio::sync::{Notify, oneshot, watch};
use tonic::Status;

use super::presence::Presence;
use crate::rollout::ports::{Clock, Here, Hosts, Order};
use crate::rollout::state::Confirmed;

/// The agents that are connected now, and what all said last. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

/// What a host says when it opens its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Version of its agent.
    pub agent_version: String,
    /// The Nix system of the machine.
    pub system: String,
    /// The toplevel that runs.
    pub running: String,
    /// What it has confirmed; `None` before the first.
    pub confirmed: Option<Confirmed>,
}

impl Sessions {
    /// Nobody is connected.
    pub fn new(clock: Clock) -> Self {
        let shared = Shared {
            clock,
            table: Mutex::new(Table::default()),
            changed: Notify::new(),
            news: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A host opened a stream. An older one of the same host is ended with ABORTED.
    pub fn open(&self, host: HostId, role: Role, greeting: Greeting) -> Seat {
        let (orders, wanted) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let now = (self.shared.clock)();
        let mut table = self.table();
        table.streams = table.streams.wrapping_add(1);
        let stream = table.streams;
        let live = Live { role, stream, orders, end };
        if let Some(older) = table.live.insert(host.clone(), live) {
            let _ = older.end.send(Status::aborted("a newer stream of this host took over"));
        }
        if table.closed
            && let Some(live) = table.live.remove(&host)
        {
            let _ = live.end.send(going_away());
        }
        let Greeting { agent_version, system, running, confirmed } = greeting;
        let presence =
            Presence { online: true, last_seen: now, agent_version, system, running, confirmed };
        table.presence.insert(host.clone(), presence);
        table.news.insert(host.clone());
        drop(table);
        self.shared.changed.notify_one();
        self.shared.news.notify_one();
        Seat { sessions: self.clone(), host, stream, wanted, ended }
    }

    /// What is known of a host since this process began.
    pub fn presence(&self, host: &HostId) -> Option<Presence> {
        self.table().presence.get(host).cloned()
    }

    /// Ends a host's stream, if there is one, with this status.
    pub fn end(&self, host: &HostId, status: Status) {
        let live = self.table().live.remove(host);
        if let Some(live) = live {
            let _ = live.end.send(status);
            self.shared.changed.notify_one();
        }
    }

    /// Ends all streams, and every new one at once, with UNAVAILABLE: the control
    /// plane is going away.
    pub fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        for live in std::mem::take(&mut table.live).into_values() {
            let _ = live.end.send(going_away());
        }
    }

    /// Waits until a host has said something that is not written down.
    pub(super) async fn has_news(&self) {
        while self.table().news.is_empty() {
            self.shared.news.notified().await;
        }
    }

    /// What is not written down yet.
    pub(super) fn take_news(&self) -> Vec<(HostId, Presence)> {
        let mut table = self.table();
        let news = std::mem::take(&mut table.news);
        let presence = &table.presence;
        news.into_iter()
            .filter_map(|host| presence.get(&host).cloned().map(|presence| (host, presence)))
            .collect()
    }

    /// These could not be written down after all. Tried again with the next news.
    pub(super) fn put_back(&self, hosts: impl Iterator<Item = HostId>) {
        self.table().news.extend(hosts);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts for Sessions {
    fn here(&self) -> BTreeMap<HostId, Here> {
        let table = self.table();
        let here = |(host, live): (&HostId, &Live)| {
            let confirmed = table.presence.get(host).and_then(|presence| presence.confirmed);
            let here = Here { role: live.role.clone(), confirmed, stream: live.stream };
            (host.clone(), here)
        };
        table.live.iter().map(here).collect()
    }

    async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    fn order(&self, host: &HostId, order: Option<Order>) {
        if let Some(live) = self.table().live.get(host) {
            live.orders.send_replace(order);
        }
    }
}

/// One host's open stream; the host is gone when this is dropped.
pub struct Seat {
    sessions: Sessions,
    host: HostId,
    stream: u64,
    /// What the host should run; only the newest counts.
    pub wanted: watch::Receiver<Option<Order>>,
    /// Resolves when the stream must end, and says why.
    pub ended: oneshot::Receiver<Status>,
}

impl Seat {
    /// Whose.
    pub fn host(&self) -> &HostId {
        &self.host
    }

    /// The host said something.
    pub fn is_heard(&self) {
        self.say(|_| {});
    }

    /// The host runs this now.
    pub fn runs(&self, running: String) {
        self.say(|presence| presence.running = running);
    }

    /// The host has confirmed this; it never goes below what it confirmed before.
    pub fn confirms(&self, confirmed: Confirmed) {
        let above =
            |last: &Confirmed| (last.epoch, last.serial) < (confirmed.epoch, confirmed.serial);
        self.say(|presence| {
            if presence.confirmed.as_ref().is_none_or(above) {
                presence.confirmed = Some(confirmed);
            }
        });
        self.sessions.shared.changed.notify_one();
    }

    /// What it has confirmed.
    pub fn confirmed(&self) -> Option<Confirmed> {
        self.sessions.table().presence.get(&self.host).and_then(|presence| presence.confirmed)
    }

    /// Only for the stream that counts; an older one of the host changes nothing.
    fn say(&self, change: impl FnOnce(&mut Presence)) {
        let now = (self.sessions.shared.clock)();
        let mut table = self.sessions.table();
        let current = table.live.get(&self.host).is_some_and(|live| live.stream == self.stream);
        if let (true, Some(presence)) = (current, table.presence.get_mut(&self.host)) {
            presence.last_seen = now;
            change(presence);
            table.news.insert(self.host.clone());
            drop(table);
            self.sessions.shared.news.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        // `end` and `close` take the stream away before its seat is dropped.
        let replaced = table.live.get(&self.host).is_some_and(|live| live.stream != self.stream);
        if replaced {
            return;
        }
        table.live.remove(&self.host);
        if let Some(presence) = table.presence.get_mut(&self.host) {
            presence.online = false;
        }
        table.news.insert(self.host.clone());
        drop(table);
        self.sessions.shared.changed.notify_one();
        self.sessions.shared.news.notify_one();
    }
}

struct Shared {
    clock: Clock,
    table: Mutex<Table>,
    /// For the one owner of rollouts: who is connected changed.
    changed: Notify,
    /// For the one writer of presence: somebody said something.
    news: Notify,
}

#[derive(Default)]
struct Table {
    live: BTreeMap<HostId, Live>,
    presence: BTreeMap<HostId, Presence>,
    /// Whose presence is not written down.
    news: BTreeSet<HostId>,
    /// The number of the newest stream.
    streams: u64,
    closed: bool,
}

struct Live {
    role: Role,
    stream: u64,
    orders: watch::Sender<Option<Order>>,
    end: oneshot::Sender<Status>,
}

fn going_away() -> Status {
    Status::unavailable("the control plane is going away")
}

#[cfg(test)]
mod tests {
    use floe_proto::time::Timestamp;

    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(|| Timestamp::from_micros(7))
    }

    fn open(sessions: &Sessions, host: &str) -> Seat {
        let greeting = Greeting {
            agent_version: "0.1.0".into(),
            system: "x86_64-linux".into(),
            running: String::new(),
            confirmed: None,
        };
        sessions.open(host.parse().unwrap(), "www".parse().unwrap(), greeting)
    }

    #[tokio::test]
    async fn a_newer_stream_ends_the_older_and_stays_when_that_is_gone() {
        let sessions = sessions();
        let mut older = open(&sessions, "local-a");
        let newer = open(&sessions, "local-a");
        let status = (&mut older.ended).await.unwrap();
        assert_eq!(status.code(), tonic::Code::Aborted);
        drop(older);
        assert!(sessions.presence(newer.host()).unwrap().online);
        assert_eq!(sessions.here().len(), 1);
        let host = newer.host().clone();
        drop(newer);
        assert!(!sessions.presence(&host).unwrap().online);
        assert!(sessions.here().is_empty());
    }

    #[tokio::test]
    async fn closing_ends_all_streams_and_every_new_one() {
        let sessions = sessions();
        let mut early = open(&sessions, "local-a");
        sessions.close();
        let mut late = open(&sessions, "local-b");
        assert_eq!((&mut early.ended).await.unwrap().code(), tonic::Code::Unavailable);
        assert_eq!((&mut late.ended).await.unwrap().code(), tonic::Code::Unavailable);
        drop((early, late));
        assert!(sessions.here().is_empty());
    }

    #[tokio::test]
    async fn a_stream_finds_the_newest_order_only() {
        let sessions = sessions();
        let mut seat = open(&sessions, "local-a");
        sessions.order(seat.host(), None);
        sessions.order(seat.host(), None);
        assert!(seat.wanted.has_changed().unwrap());
        seat.wanted.mark_unchanged();
        assert!(!seat.wanted.has_changed().unwrap());
    }

    #[tokio::test]
    async fn what_is_written_down_is_written_once() {
        let sessions = sessions();
        let seat = open(&sessions, "local-a");
        sessions.has_news().await;
        assert_eq!(sessions.take_news().len(), 1);
        assert!(sessions.take_news().is_empty());
        seat.is_heard();
        let news = sessions.take_news();
        assert_eq!(news[0].1.last_seen, Timestamp::from_micros(7));
        sessions.put_back(news.into_iter().map(|(host, _)| host));
        assert_eq!(sessions.take_news().len(), 1);
    }
}
