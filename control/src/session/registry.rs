//! Live streams, at most one for each host: a newer one ends the older.
//!
//! What a host should run is a value that its stream watches, not a queue: whoever
//! is slow finds the newest order and nothing else.

mod seat;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_proto::id::{HostId, Role};
pub use seat::Seat;
use tokio::sync::{Notify, oneshot, watch};
use tonic::Status;

use super::presence::Presence;
use super::preview::Question;
use super::processes::{Processes, Sign};
use crate::enrol::issuers::IssuerNumber;
use crate::rollout::ports::{Clock, Here, Hosts, Order};
use crate::rollout::state::{Confirmed, Suspended};

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
    /// Whether it begins nothing new.
    pub suspended: Option<Suspended>,
    /// Which process of which machine speaks; empty where it does not say.
    pub process: String,
}

/// A moment, before which a host was found on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Who signs certificates now, and over how long hosts spread their renewals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signer {
    /// Which issuer.
    pub issuer: IssuerNumber,
    /// In seconds.
    pub within_seconds: u32,
}

impl Sessions {
    /// Nobody is connected.
    pub fn new(clock: Clock) -> Self {
        let shared = Shared {
            clock,
            table: Mutex::new(Table::default()),
            changed: Notify::new(),
            news: Notify::new(),
            alarm: Notify::new(),
            signer: watch::Sender::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// To be taken before a host is looked up, and shown when it opens its stream.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.table().streams)
    }

    /// A host opened a stream. An older one of the same host is ended with ABORTED, and
    /// this one at once if the host was ended since `ticket`.
    ///
    /// Where its processes show that there are two machines, the host is in conflict from
    /// then on.
    pub fn open(&self, host: HostId, role: Role, greeting: Greeting, ticket: Ticket) -> Seat {
        let (orders, wanted) = watch::channel(None);
        let (questions, asked) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let now = (self.shared.clock)();
        let mut table = self.table();
        table.streams = table.streams.wrapping_add(1);
        let stream = table.streams;
        let live = Live { role, stream, orders, questions, end };
        if let Some(older) = table.live.insert(host.clone(), live) {
            let _ = older.end.send(Status::aborted("a newer stream of this host took over"));
        }
        if table.ended.get(&host).is_some_and(|ended| *ended > ticket)
            && let Some(live) = table.live.remove(&host)
        {
            let _ = live.end.send(Status::unavailable("the host was ended meanwhile; ask again"));
        }
        if table.closed
            && let Some(live) = table.live.remove(&host)
        {
            let _ = live.end.send(going_away());
        }
        let Greeting { agent_version, system, running, confirmed, suspended, process } = greeting;
        if let Some(sign) = table.processes.entry(host.clone()).or_default().hear(process, now)
            && table.conflicts.insert(host.clone())
        {
            table.alarms.insert(host.clone(), sign);
            self.shared.alarm.notify_one();
        }
        let presence = Presence {
            online: true,
            last_seen: now,
            agent_version,
            system,
            running,
            confirmed,
            suspended,
        };
        table.presence.insert(host.clone(), presence);
        table.news.insert(host.clone());
        drop(table);
        self.shared.changed.notify_one();
        self.shared.news.notify_one();
        Seat { sessions: self.clone(), host, stream, wanted, asked, ended }
    }

    /// What is known of a host since this process began.
    pub fn presence(&self, host: &HostId) -> Option<Presence> {
        self.table().presence.get(host).cloned()
    }

    /// Ends a host's stream, if there is one, with this status.
    pub fn end(&self, host: &HostId, status: Status) {
        let mut table = self.table();
        table.streams = table.streams.wrapping_add(1);
        let now = Ticket(table.streams);
        table.ended.insert(host.clone(), now);
        let live = table.live.remove(host);
        drop(table);
        if let Some(live) = live {
            let _ = live.end.send(status);
            self.shared.changed.notify_one();
        }
    }

    /// Two machines have the identity of this host: it gets no orders until that is
    /// resolved.
    pub fn quarantine(&self, host: &HostId) {
        self.table().conflicts.insert(host.clone());
        self.shared.changed.notify_one();
    }

    /// This host waits until an operator has seen what would change on it: it can be asked that,
    /// and is told nothing.
    pub fn hold(&self, host: &HostId) {
        self.table().held.insert(host.clone());
        self.shared.changed.notify_one();
    }

    /// An operator has said yes: the host is told what it should run.
    pub fn release(&self, host: &HostId) {
        self.table().held.remove(host);
        self.shared.changed.notify_one();
    }

    /// One of the two is gone: the host gets orders again.
    pub fn resolve(&self, host: &HostId) {
        let mut table = self.table();
        table.conflicts.remove(host);
        table.alarms.remove(host);
        table.processes.remove(host);
        drop(table);
        self.shared.changed.notify_one();
    }

    /// The hosts of `role` that can be asked something now, by id: those that are here, are one
    /// machine each, and were not suspended.
    pub fn ready(&self, role: &Role) -> Vec<HostId> {
        let here = self.here().into_iter();
        let ready = here.filter(|(_, here)| here.role == *role && here.suspended.is_none());
        ready.map(|(host, _)| host).collect()
    }

    /// Takes the question `id` to `host` back: nobody waits any more.
    pub fn unask(&self, host: &HostId, id: &str) {
        if let Some(live) = self.table().live.get(host) {
            live.questions.send_if_modified(|asked| asked.take_if(|it| it.id == id).is_some());
        }
    }

    /// Asks `host` something, in place of what it was asked before; `false` where it is not
    /// here.
    pub fn ask(&self, host: &HostId, question: Arc<Question>) -> bool {
        let table = self.table();
        let Some(live) = table.live.get(host) else { return false };
        live.questions.send_replace(Some(question));
        true
    }

    /// Tells all hosts, and those that come, who signs now. How many are here.
    pub fn renew_from(&self, signer: Signer) -> usize {
        self.shared.signer.send_replace(signer);
        self.table().live.len()
    }

    /// Who signs now, as it changes.
    pub fn signer(&self) -> watch::Receiver<Signer> {
        self.shared.signer.subscribe()
    }

    /// Waits until two machines with one identity were seen, and how, that nobody wrote
    /// down.
    pub(super) async fn alarm(&self) -> (HostId, Sign) {
        loop {
            if let Some((host, sign)) = self.table().alarms.first_key_value() {
                return (host.clone(), *sign);
            }
            self.shared.alarm.notified().await;
        }
    }

    /// It is written down.
    pub(super) fn alarm_is_written(&self, host: &HostId) {
        self.table().alarms.remove(host);
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
            let presence = table.presence.get(host);
            let confirmed = presence.and_then(|presence| presence.confirmed);
            let suspended = presence.and_then(|presence| presence.suspended.clone());
            let (role, stream, held) = (live.role.clone(), live.stream, table.held.contains(host));
            let here = Here { role, confirmed, suspended, held, stream };
            (host.clone(), here)
        };
        // Whoever is in conflict counts as away.
        let told = |(host, _): &(&HostId, &Live)| !table.conflicts.contains(*host);
        table.live.iter().filter(told).map(here).collect()
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

struct Shared {
    clock: Clock,
    table: Mutex<Table>,
    /// For the one owner of rollouts: who is connected changed.
    changed: Notify,
    /// For the one writer of presence: somebody said something.
    news: Notify,
    /// For the one writer of conflicts.
    alarm: Notify,
    signer: watch::Sender<Signer>,
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
    /// When hosts were ended.
    ended: BTreeMap<HostId, Ticket>,
    processes: BTreeMap<HostId, Processes>,
    /// Whose identity two machines have.
    conflicts: BTreeSet<HostId>,
    /// Of those, whose is not written down yet.
    alarms: BTreeMap<HostId, Sign>,
    /// Who waits until an operator has seen what would change.
    held: BTreeSet<HostId>,
}

impl Table {
    fn may_be_told(&self, host: &HostId) -> bool {
        !self.conflicts.contains(host) && !self.held.contains(host)
    }
}

struct Live {
    role: Role,
    stream: u64,
    orders: watch::Sender<Option<Order>>,
    questions: watch::Sender<Option<Arc<Question>>>,
    end: oneshot::Sender<Status>,
}

fn going_away() -> Status {
    Status::unavailable("the control plane is going away")
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
