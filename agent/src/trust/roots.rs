//! What is believed, and what may follow it.
//!
//! Whether a document follows is [`verify::successor`]'s to say; the order of things is
//! here: judged, on the disk, and only then in force. Where the disk does not take it, it
//! is not in force either: nothing could be activated then, since the journal lies there too.

use std::io;
use std::path::{Path, PathBuf};

use floe_proto::id::Fleet;
use floe_proto::root::Root;
use floe_proto::verify::{self, Verified};
use log::{error, info, warn};
use tokio::sync::watch;

use super::store::{Kept, Store};
use crate::activation::door::Believed;
use crate::telemetry::Chain;

/// The trust root of this host, as it goes on. One for each process that runs hosts'
/// activations; only the session offers successors.
#[derive(Debug)]
pub struct Roots {
    store: Store,
    believed: watch::Sender<Believed>,
}

impl Roots {
    /// Goes on from what is stored in `state_directory`; `pinned` is the envelope that the
    /// image has, which begins the walk or is offered as a successor.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn begin(state_directory: &Path, fleet: &Fleet, pinned: &[u8]) -> Result<Self, Error> {
        let store = Store::new(state_directory);
        let Beginning { believed, from_image } = beginning(&store, fleet, pinned)?;
        if from_image && let Err(error) = store.save(believed.root.version, pinned) {
            // It is the same at the next start, so nothing is lost that was believed.
            warn!("could not keep the image's trust root: {error}");
        }
        let version = believed.root.version;
        info!("version {version} of the trust root decides, until {}", believed.root.expires);
        Ok(Self { store, believed: watch::Sender::new(believed) })
    }

    /// What is believed, from now on.
    pub fn believed(&self) -> watch::Receiver<Believed> {
        self.believed.subscribe()
    }

    /// The version whose successor is looked for.
    pub fn version(&self) -> u32 {
        self.believed.borrow().root.version
    }

    /// Takes the next version, and says which it is.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] and [`Error::Unwritten`]; then all is as before.
    pub fn offer(&self, envelope: &[u8]) -> Result<u32, Error> {
        let current = self.believed.borrow().clone();
        let root = verify::successor(envelope, &current.root).map_err(Error::Refused)?;
        let version = root.version;
        self.store.save(version, envelope).map_err(|source| self.unwritten(source))?;
        info!("version {version} of the trust root is believed from now on");
        let at_least = current.at_least.max(version);
        self.believed.send_replace(Believed { root, at_least });
        Ok(version)
    }

    fn unwritten(&self, source: io::Error) -> Error {
        Error::Unwritten { directory: self.store.directory().to_owned(), source }
    }
}

/// What [`Roots::begin`] would believe. Changes nothing.
///
/// # Errors
///
/// [`Error`].
pub fn look(state_directory: &Path, fleet: &Fleet, pinned: &[u8]) -> Result<Believed, Error> {
    beginning(&Store::new(state_directory), fleet, pinned).map(|beginning| beginning.believed)
}

struct Beginning {
    believed: Believed,
    /// It is not on the disk yet.
    from_image: bool,
}

fn beginning(store: &Store, fleet: &Fleet, envelope: &[u8]) -> Result<Beginning, Error> {
    let pinned = of_fleet(verify::pinned_root(envelope).map_err(Error::Pinned)?, fleet)?;
    let Kept { newest, version } = store
        .load()
        .map_err(|source| Error::Unreadable { directory: store.directory().to_owned(), source })?;
    let Some(kept) = newest else {
        let at_least = version.max(pinned.version);
        let from_image = pinned.version == at_least;
        if !from_image {
            error!("nothing new runs here until version {at_least} of the trust root comes again");
        }
        return Ok(Beginning { believed: Believed { root: pinned, at_least }, from_image });
    };
    let kept = of_fleet(kept, fleet)?;
    match verify::successor(envelope, &kept) {
        Ok(root) => {
            let at_least = version.max(root.version);
            return Ok(Beginning { believed: Believed { root, at_least }, from_image: true });
        }
        Err(why) if pinned.version > kept.version => {
            let (ours, theirs) = (kept.version, pinned.version);
            warn!(
                "the image has version {theirs} of the trust root, which does not follow {ours} here: {}",
                Chain(&why)
            );
        }
        Err(_) if pinned.version == kept.version && pinned.digest() != kept.digest() => {
            let version = kept.version;
            error!("the image has another version {version} of the trust root than this host");
        }
        // The walk has come further than the image, or nothing has changed.
        Err(_) => {}
    }
    Ok(Beginning { believed: Believed { root: kept, at_least: version }, from_image: false })
}

fn of_fleet(root: Verified<Root>, fleet: &Fleet) -> Result<Verified<Root>, Error> {
    if root.fleet == *fleet {
        Ok(root)
    } else {
        Err(Error::OtherFleet { ours: fleet.clone(), root: root.fleet.clone() })
    }
}

/// Why a trust root is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image's is none.
    #[error("the trust root of the image was refused")]
    Pinned(#[source] verify::Error),
    /// Configuration and trust root disagree.
    #[error(
        "this machine is configured for the fleet `{ours}`, but its trust root governs `{root}`"
    )]
    OtherFleet {
        /// By the configuration.
        ours: Fleet,
        /// By the trust root.
        root: Fleet,
    },
    /// What was offered does not follow.
    #[error("the next trust root was refused")]
    Refused(#[source] verify::Error),
    /// The disk does not say what was believed.
    #[error("could not read the trust roots in `{}`", directory.display())]
    Unreadable {
        /// Where they are.
        directory: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The disk does not take it.
    #[error("could not store the next trust root in `{}`; it does not count yet", directory.display())]
    Unwritten {
        /// Where it should go.
        directory: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Pinned(_) => "restore trust.json from the fleet repository; trust no other copy",
            Self::OtherFleet { .. } => {
                "use the configuration and the trust root of one fleet; a machine that changes its fleet is set up anew"
            }
            Self::Refused(_) => {
                "publish the version that follows, signed as both versions demand, with `floe trust publish`"
            }
            Self::Unreadable { .. } => "look at the disk and at the permissions of the directory",
            Self::Unwritten { .. } => "free space or mend the disk; the agent asks again by itself",
        }
    }

    /// Whether trust said no, which no other try will change.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Pinned(_) | Self::OtherFleet { .. } | Self::Refused(_) => true,
            Self::Unreadable { .. } | Self::Unwritten { .. } => false,
        }
    }
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
