//! May this host run this verified manifest? Pure.
//!
//! The control plane chooses which signed manifest a host gets; here the host
//! decides whether it may be chosen. What the host remembers ([`Floors`]) only
//! ever rises, and its own rollback does not lower it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{Epoch, Fleet, Role, Serial};
use crate::manifest::Manifest;
use crate::preview::Preview;
use crate::time::Timestamp;
use crate::verify::Verified;
use crate::version::AgentVersion;

/// How far a serial may jump, so that a stolen key cannot use up the numbers
/// (catalogue T025).
pub const MAX_JUMP: u64 = 10_000;

/// How far a manifest may come from the future, in seconds, for clocks that differ.
const MAX_AHEAD: std::time::Duration = std::time::Duration::from_secs(300);

/// What is fixed about a host, by what was signed or set on the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The fleet that its trust root governs.
    pub fleet: Fleet,
    /// The role that it was made for.
    pub role: Role,
    /// Its Nix system, such as `aarch64-linux`.
    pub system: String,
    /// The version of its agent.
    pub agent: AgentVersion,
}

/// What a host remembers for ever; see [`Floors::confirmed`] and [`Floors::seen`].
///
/// Nobody signs it, and checksums find what is rotten: a field that is not known is what a
/// newer agent remembers. To go back to this one must not cost the host all its floors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    /// The highest manifest that was confirmed here.
    pub confirmed: Option<Mark>,
    /// The highest `floor` of any manifest that was admitted here.
    pub floor: Option<(Epoch, Serial)>,
    /// The newest time that any admitted manifest was signed at, as far as a clock of this
    /// host had reached it.
    pub newest_signed: Option<Timestamp>,
}

/// One manifest in the order of a role's manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of the signed manifest.
    pub manifest: Digest,
}

impl Mark {
    /// The mark of `manifest`.
    pub fn of(manifest: &Verified<Manifest>) -> Self {
        Self { epoch: manifest.epoch, serial: manifest.serial, manifest: manifest.digest() }
    }

    /// (epoch, serial), which is the order of manifests.
    pub fn order(&self) -> (Epoch, Serial) {
        (self.epoch, self.serial)
    }
}

impl Floors {
    /// Remembers that `manifest` was admitted while the host's clock showed `clock`.
    ///
    /// A time that no clock has reached is not remembered: of manifests each of which is a
    /// little ahead the last would be of any year, and all else over for ever.
    #[must_use]
    pub fn seen(mut self, manifest: &Verified<Manifest>, clock: Timestamp) -> Self {
        self.floor = self.floor.max(Some((manifest.epoch, manifest.floor)));
        let reached = manifest.created.min(self.now(clock));
        self.newest_signed = self.newest_signed.max(Some(reached));
        self
    }

    /// Remembers that `manifest` was confirmed.
    #[must_use]
    pub fn confirmed(mut self, mark: Mark) -> Self {
        if self.confirmed.is_none_or(|known| known.order() < mark.order()) {
            self.confirmed = Some(mark);
        }
        self
    }

    /// What is remembered by two copies together: of each floor the higher one.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let merged = Self {
            floor: self.floor.max(other.floor),
            newest_signed: self.newest_signed.max(other.newest_signed),
            ..self
        };
        match other.confirmed {
            Some(mark) => merged.confirmed(mark),
            None => merged,
        }
    }

    /// The time to judge by: never earlier than the newest signed time.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        self.newest_signed.map_or(clock, |newest| newest.max(clock))
    }
}

/// Whether `host`, remembering `floors`, may run `manifest` at `now`.
///
/// The manifest that was confirmed last is admitted again: running what runs is no
/// step back.
///
/// # Errors
///
/// The first rule that forbids it. None of them changes anything on the host.
pub fn admit(
    manifest: &Verified<Manifest>,
    host: &Host,
    floors: &Floors,
    now: Timestamp,
) -> Result<(), Error> {
    judge(manifest, Mark::of(manifest), host, floors, now)
}

/// Whether `host` may build `preview`: what it would not run it does not build either.
///
/// # Errors
///
/// As [`admit`].
pub fn admit_preview(
    preview: &Verified<Preview>,
    host: &Host,
    floors: &Floors,
    now: Timestamp,
) -> Result<(), Error> {
    let mark = Mark { epoch: preview.epoch, serial: preview.serial, manifest: preview.digest() };
    judge(preview, mark, host, floors, now)
}

fn judge(
    manifest: &Manifest,
    mark: Mark,
    host: &Host,
    floors: &Floors,
    now: Timestamp,
) -> Result<(), Error> {
    if manifest.fleet != host.fleet {
        return Err(Error::Fleet { host: host.fleet.clone(), manifest: manifest.fleet.clone() });
    }
    if manifest.role != host.role {
        return Err(Error::Role { host: host.role.clone(), manifest: manifest.role.clone() });
    }
    if manifest.system != host.system {
        return Err(Error::System { host: host.system.clone(), manifest: manifest.system.clone() });
    }
    if manifest.min_agent > host.agent {
        return Err(Error::AgentTooOld { host: host.agent, manifest: manifest.min_agent });
    }
    let now = floors.now(now);
    if manifest.created > now.after(MAX_AHEAD) {
        return Err(Error::FromTheFuture { created: manifest.created });
    }
    if manifest.expires <= now {
        return Err(Error::Expired { expired: manifest.expires });
    }
    if let Some((epoch, serial)) = floors.floor
        && mark.order() < (epoch, serial)
    {
        return Err(Error::BelowFloor { serial: mark.serial, floor: serial });
    }
    let Some(confirmed) = floors.confirmed else { return Ok(()) };
    if mark.order() < confirmed.order() {
        return Err(Error::BelowConfirmed { serial: mark.serial, confirmed: confirmed.serial });
    }
    if mark.order() == confirmed.order() && mark.manifest != confirmed.manifest {
        return Err(Error::Equivocation { serial: mark.serial });
    }
    if mark.epoch == confirmed.epoch
        && mark.serial.get().saturating_sub(confirmed.serial.get()) > MAX_JUMP
    {
        return Err(Error::Jump { serial: mark.serial, confirmed: confirmed.serial });
    }
    Ok(())
}

/// Why a host may not run a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// For another fleet.
    #[error("the manifest is for the fleet `{manifest}`, this host belongs to `{host}`")]
    Fleet {
        /// The host's fleet.
        host: Fleet,
        /// The manifest's fleet.
        manifest: Fleet,
    },
    /// For another role.
    #[error("the manifest is for the role `{manifest}`, this host has the role `{host}`")]
    Role {
        /// The host's role.
        host: Role,
        /// The manifest's role.
        manifest: Role,
    },
    /// For machines of another kind.
    #[error("the manifest is for `{manifest}`, this host is `{host}`")]
    System {
        /// The host's Nix system.
        host: String,
        /// The manifest's Nix system.
        manifest: String,
    },
    /// Needs a newer agent.
    #[error("the manifest needs agent {manifest}, this host has {host}")]
    AgentTooOld {
        /// The host's agent.
        host: AgentVersion,
        /// The oldest agent that can run it.
        manifest: AgentVersion,
    },
    /// Signed later than now, by more than clocks differ.
    #[error("the manifest was signed at {created}, which is in the future here")]
    FromTheFuture {
        /// When it says that it was signed.
        created: Timestamp,
    },
    /// Its time is over.
    #[error("the manifest expired at {expired}")]
    Expired {
        /// When.
        expired: Timestamp,
    },
    /// Below the floor that a signed manifest set.
    #[error("serial {serial} is below {floor}, the floor that was signed for this role")]
    BelowFloor {
        /// The manifest's serial.
        serial: Serial,
        /// The floor.
        floor: Serial,
    },
    /// Older than what this host has confirmed.
    #[error("serial {serial} is older than {confirmed}, which this host has confirmed")]
    BelowConfirmed {
        /// The manifest's serial.
        serial: Serial,
        /// The highest confirmed one.
        confirmed: Serial,
    },
    /// Two manifests with one serial: a security event.
    #[error("this host has confirmed another manifest with serial {serial}")]
    Equivocation {
        /// The serial that both have.
        serial: Serial,
    },
    /// Too far ahead.
    #[error(
        "serial {serial} is more than {MAX_JUMP} above {confirmed}, the highest confirmed here"
    )]
    Jump {
        /// The manifest's serial.
        serial: Serial,
        /// The highest confirmed one.
        confirmed: Serial,
    },
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
