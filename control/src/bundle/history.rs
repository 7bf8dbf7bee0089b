//! What was published of a role, and which of it may be said again.
//!
//! Pure. The control plane's word is never taken: a number counts where a trust root
//! signed for it that is or was ours, a payload only where today's trust root does. A
//! payload that a withdrawn key signed is not vouched for by signing it again.

use floe_proto::envelope::Envelope;
use floe_proto::id::{Epoch, Role, Serial};
use floe_proto::manifest::Manifest;
use floe_proto::root::Root;
use floe_proto::verify::{self, Verified};

/// A manifest that was published.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it says.
    pub manifest: Verified<Manifest>,
    /// Why hosts would not take it any more, where they would not; that its own time is
    /// over is not looked at.
    pub objection: Option<String>,
}

/// Reads what the control plane says was published of `role`.
///
/// It may have expired since, so it is judged as of the moment at which it says that it
/// was signed.
///
/// # Errors
///
/// [`Error::Unbelieved`] for what neither `root` nor one of the `older` ones signed, or
/// what is of another role.
pub fn read(
    envelope: &[u8],
    role: &Role,
    root: &Verified<Root>,
    older: &[Verified<Root>],
) -> Result<Entry, Error> {
    let unbelieved = |why: String| Error::Unbelieved { role: role.clone(), why };
    let claimed = Envelope::parse(envelope).map_err(|error| unbelieved(error.to_string()))?;
    let claimed = Manifest::parse(claimed.unverified_payload());
    let created = claimed.map_err(|error| unbelieved(error.to_string()))?.created;
    let (manifest, objection) = match verify::manifest(envelope, root, created) {
        Ok(manifest) => (manifest, None),
        Err(refusal) => {
            let known =
                older.iter().find_map(|root| verify::manifest(envelope, root, created).ok());
            let why = refusal.to_string();
            (known.ok_or_else(|| unbelieved(why.clone()))?, Some(why))
        }
    };
    if manifest.role != *role {
        return Err(unbelieved(format!("it is for the role `{}`", manifest.role)));
    }
    Ok(Entry { manifest, objection })
}

/// The number after the newest; serials begin anew in each epoch.
///
/// # Errors
///
/// [`Error::RunOut`] after the last.
pub fn next_serial(role: &Role, newest: Option<&Entry>, epoch: Epoch) -> Result<Serial, Error> {
    match in_epoch(newest, epoch) {
        None => Ok(Serial::FIRST),
        Some(newest) => newest.serial.next().ok_or_else(|| Error::RunOut { role: role.clone() }),
    }
}

/// The floor of the next manifest: what was asked for, and never less than what was signed
/// before. A host that sees only the newest must not be less protected than the others.
pub fn next_floor(newest: Option<&Entry>, epoch: Epoch, asked: Option<Serial>) -> Serial {
    let signed = in_epoch(newest, epoch).map(|newest| newest.floor);
    asked.into_iter().chain(signed).max().unwrap_or(Serial::FIRST)
}

fn in_epoch(newest: Option<&Entry>, epoch: Epoch) -> Option<&Manifest> {
    newest.map(|newest| &*newest.manifest).filter(|newest| newest.epoch == epoch)
}

/// The manifest whose payload is to be run again, of `entries` (newest first): the one
/// that was asked for, or the newest before the newest that has another payload.
///
/// # Errors
///
/// [`Error`]: there is no such manifest, or its payload must not be run any more.
pub fn revert<'a>(
    role: &Role,
    entries: &'a [Entry],
    asked: Option<Serial>,
) -> Result<&'a Manifest, Error> {
    let Some((newest, before)) = entries.split_first() else {
        return Err(Error::Nothing { role: role.clone() });
    };
    let found = match asked {
        Some(serial) if serial == newest.manifest.serial => {
            return Err(Error::IsNewest { role: role.clone(), serial });
        }
        Some(serial) => before.iter().find(|entry| entry.manifest.serial == serial),
        None => {
            let payload = newest.manifest.payload.sha256;
            before.iter().find(|entry| entry.manifest.payload.sha256 != payload)
        }
    };
    let found = found.ok_or_else(|| Error::NoOther { role: role.clone(), asked })?;
    let (serial, floor) = (found.manifest.serial, newest.manifest.floor);
    if found.manifest.epoch == newest.manifest.epoch && serial < floor {
        return Err(Error::BelowFloor { role: role.clone(), serial, floor });
    }
    good(role, found)
}

/// The newest of `entries` (newest first), to be signed again.
///
/// # Errors
///
/// As [`revert`].
pub fn renew<'a>(role: &Role, entries: &'a [Entry]) -> Result<&'a Manifest, Error> {
    let newest = entries.first().ok_or_else(|| Error::Nothing { role: role.clone() })?;
    good(role, newest)
}

fn good<'a>(role: &Role, entry: &'a Entry) -> Result<&'a Manifest, Error> {
    let serial = entry.manifest.serial;
    match &entry.objection {
        None => Ok(&entry.manifest),
        Some(why) => Err(Error::Withdrawn { role: role.clone(), serial, why: why.clone() }),
    }
}

/// Why nothing published is said again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody of ours ever signed it.
    #[error("a manifest of `{role}` that the control plane has is not to be believed: {why}")]
    Unbelieved {
        /// Which role was asked for.
        role: Role,
        /// What is wrong with it.
        why: String,
    },
    /// 2^64 manifests.
    #[error("the serials of `{role}` have run out")]
    RunOut {
        /// Which role's.
        role: Role,
    },
    /// There is nothing to say again.
    #[error("nothing of `{role}` is published")]
    Nothing {
        /// Which role.
        role: Role,
    },
    /// Going back to where one is.
    #[error("serial {serial} is the newest of `{role}`")]
    IsNewest {
        /// Which role.
        role: Role,
        /// The newest.
        serial: Serial,
    },
    /// No such serial, or no other payload.
    #[error("{} of `{role}` is published", what(*asked))]
    NoOther {
        /// Which role.
        role: Role,
        /// What was asked for.
        asked: Option<Serial>,
    },
    /// A floor says that hosts must not run it any more.
    #[error("serial {serial} of `{role}` is below {floor}, the floor that was signed for it")]
    BelowFloor {
        /// Which role.
        role: Role,
        /// What was asked for.
        serial: Serial,
        /// The newest manifest's floor.
        floor: Serial,
    },
    /// Signed by keys, or in an epoch, that are believed no more.
    #[error("serial {serial} of `{role}` is not vouched for any more: {why}")]
    Withdrawn {
        /// Which role.
        role: Role,
        /// What was asked for.
        serial: Serial,
        /// What today's trust root says.
        why: String,
    },
}

fn what(asked: Option<Serial>) -> String {
    asked.map_or_else(|| "no other payload".into(), |serial| format!("no serial {serial}"))
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Unbelieved { .. } => {
                "do not push: find out who published it, and whether trust.json is the fleet's"
                    .into()
            }
            Self::RunOut { .. } => "raise the epoch: `floe trust raise-epoch`".into(),
            Self::Nothing { .. } => "push it: leave out --revert and --renew".into(),
            Self::IsNewest { .. } => "to sign it again, say --renew".into(),
            Self::NoOther { role, .. } => {
                format!("`floe bundle list {role}` shows what can be gone back to")
            }
            Self::BelowFloor { .. } | Self::Withdrawn { .. } => {
                "if you trust what it was made of, check out that revision and push it".into()
            }
        }
    }

    /// Whether this is a matter of trust, and not of a mistake.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Unbelieved { .. }
            | Self::RunOut { .. }
            | Self::BelowFloor { .. }
            | Self::Withdrawn { .. } => true,
            Self::Nothing { .. } | Self::IsNewest { .. } | Self::NoOther { .. } => false,
        }
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
