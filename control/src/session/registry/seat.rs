//! One host's open stream, as its conversation holds it.

use std::sync::Arc;

use floe_proto::id::HostId;
use floe_proto::pb::preview_news::News;
use tokio::sync::{oneshot, watch};
use tonic::Status;

use super::Sessions;
use crate::rollout::ports::Order;
use crate::rollout::state::{Confirmed, Suspended};
use crate::session::presence::Presence;
use crate::session::preview::Question;

/// One host's open stream; the host is gone when this is dropped.
pub struct Seat {
    pub(super) sessions: Sessions,
    pub(super) host: HostId,
    pub(super) stream: u64,
    /// What the host should run; only the newest counts.
    pub wanted: watch::Receiver<Option<Order>>,
    /// What somebody wants to know of the host; only the newest counts.
    pub asked: watch::Receiver<Option<Arc<Question>>>,
    /// Resolves when the stream must end, and says why.
    pub ended: oneshot::Receiver<Status>,
}

impl Seat {
    /// Whose.
    pub fn host(&self) -> &HostId {
        &self.host
    }

    /// Whether it is to be told what to run: not while two machines have its identity, or it
    /// waits for an operator's yes.
    pub fn may_be_told(&self) -> bool {
        self.sessions.table().may_be_told(&self.host)
    }

    /// Whether it may be asked something: not while two machines have its identity.
    pub fn may_be_asked(&self) -> bool {
        !self.sessions.table().conflicts.contains(&self.host)
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
        let above = |last: &Confirmed| {
            let (order, next) = ((last.epoch, last.serial), (confirmed.epoch, confirmed.serial));
            order < next || (order == next && last.reverted)
        };
        self.say(|presence| {
            if presence.confirmed.as_ref().is_none_or(above) {
                presence.confirmed = Some(confirmed);
            }
        });
        self.sessions.shared.changed.notify_one();
    }

    /// The host says whether it begins nothing new.
    pub fn suspends(&self, suspended: Option<Suspended>) {
        let mut news = false;
        self.say(|presence| {
            news = presence.suspended != suspended;
            presence.suspended = suspended;
        });
        if news {
            self.sessions.shared.changed.notify_one();
        }
    }

    /// The host says something of what it was asked under the name `id`; what it was not asked
    /// nobody hears.
    pub fn answers(&self, id: &str, news: News) {
        if let Some(question) = self.asked.borrow().as_ref().filter(|asked| asked.id == id) {
            question.answer(news);
        }
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
