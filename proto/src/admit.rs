//! May this host run this verified manifest? Pure.
//!
//! The control plane chooses which signed manifest a host gets; here the host
//! decides whether it may be chosen. What the host remembers ([`Floors`]) only
//! ever rises, and its own rollback does not lower it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{Epoch, Fleet, Role, Serial};
use crate::manifest::Manifest;
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    /// The highest manifest that was confirmed here.
    pub confirmed: Option<Mark>,
    /// The highest `floor` of any manifest that was admitted here.
    pub floor: Option<(Epoch, Serial)>,
    /// The newest time that any admitted manifest was signed at.
    pub newest_signed: Option<Timestamp>,
}

/// One manifest in the order of a role's manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Remembers that `manifest` was admitted.
    #[must_use]
    pub fn seen(mut self, manifest: &Verified<Manifest>) -> Self {
        self.floor = self.floor.max(Some((manifest.epoch, manifest.floor)));
        self.newest_signed = self.newest_signed.max(Some(manifest.created));
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

    let mark = Mark::of(manifest);
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
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::manifest::{self, tests::full};
    use crate::root::{self, tests};
    use crate::verify;

    fn now() -> Timestamp {
        "2026-11-23T00:00:00Z".parse().unwrap()
    }

    fn verified(change: impl FnOnce(&mut Manifest)) -> Verified<Manifest> {
        let mut manifest = full();
        change(&mut manifest);
        let mut trust = tests::root(1, &[2]);
        (trust.epoch, trust.fleet) = (manifest.epoch, manifest.fleet.clone());
        let trust =
            Envelope::sign(root::TYPE, &trust.to_bytes().unwrap(), &[&tests::key(1)]).unwrap();
        let signed =
            Envelope::sign(manifest::TYPE, &manifest.to_bytes().unwrap(), &[&tests::key(2)]);
        let trust = verify::pinned_root(&trust).unwrap();
        verify::manifest(&signed.unwrap(), &trust, manifest.created).unwrap()
    }

    fn host() -> Host {
        Host {
            fleet: "fossable.org".parse().unwrap(),
            role: "www.fossable.org".parse().unwrap(),
            system: "aarch64-linux".into(),
            agent: AgentVersion::new(0, 1, 0),
        }
    }

    fn confirmed(serial: u64, epoch: u32) -> Floors {
        let mark = verified(|m| {
            (m.serial, m.floor) = (serial.try_into().unwrap(), Serial::FIRST);
            m.epoch = Epoch::new(epoch);
        });
        Floors::default().confirmed(Mark::of(&mark))
    }

    fn admits(manifest: &Verified<Manifest>, floors: &Floors) -> Result<(), Error> {
        admit(manifest, &host(), floors, now())
    }

    #[test]
    fn a_fresh_host_runs_what_is_meant_for_it() {
        assert_eq!(admits(&verified(|_| ()), &Floors::default()), Ok(()));
    }

    #[test]
    fn t022_t039_what_is_meant_for_somebody_else_is_refused() {
        let none = Floors::default();
        let role = verified(|m| m.role = "mail.fossable.org".parse().unwrap());
        assert!(matches!(admits(&role, &none), Err(Error::Role { .. })));
        let fleet = verified(|m| m.fleet = "example.org".parse().unwrap());
        assert!(matches!(admits(&fleet, &none), Err(Error::Fleet { .. })));
        let system = verified(|m| m.system = "x86_64-linux".into());
        assert!(matches!(admits(&system, &none), Err(Error::System { .. })));
        let agent = verified(|m| m.min_agent = AgentVersion::new(0, 2, 0));
        assert!(matches!(admits(&agent, &none), Err(Error::AgentTooOld { .. })));
    }

    #[test]
    fn t024_order_is_epoch_then_serial() {
        let old_epoch = verified(|m| m.serial = 900.try_into().unwrap());
        assert!(matches!(admits(&old_epoch, &confirmed(7, 1)), Err(Error::BelowConfirmed { .. })));
        let new_epoch = verified(|m| {
            (m.serial, m.floor, m.epoch) = (Serial::FIRST, Serial::FIRST, Epoch::new(2));
        });
        assert_eq!(admits(&new_epoch, &confirmed(900, 1)), Ok(()));
    }

    #[test]
    fn t025_a_serial_may_not_jump() {
        let far = verified(|m| m.serial = (42 + MAX_JUMP + 1).try_into().unwrap());
        assert!(matches!(admits(&far, &confirmed(42, 0)), Err(Error::Jump { .. })));
        let near = verified(|m| m.serial = (42 + MAX_JUMP).try_into().unwrap());
        assert_eq!(admits(&near, &confirmed(42, 0)), Ok(()));
    }

    #[test]
    fn t027_nothing_goes_below_what_was_confirmed_or_signed_as_floor() {
        let older = verified(|_| ());
        assert!(matches!(admits(&older, &confirmed(43, 0)), Err(Error::BelowConfirmed { .. })));
        let raised = Floors::default().seen(&verified(|m| {
            (m.serial, m.floor) = (60.try_into().unwrap(), 50.try_into().unwrap());
        }));
        assert!(matches!(admits(&older, &raised), Err(Error::BelowFloor { .. })));
    }

    #[test]
    fn one_serial_has_one_manifest() {
        let same = verified(|_| ());
        let floors = Floors::default().confirmed(Mark::of(&same));
        assert_eq!(admits(&same, &floors), Ok(()));
        let twin = verified(|m| m.source.dirty = true);
        assert_eq!(
            admits(&twin, &floors),
            Err(Error::Equivocation { serial: 42.try_into().unwrap() })
        );
    }

    #[test]
    fn t036_a_clock_that_runs_behind_is_not_believed() {
        let floors = Floors::default().seen(&verified(|m| {
            m.created = "2027-03-01T00:00:00Z".parse().unwrap();
            m.expires = "2027-06-01T00:00:00Z".parse().unwrap();
        }));
        assert!(matches!(admits(&verified(|_| ()), &floors), Err(Error::Expired { .. })));
        let future = verified(|m| m.created = "2026-11-23T00:05:01Z".parse().unwrap());
        assert!(matches!(admits(&future, &Floors::default()), Err(Error::FromTheFuture { .. })));
    }

    #[test]
    fn floors_never_fall() {
        let floors = confirmed(43, 0);
        assert_eq!(floors.clone().confirmed(Mark::of(&verified(|_| ()))), floors);

        let raised = Floors::default().seen(&verified(|_| ()));
        let confirmed = floors.confirmed;
        for both in [floors.clone().merged(raised.clone()), raised.clone().merged(floors)] {
            assert_eq!(both, Floors { confirmed, ..raised.clone() });
        }
    }
}
