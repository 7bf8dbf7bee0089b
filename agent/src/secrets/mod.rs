//! The secrets of this host: opened, verified, kept sealed on the disk, and placed in memory.
//!
//! ```text
//! session: sealed ─▶ accept ─▶ keep (disk, sealed) ─▶ place (/run/floe/secrets) ─▶ told (units)
//!                      │ key opens, release keys decide       ▲
//! boot: ───────────── keep ───────────────────────────────────┘   before users and services
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`key`] | the key that they are sealed to; it never leaves this machine |
//! | [`accept`] | whether what came is for this host, signed, and newer (pure) |
//! | [`keep`] | what is on the disk |
//! | [`place`] | the files, with their owners |
//! | [`told`] | the units that are to be told of a new value |
//!
//! Promises: nothing is placed that was not signed for this fleet and role; a set never goes back
//! to an older one; what is not in a set any more is gone from its place; each value is there as it
//! was or as it is to be, never half. No value is ever on a disk in the clear, nor in a log.

mod accept;
mod keep;
mod key;
mod place;
mod told;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_proto::id::{Fleet, HostId, Role, Serial};
use floe_proto::pb;
use floe_proto::sealed::SealingKey;
use floe_proto::time::Timestamp;
use floe_proto::verify;
use log::{error, info, warn};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

pub use accept::{Held, Refusal};
pub use keep::Error as KeepError;
pub use key::Error as KeyError;
pub use place::{Error as PlaceError, PLACE};
pub use told::{UNTOLD, Verb};

use keep::Kept;

use crate::activation::door::Believed;
use crate::telemetry::Chain;

/// Where all of it lies.
#[derive(Clone, Debug)]
pub struct Where {
    /// The state directory.
    pub state: PathBuf,
    /// Where files are placed: [`PLACE`].
    pub place: PathBuf,
    /// Where it is noted which units were not told yet: [`UNTOLD`].
    pub untold: PathBuf,
    /// Where the machine says which instance of EC2 it is: [`INSTANCE`].
    pub instance: PathBuf,
}

/// On Nitro, the instance id; elsewhere there is no such file, or something else in it.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html>
pub const INSTANCE: &str = "/sys/class/dmi/id/board_asset_tag";

/// The secrets of this host, for the agent that runs.
pub struct Secrets {
    at: Where,
    fleet: Fleet,
    role: Role,
    trust: watch::Receiver<Believed>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Who this machine is, once it is enrolled.
    host: Mutex<Option<HostId>>,
    /// Why what is kept is not in its place; empty where it is.
    problem: Mutex<String>,
    /// Units wait to be told, or something is not in its place.
    news: Notify,
}

/// How long until what could not be placed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

impl Secrets {
    /// Those of a host of `role`, judged by `trust` at the time of `clock`. Places what is kept.
    ///
    /// At boot that was done long ago; this is for a machine whose configuration does not do so
    /// yet.
    pub fn new(
        at: Where,
        fleet: Fleet,
        role: Role,
        trust: watch::Receiver<Believed>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let (host, problem, news) = (Mutex::new(None), Mutex::default(), Notify::new());
        let secrets = Self { at, fleet, role, trust, clock: Box::new(clock), host, problem, news };
        secrets.place_again();
        secrets
    }

    /// This machine is `host` from now on.
    pub fn belong_to(&self, host: &HostId) {
        *locked(&self.host) = Some(host.clone());
    }

    /// What the control plane is told at the beginning of a stream: the key that secrets are
    /// sealed to, and which are here. Where the disk has no key to use, nothing is asked for.
    pub fn greeting(&self) -> (Vec<u8>, Option<pb::SecretsHeld>) {
        match key::open_or_make(&self.at.state) {
            Ok(key) => (key.public().as_bytes().to_vec(), self.held().map(pb::SecretsHeld::from)),
            Err(error) => {
                error!("no secrets can come: {}", Chain(&error));
                (Vec::new(), None)
            }
        }
    }

    /// How it stands with what is kept; `None` where nothing is.
    pub fn standing(&self) -> Option<pb::SecretsPlaced> {
        let (held, problem) = (self.held(), locked(&self.problem).clone());
        let says_something = held.is_some() || !problem.is_empty();
        says_something.then(|| pb::SecretsPlaced { held: held.map(Into::into), problem })
    }

    /// What came from the control plane: taken, or left aside. Says what is here now, and why
    /// what came is not.
    pub fn offer(&self, sealed: &[u8]) -> pb::SecretsPlaced {
        let problem = match self.take(sealed) {
            Ok(held) => {
                info!(epoch = held.epoch.get(), serial = held.serial.get(); "secrets were placed");
                String::new()
            }
            Err(error) => {
                let told = Chain(&error).to_string();
                error!("{told}; {}", error.advice());
                // Kept already, so that it does not come again: it is tried again here.
                if matches!(error, Error::Place(_)) {
                    locked(&self.problem).clone_from(&told);
                }
                told
            }
        };
        self.news.notify_one();
        pb::SecretsPlaced { held: self.held().map(pb::SecretsHeld::from), problem }
    }

    fn take(&self, sealed: &[u8]) -> Result<Held, Error> {
        let host = locked(&self.host).clone().ok_or(Error::NotEnrolled)?;
        let _lock = place::lock(&self.at.place)?;
        let key = key::open_or_make(&self.at.state)?;
        let kept = match keep::read(&self.at.state) {
            // The numbers of another role say nothing here.
            Ok(kept) => kept.filter(|kept| kept.role == self.role),
            // What comes now takes its place; nobody but root could damage it.
            Err(error @ KeepError::Damaged { .. }) => {
                error!("{error}; what comes now is taken, however old");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let Believed { root, at_least } = self.trust.borrow().clone();
        if root.version < at_least {
            return Err(Refusal::DamagedRoot { version: at_least }.into());
        }
        let recipient = accept::recipient(&self.fleet, &self.role, &host);
        let envelope = accept::open(sealed, &key, recipient)?;
        let set = verify::secrets(&envelope, &root, (self.clock)()).map_err(Refusal::Unsigned)?;
        let held = accept::judge(&set, &self.role, kept.as_ref().map(|kept| &kept.held))?;
        // Units first, so that a crash before all is placed leaves none of them untold.
        let changes = place::changes(&self.at.place, &set)?;
        told::note(&self.at.untold, &changes)?;
        let (role, sealed) = (self.role.clone(), sealed.to_vec());
        keep::write(&self.at.state, &Kept { held, role, host, sealed })?;
        place::place(&self.at.place, &set)?;
        locked(&self.problem).clear();
        Ok(held)
    }

    /// Which secrets are here: those that this host can open still.
    fn held(&self) -> Option<Held> {
        let kept = match keep::read(&self.at.state) {
            Ok(kept) => kept.filter(|kept| kept.role == self.role)?,
            Err(error) => {
                warn!("{}", Chain(&error));
                return None;
            }
        };
        let ours = locked(&self.host).as_ref().is_none_or(|host| *host == kept.host);
        let key = key::open(&self.at.state).ok().flatten()?;
        let recipient = accept::recipient(&self.fleet, &self.role, &kept.host);
        let opens = accept::open(&kept.sealed, &key, recipient).is_ok();
        (ours && opens).then_some(kept.held)
    }

    fn place_again(&self) {
        let problem = match place_kept(&self.at, &self.fleet, &self.role) {
            Ok(_) => String::new(),
            Err(error) => {
                warn!("{}; {}", Chain(&error), error.advice());
                Chain(&error).to_string()
            }
        };
        *locked(&self.problem) = problem;
    }

    /// Has `tell` told every unit of new values, as they come, and places again what could not be
    /// placed. Never ends.
    pub async fn tend(&self, tell: impl AsyncFn(Verb, &str)) {
        loop {
            match told::next(&self.at.untold) {
                Ok(Some((verb, unit))) => {
                    tell(verb, &unit).await;
                    continue;
                }
                Ok(None) => {}
                Err(error) => warn!("{}", Chain(&error)),
            }
            let is_whole = locked(&self.problem).is_empty();
            tokio::select! {
                () = self.news.notified() => {}
                () = sleep(AGAIN), if !is_whole => self.place_again(),
            }
        }
    }
}

/// Places what is kept on the disk, as at boot: no network, no control plane. What is here
/// afterwards; `None` where nothing is kept.
///
/// # Errors
///
/// [`Error`]; what was placed before is still there.
pub fn place_kept(at: &Where, fleet: &Fleet, role: &Role) -> Result<Option<Held>, Error> {
    // A switch places them while the agent may do so, too.
    let _lock = place::lock(&at.place)?;
    let Some(kept) = keep::read(&at.state)? else { return Ok(None) };
    if kept.role != *role {
        return Ok(None);
    }
    if let Some(instance) = instance(at).filter(|id| kept.host.is_instance() && *id != kept.host) {
        return Err(Error::OtherMachine { kept: kept.host, instance });
    }
    let key = key::open(&at.state)?.ok_or(Error::NoKey)?;
    let envelope = accept::open(&kept.sealed, &key, accept::recipient(fleet, role, &kept.host))?;
    let set = verify::kept_secrets(&envelope, kept.held.digest).map_err(Refusal::Unsigned)?;
    place::place(&at.place, &set)?;
    Ok(Some(kept.held))
}

/// The key that this host's secrets are sealed to, and which it keeps, as far as the disk says.
pub fn look(state: &Path) -> (Option<SealingKey>, Option<Serial>) {
    let key = key::open(state).ok().flatten().map(|key| key.public());
    (key, keep::read(state).ok().flatten().map(|kept| kept.held.serial))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which instance this machine is, where it says so without being asked over a network.
fn instance(at: &Where) -> Option<HostId> {
    let said = std::fs::read_to_string(&at.instance).ok()?;
    said.trim().parse().ok().filter(HostId::is_instance)
}

/// Why secrets are not in their place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Who this machine is was not known yet.
    #[error("secrets came to a machine that is not enrolled")]
    NotEnrolled,
    /// The disk is a copy of another instance's.
    #[error("this is the instance `{instance}`, and its disk has the secrets of `{kept}`")]
    OtherMachine {
        /// Whose they are.
        kept: HostId,
        /// What this machine is.
        instance: HostId,
    },
    /// What is kept cannot be opened any more.
    #[error("the key that this host's secrets are sealed to is gone")]
    NoKey,
    /// See there.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See there.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// See there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// See there.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotEnrolled | Self::NoKey | Self::OtherMachine { .. } => {
                "start the agent; once it is connected, `floe secrets seal` sends them again"
            }
            Self::Key(error) => error.advice(),
            Self::Keep(error) => error.advice(),
            Self::Refused(error) => error.advice(),
            Self::Place(error) => error.advice(),
        }
    }

    /// Whether trust said no, which no other try will change.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::OtherMachine { .. } => true,
            Self::NotEnrolled | Self::NoKey | Self::Key(_) | Self::Keep(_) | Self::Place(_) => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
