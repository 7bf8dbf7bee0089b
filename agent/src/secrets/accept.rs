//! Whether secrets that came are for this host, and newer than what it has. Pure.
//!
//! Opened first, verified after: HPKE says nothing of who sealed. What is used is only ever what
//! was verified.

use floe_proto::admit::MAX_JUMP;
use floe_proto::digest::Digest;
use floe_proto::id::{Epoch, Fleet, HostId, Role, Serial};
use floe_proto::pb;
use floe_proto::sealed::{self, OpeningKey, Recipient, Who};
use floe_proto::secret::SecretSet;
use floe_proto::verify::{self, Verified};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Which secrets a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The epoch that they were signed under.
    pub epoch: Epoch,
    /// Their number.
    pub serial: Serial,
    /// SHA-256 of what was signed.
    pub digest: Digest,
}

impl From<Held> for pb::SecretsHeld {
    fn from(held: Held) -> Self {
        Self { epoch: held.epoch.get().into(), serial: held.serial.get() }
    }
}

/// This host.
pub(super) fn recipient<'a>(fleet: &'a Fleet, role: &'a Role, host: &'a HostId) -> Recipient<'a> {
    Recipient { fleet, role, who: Who::Host(host) }
}

/// The envelope that was sealed; not verified yet.
pub(super) fn open(
    sealed: &[u8],
    key: &OpeningKey,
    recipient: Recipient<'_>,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    sealed::open(sealed, key, recipient).map_err(Refusal::Sealed)
}

/// What this host has once it has taken `set`.
///
/// # Errors
///
/// [`Refusal`]: of another role, older than what it has, or another one with the same number.
pub(super) fn judge(
    set: &Verified<SecretSet>,
    role: &Role,
    held: Option<&Held>,
) -> Result<Held, Refusal> {
    if set.role != *role {
        return Err(Refusal::OtherRole { ours: role.clone(), theirs: set.role.clone() });
    }
    let new = Held { epoch: set.epoch, serial: set.serial, digest: set.digest() };
    let Some(held) = held else { return Ok(new) };
    let (ours, theirs) = ((held.epoch, held.serial), (new.epoch, new.serial));
    if ours == theirs && held.digest != new.digest {
        return Err(Refusal::SameSerial { serial: new.serial });
    }
    if theirs < ours {
        return Err(Refusal::Older { ours: held.serial, theirs: new.serial });
    }
    let apart = new.serial.get().saturating_sub(held.serial.get());
    if held.epoch == new.epoch && apart > MAX_JUMP {
        return Err(Refusal::Jump { ours: held.serial, theirs: new.serial });
    }
    Ok(new)
}

/// Why secrets were not taken; what was there before is still there.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not sealed to this host.
    #[error("secrets that came cannot be opened here")]
    Sealed(#[source] sealed::Error),
    /// No release key's word.
    #[error("secrets that came were refused")]
    Unsigned(#[source] verify::Error),
    /// The newest trust root that this host believed cannot be read.
    #[error(
        "version {version} of the trust root, which this host believed, is damaged on its disk; no secrets are judged by an older one"
    )]
    DamagedRoot {
        /// The version.
        version: u32,
    },
    /// Signed for another role.
    #[error("secrets of the role `{theirs}` came to a host of `{ours}`")]
    OtherRole {
        /// This host's.
        ours: Role,
        /// The secrets'.
        theirs: Role,
    },
    /// An older set.
    #[error("secrets of serial {theirs} came; this host has serial {ours}")]
    Older {
        /// What it has.
        ours: Serial,
        /// What came.
        theirs: Serial,
    },
    /// Two documents under one number.
    #[error(
        "other secrets came under serial {serial}, which this host has: they were signed twice"
    )]
    SameSerial {
        /// The number.
        serial: Serial,
    },
    /// A number that nobody gave.
    #[error(
        "secrets of serial {theirs} came, more than {MAX_JUMP} above {ours}, which this host has"
    )]
    Jump {
        /// What it has.
        ours: Serial,
        /// What came.
        theirs: Serial,
    },
}

impl Refusal {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Sealed(_) => "seal them again: `floe secrets seal ROLE`",
            Self::Unsigned(error) => error.advice(),
            Self::DamagedRoot { .. } => {
                "wait for the control plane to send that version again, or publish it"
            }
            Self::OtherRole { .. } => {
                "find out why the control plane takes this host for one of the other role"
            }
            Self::Older { .. } | Self::Jump { .. } => {
                "seal the secrets of the role again: `floe secrets seal ROLE`"
            }
            Self::SameSerial { .. } => {
                "find out who signed both: somebody else may have a release key"
            }
        }
    }
}
