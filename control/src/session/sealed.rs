//! Secrets on their way to hosts: sealed by an operator, or here, from the escrow.
//!
//! The control plane reads only what is sealed to its escrow key, and only to seal it to a host
//! that has come since. It cannot forge any of it: what is inside was signed.

use std::fmt::Debug;
use std::sync::Arc;

use floe_proto::id::{Epoch, Fleet, HostId, Role, Serial};
use floe_proto::sealed::{self, OpeningKey, Recipient, SealingKey, Who};
use floe_proto::time::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

/// Which secrets: order is (epoch, serial).
pub type Number = (Epoch, Serial);

/// The newest secrets of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Whose.
    pub role: Role,
    /// Which.
    pub number: Number,
    /// Sealed to the escrow key; `None` where it was not.
    pub escrow: Option<Vec<u8>>,
    /// How many secrets there are, as whoever published them said.
    pub count: u32,
    /// The operator who published them.
    pub publisher: String,
    /// When.
    pub published: Timestamp,
}

/// A role's secrets for one of its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForHost {
    /// Whose.
    pub host: HostId,
    /// The key that they are sealed to.
    pub key: SealingKey,
    /// Which.
    pub number: Number,
    /// The bytes.
    pub sealed: Vec<u8>,
}

/// What a host says of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSays {
    /// Its key.
    pub key: SealingKey,
    /// When it first said so.
    pub since: Timestamp,
    /// What it has.
    pub held: Option<Number>,
    /// Why it does not have what it was sent; empty where it has.
    pub problem: String,
}

/// What is remembered of secrets.
pub trait Records: Send + Sync + 'static {
    /// Why nothing could be remembered.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A host said its key, and what it has.
    fn note_recipient(
        &self,
        host: &HostId,
        key: &SealingKey,
        held: Option<Number>,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// What became of secrets that a host was sent.
    fn note_placed(
        &self,
        host: &HostId,
        held: Option<Number>,
        problem: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The newest secrets of `role`.
    fn published_secrets(
        &self,
        role: &Role,
    ) -> impl Future<Output = Result<Option<Published>, Self::Error>> + Send;

    /// Those of `role` that were sealed to `host`, whatever key it had then.
    fn sealed_for(
        &self,
        host: &HostId,
        role: &Role,
    ) -> impl Future<Output = Result<Option<ForHost>, Self::Error>> + Send;

    /// Keeps what was sealed to a host of `role`, unless something newer is there.
    fn keep_sealed(
        &self,
        role: &Role,
        sealed: &ForHost,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What hosts are to be sent. Cheap to clone.
#[derive(Debug)]
pub struct Sealed<R> {
    records: R,
    fleet: Fleet,
    escrow: Option<Arc<OpeningKey>>,
    news: Arc<watch::Sender<u64>>,
}

impl<R: Clone> Clone for Sealed<R> {
    fn clone(&self) -> Self {
        let Self { records, fleet, escrow, news } = self;
        let (records, fleet) = (records.clone(), fleet.clone());
        Self { records, fleet, escrow: escrow.clone(), news: Arc::clone(news) }
    }
}

impl<R: Records> Sealed<R> {
    /// What `records` has; `escrow` seals it to those who come later.
    pub fn new(records: R, fleet: Fleet, escrow: Option<OpeningKey>) -> Self {
        let news = Arc::new(watch::Sender::new(0));
        Self { records, fleet, escrow: escrow.map(Arc::new), news }
    }

    /// The key of the escrow; `None` where there is none.
    pub fn escrow_key(&self) -> Option<SealingKey> {
        self.escrow.as_ref().map(|key| key.public())
    }

    /// Something was published.
    pub fn are_published(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes whenever something was published.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// A host said its key, and what it has.
    ///
    /// # Errors
    ///
    /// Where that could not be remembered.
    pub async fn hear(
        &self,
        host: &HostId,
        key: &SealingKey,
        held: Option<Number>,
        now: Timestamp,
    ) -> Result<(), R::Error> {
        self.records.note_recipient(host, key, held, now).await
    }

    /// What became of what `host` was sent.
    ///
    /// # Errors
    ///
    /// Where that could not be remembered.
    pub async fn placed(
        &self,
        host: &HostId,
        held: Option<Number>,
        problem: &str,
    ) -> Result<(), R::Error> {
        self.records.note_placed(host, held, problem).await
    }

    /// What `host` is to be sent, which has `held` and the key `key`.
    ///
    /// # Errors
    ///
    /// Where the records cannot be read or written.
    pub async fn due(
        &self,
        host: &HostId,
        role: &Role,
        key: &SealingKey,
        held: Option<Number>,
    ) -> Result<Option<Vec<u8>>, R::Error> {
        let Some(published) = self.records.published_secrets(role).await? else { return Ok(None) };
        if held.is_some_and(|held| held >= published.number) {
            return Ok(None);
        }
        let kept = self.records.sealed_for(host, role).await?;
        let kept = kept.filter(|kept| kept.key == *key && kept.number == published.number);
        if let Some(kept) = kept {
            return Ok(Some(kept.sealed));
        }
        let Some(sealed) = self.reseal(host, &published, key) else { return Ok(None) };
        let number = published.number;
        let sealed = ForHost { host: host.clone(), key: *key, number, sealed };
        self.records.keep_sealed(role, &sealed).await?;
        info!(%host, %role, serial = number.1.get(), "sealed secrets from the escrow to a host");
        Ok(Some(sealed.sealed))
    }

    /// What is in escrow, sealed to a host; `None` where nothing is, or cannot be opened.
    fn reseal(&self, host: &HostId, published: &Published, key: &SealingKey) -> Option<Vec<u8>> {
        let (escrow, sealed) = (self.escrow.as_ref()?, published.escrow.as_ref()?);
        let (fleet, role) = (&self.fleet, &published.role);
        let opened = sealed::open(sealed, escrow, Recipient { fleet, role, who: Who::Escrow });
        let to = Recipient { fleet, role, who: Who::Host(host) };
        match opened.and_then(|plain| sealed::seal(&plain, key, to)) {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                warn!(%error, %host, %role, "could not seal secrets from the escrow to a host");
                None
            }
        }
    }
}
