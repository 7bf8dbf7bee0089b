//! What others can ask and say of rollouts. Questions about the present are answered
//! from memory; everything that changes something goes to the one task that owns
//! them ([`super::drive`]), through a bounded queue that makes fast talkers wait.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use floe_proto::id::{Epoch, HostId, Role, RolloutId, Serial};
use futures_util::stream::{self, Stream};
use tokio::sync::{mpsc, oneshot, watch};

use super::ports::Records;
use super::state::{Assignment, Heard, Rollout};

/// How many things may be said before who says more has to wait.
pub(super) const QUEUE: usize = 1024;

/// The handle to all rollouts. Cheap to clone.
#[derive(Debug)]
pub struct Rollouts<R> {
    pub(super) records: R,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) board: Arc<Board>,
    pub(super) news: watch::Receiver<u64>,
}

impl<R: Clone> Clone for Rollouts<R> {
    fn clone(&self) -> Self {
        let Self { records, events, board, news } = self;
        Self {
            records: records.clone(),
            events: events.clone(),
            board: Arc::clone(board),
            news: news.clone(),
        }
    }
}

impl<R: Records> Rollouts<R> {
    /// Starts to take a published manifest to its role's hosts. A rollout of the role
    /// that runs is superseded. With `retry` hosts try it again that went back from it
    /// before. Returns once this is on record.
    pub async fn start(
        &self,
        role: Role,
        epoch: Epoch,
        serial: Serial,
        retry: bool,
    ) -> Result<Arc<Rollout>, Error<R::Error>> {
        let (answer, answered) = oneshot::channel();
        let event = Event::Start { role: role.clone(), epoch, serial, retry, answer };
        self.events.send(event).await.map_err(|_| Error::Closed)?;
        match answered.await {
            Ok(Ok(rollout)) => Ok(rollout),
            Ok(Err(Refusal::NotPublished)) => Err(Error::NotPublished { role, epoch, serial }),
            Ok(Err(Refusal::NotBelieved(why))) => {
                Err(Error::NotBelieved { role, epoch, serial, why })
            }
            Err(_) => Err(Error::Closed),
        }
    }

    /// One rollout as it stands.
    pub async fn show(&self, id: &RolloutId) -> Result<Option<Arc<Rollout>>, Error<R::Error>> {
        if let Some(live) = self.board.live(id) {
            return Ok(Some(Arc::clone(&live.borrow())));
        }
        Ok(self.records.rollout(id).await.map_err(Error::Records)?.map(Arc::new))
    }

    /// The role's newest rollout.
    pub fn newest(&self, role: &Role) -> Option<Arc<Rollout>> {
        let newest = self.board.read(|shown| shown.newest.get(role).cloned())?;
        let rollout = Arc::clone(&newest.borrow());
        Some(rollout)
    }

    /// The rollout now and whenever it changes, until it has ended. Who reads slowly
    /// misses steps in between, never the last.
    pub async fn watch(
        &self,
        id: &RolloutId,
    ) -> Result<Option<impl Stream<Item = Arc<Rollout>> + Send + use<R>>, Error<R::Error>> {
        let receiver = match self.board.live(id) {
            Some(live) => live,
            None => match self.records.rollout(id).await.map_err(Error::Records)? {
                Some(old) => watch::channel(Arc::new(old)).1,
                None => return Ok(None),
            },
        };
        Ok(Some(until_ended(receiver)))
    }

    /// What the host was told last, and whether it still should run it.
    pub fn assignment(&self, host: &HostId) -> Option<Assignment> {
        self.board.read(|shown| shown.assignments.get(host).cloned())
    }

    /// Changes whenever something that a host said was stored.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }

    /// Takes in what a host said. The answer resolves once it is stored, so that an
    /// outcome can be acknowledged; it fails where it could not be, and the host has
    /// to say an outcome again.
    pub async fn hear(&self, heard: Heard) -> Result<oneshot::Receiver<()>, Error<R::Error>> {
        let (stored, answer) = oneshot::channel();
        let event = Event::Heard { heard: Arc::new(heard), stored };
        self.events.send(event).await.map_err(|_| Error::Closed)?;
        Ok(answer)
    }
}

/// What the owner of all rollouts is told.
#[derive(Debug)]
pub(super) enum Event {
    /// An operator starts a rollout.
    Start {
        role: Role,
        epoch: Epoch,
        serial: Serial,
        retry: bool,
        answer: oneshot::Sender<Started>,
    },
    /// A host said something.
    Heard { heard: Arc<Heard>, stored: oneshot::Sender<()> },
}

/// What came of starting a rollout.
pub(super) type Started = Result<Arc<Rollout>, Refusal>;

/// Why a rollout was not started.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such published manifest.
    NotPublished,
    /// No host would believe it, because of this.
    NotBelieved(String),
}

/// What the owner shows to everybody.
#[derive(Debug, Default)]
pub(super) struct Board(RwLock<Shown>);

#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) newest: BTreeMap<Role, watch::Receiver<Arc<Rollout>>>,
    pub(super) assignments: BTreeMap<HostId, Assignment>,
}

impl Board {
    pub(super) fn read<T>(&self, look: impl FnOnce(&Shown) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Shown) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn live(&self, id: &RolloutId) -> Option<watch::Receiver<Arc<Rollout>>> {
        self.read(|shown| shown.newest.values().find(|live| live.borrow().id == *id).cloned())
    }
}

fn until_ended(receiver: watch::Receiver<Arc<Rollout>>) -> impl Stream<Item = Arc<Rollout>> + Send {
    stream::unfold((receiver, true, false), |(mut receiver, first, over)| async move {
        if over || (!first && receiver.changed().await.is_err()) {
            return None;
        }
        let rollout = Arc::clone(&receiver.borrow_and_update());
        let over = rollout.ended.is_some();
        Some((rollout, (receiver, false, over)))
    })
}

/// Why a question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error<E: std::error::Error + 'static> {
    /// There is nothing to roll out.
    #[error("no manifest of role `{role}` with epoch {epoch} and serial {serial} is published")]
    NotPublished {
        /// The role.
        role: Role,
        /// With `serial`: what was asked for.
        epoch: Epoch,
        /// Its number.
        serial: Serial,
    },
    /// No host would believe it.
    #[error("no host would take serial {serial} (epoch {epoch}) of role `{role}`: {why}")]
    NotBelieved {
        /// The role.
        role: Role,
        /// With `serial`: what was asked for.
        epoch: Epoch,
        /// Its number.
        serial: Serial,
        /// The trust root's objection.
        why: String,
    },
    /// The control plane is shutting down, or could not store the change.
    #[error("the control plane could not take the change; nothing was done")]
    Closed,
    /// The records could not be read.
    #[error("the records of rollouts could not be read")]
    Records(#[source] E),
}

impl<E: std::error::Error + 'static> Error<E> {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotPublished { .. } => "publish it first with `floe push --no-rollout`",
            Self::NotBelieved { .. } => "push again, with the newest trust root in the repository",
            Self::Closed | Self::Records(_) => "look at the log of `floe serve`, and try again",
        }
    }
}
