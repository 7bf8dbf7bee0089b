//! All versions of the trust root that the control plane knows, and the newest of them.
//!
//! Every version was verified as the successor of the one before, when it came and
//! again when it was read from the records; so a changed database can take versions
//! away and add none. The newest only rises. The control plane makes no version: it
//! is a messenger, and hosts verify each step again.

use std::sync::Arc;

use floe_proto::digest::Digest;
use floe_proto::id::Fleet;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

use crate::rollout::ports::Trust;

/// What survives a restart.
pub trait Records: Send + Sync {
    /// Why it could not be read or written.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Every version, oldest first.
    fn roots(&self) -> impl Future<Output = Result<Vec<RootRecord>, Self::Error>> + Send;

    /// Adds a version; `false` where that version is on record already.
    fn add_root(
        &self,
        record: &RootRecord,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// One version as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRecord {
    /// Its number.
    pub version: u32,
    /// SHA-256 of the signed bytes.
    pub digest: Digest,
    /// The DSSE envelope as it was handed in.
    pub envelope: Vec<u8>,
    /// Who handed it in; empty for the repository's `trust.json`.
    pub publisher: String,
    /// When.
    pub published: Timestamp,
}

/// One version that was verified.
#[derive(Debug)]
pub struct Version {
    /// What it says.
    pub root: Verified<Root>,
    /// How it came, and what hosts are sent.
    pub record: RootRecord,
}

/// The handle to all versions. Cheap to clone; each clone waits for changes by itself.
#[derive(Clone, Debug)]
pub struct Roots {
    known: watch::Receiver<Known>,
    /// Held while a version is added: one after the other.
    writer: Arc<Mutex<watch::Sender<Known>>>,
}

/// There is always a newest.
#[derive(Clone, Debug)]
struct Known {
    older: Arc<[Arc<Version>]>,
    newest: Arc<Version>,
}

impl Roots {
    /// Takes up what is on record, and what the operator's `trust.json` adds to it: the
    /// first version that is ever seen, or the direct successor of the newest. An older
    /// file changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error`]: the file or a record is not to be believed, of another fleet, or the
    /// file and the records are not of one line.
    pub async fn open<R: Records>(
        records: &R,
        fleet: &Fleet,
        file: &[u8],
        now: Timestamp,
    ) -> Result<Self, Error<R::Error>> {
        let pinned = pinned(fleet, file)?;
        let mut recorded = records.roots().await.map_err(Error::Records)?.into_iter();
        let known = match recorded.next() {
            Some(first) => recall(first, recorded)?,
            None => {
                let record = RootRecord {
                    version: pinned.version,
                    digest: pinned.digest(),
                    envelope: file.to_vec(),
                    publisher: String::new(),
                    published: now,
                };
                if record.version > 1 {
                    warn!(
                        version = record.version,
                        "earlier versions of the trust root are not on record; hosts that still \
                         believe one cannot be brought further"
                    );
                }
                records.add_root(&record).await.map_err(Error::Records)?;
                let newest = Arc::new(Version { root: pinned.clone(), record });
                Known { older: Arc::default(), newest }
            }
        };
        let (sender, known) = watch::channel(known);
        let roots = Self { known, writer: Arc::new(Mutex::new(sender)) };
        roots.compare(records, file, &pinned, now).await?;
        let newest = roots.newest();
        info!(version = newest.root.version, "believing the trust root");
        if now >= newest.root.expires {
            warn!(expired = %newest.root.expires,
                "the trust root has expired: nothing can be pushed until its next version is published");
        }
        Ok(roots)
    }

    /// The newest version.
    pub fn newest(&self) -> Arc<Version> {
        Arc::clone(&self.known.borrow().newest)
    }

    /// Every version above `version`, oldest first.
    pub fn after(&self, version: u32) -> Vec<Arc<Version>> {
        let known = self.known.borrow();
        let all = known.older.iter().chain([&known.newest]);
        all.filter(|known| known.root.version > version).map(Arc::clone).collect()
    }

    /// The version that follows `version`, if that one is known.
    pub fn next(&self, version: u32) -> Option<Arc<Version>> {
        let known = self.known.borrow();
        let mut all = known.older.iter().chain([&known.newest]);
        all.find(|known| Some(known.root.version) == version.checked_add(1)).map(Arc::clone)
    }

    /// Waits until there is a newer version than at the last call of this clone.
    pub async fn changed(&mut self) {
        if self.known.changed().await.is_err() {
            // Only a handle's owner can drop the sender, and it has a handle.
            std::future::pending::<()>().await;
        }
    }

    /// Takes the next version on record, verified; from then on it is the newest. A
    /// version that is on record already is no error, if it is the same document.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for what is no successor, [`Error::Forked`] for another
    /// document under a number that is taken, [`Error::Records`].
    pub async fn publish<R: Records>(
        &self,
        records: &R,
        envelope: Vec<u8>,
        publisher: String,
        now: Timestamp,
    ) -> Result<Arc<Version>, Error<R::Error>> {
        let writer = self.writer.lock().await;
        let newest = self.newest();
        let root = match verify::successor(&envelope, &newest.root) {
            Ok(root) => root,
            Err(refusal) => return self.is_known(&envelope).ok_or(Error::Refused(refusal)),
        };
        let record = RootRecord {
            version: root.version,
            digest: root.digest(),
            envelope,
            publisher,
            published: now,
        };
        if !records.add_root(&record).await.map_err(Error::Records)? {
            return Err(Error::Forked { version: root.version });
        }
        let added = Arc::new(Version { root, record });
        writer.send_modify(|known| {
            known.older = known.older.iter().chain([&known.newest]).map(Arc::clone).collect();
            known.newest = Arc::clone(&added);
        });
        Ok(added)
    }

    /// The version on record that is this very document, signed as it must be.
    fn is_known(&self, envelope: &[u8]) -> Option<Arc<Version>> {
        let offered = verify::pinned_root(envelope).ok()?;
        self.after(0).into_iter().find(|known| known.root.digest() == offered.digest())
    }

    /// Holds the operator's file against what is on record.
    async fn compare<R: Records>(
        &self,
        records: &R,
        file: &[u8],
        pinned: &Verified<Root>,
        now: Timestamp,
    ) -> Result<(), Error<R::Error>> {
        let newest = self.newest();
        let version = pinned.version;
        if version > newest.root.version {
            self.publish(records, file.to_vec(), String::new(), now).await?;
            info!(version, "took the next version of the trust root from trust.json");
            return Ok(());
        }
        match self.after(0).iter().find(|known| known.root.version == version) {
            Some(known) if known.root.digest() != pinned.digest() => {
                return Err(Error::Forked { version });
            }
            Some(_) if version == newest.root.version => {}
            Some(_) | None => warn!(
                version,
                newest = newest.root.version,
                "trust.json is older than the trust root on record, which is believed"
            ),
        }
        Ok(())
    }
}

/// The trust root in `file`, which must be that of `fleet`.
///
/// # Errors
///
/// [`Error::File`] where it is not signed by its own root keys, [`Error::OtherFleet`].
pub fn pinned<E: std::error::Error + 'static>(
    fleet: &Fleet,
    file: &[u8],
) -> Result<Verified<Root>, Error<E>> {
    let pinned = verify::pinned_root(file).map_err(Error::File)?;
    if pinned.fleet != *fleet {
        let (root, config) = (pinned.fleet.clone(), fleet.clone());
        return Err(Error::OtherFleet { config, root });
    }
    Ok(pinned)
}

impl Trust for Roots {
    fn version(&self) -> u32 {
        self.known.borrow().newest.root.version
    }

    fn objection(&self, envelope: &[u8], at: Option<Timestamp>) -> Option<String> {
        // Nothing has expired at the beginning of time.
        let at = at.unwrap_or_default();
        let newest = self.newest();
        let refusal = verify::manifest(envelope, &newest.root, at).err()?;
        Some(format!(
            "version {} of the trust root does not believe it: {refusal}",
            newest.root.version
        ))
    }

    async fn changed(&mut self) {
        Self::changed(self).await;
    }
}

/// Verifies what is on record, step by step.
fn recall<E: std::error::Error + 'static>(
    first: RootRecord,
    rest: impl Iterator<Item = RootRecord>,
) -> Result<Known, Error<E>> {
    let bad = |version| move |source| Error::Record { version, source };
    let root = verify::pinned_root(&first.envelope).map_err(bad(first.version))?;
    let mut newest = Arc::new(Version { root, record: first });
    let mut older = Vec::new();
    for record in rest {
        let root =
            verify::successor(&record.envelope, &newest.root).map_err(bad(record.version))?;
        older.push(std::mem::replace(&mut newest, Arc::new(Version { root, record })));
    }
    Ok(Known { older: older.into(), newest })
}

/// Why there is no trust root to believe, or why a version was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error<E: std::error::Error + 'static> {
    /// The operator's file is not to be believed.
    #[error("the fleet's trust root cannot be used")]
    File(#[source] verify::Error),
    /// Fleet and trust root do not belong together.
    #[error("the trust root is of the fleet `{root}`, not of `{config}`")]
    OtherFleet {
        /// The fleet that was to be served.
        config: Fleet,
        /// The trust root's.
        root: Fleet,
    },
    /// It does not follow the newest version.
    #[error("this cannot follow the trust root that is on record")]
    Refused(#[source] verify::Error),
    /// Two documents under one number: somebody signed twice.
    #[error("another version {version} of the trust root is on record")]
    Forked {
        /// The number.
        version: u32,
    },
    /// What is on record does not follow from its beginning.
    #[error("version {version} of the trust root on record is not to be believed")]
    Record {
        /// The number.
        version: u32,
        /// Why.
        #[source]
        source: verify::Error,
    },
    /// The records could not be read or written.
    #[error("the records of the trust root could not be used")]
    Records(#[source] E),
}

impl<E: std::error::Error + 'static> Error<E> {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::File(error) | Self::Refused(error) => error.advice(),
            Self::OtherFleet { .. } => "serve from the repository of the fleet that you mean",
            Self::Forked { .. } => {
                "find out who signed both: one of them is in no history of trust.json that you know"
            }
            Self::Record { .. } => "restore the data directory from a backup",
            Self::Records(_) => "look at the free space and the permissions of the data directory",
        }
    }
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
