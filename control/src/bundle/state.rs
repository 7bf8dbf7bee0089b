//! What is said about a payload: the manifest of a role that was just packed, or of a
//! payload that was published before (going back is going forward).
//!
//! Pure. Nothing is signed here, and nothing is read.

use std::time::Duration;

use floe_proto::entry::Entry;
use floe_proto::id::{Epoch, Serial};
use floe_proto::manifest::{self, Kind, Manifest, Payload};
use floe_proto::payload::pack::Packed;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::version::AgentVersion;

use super::git::Revision;
use super::source::Source;
use crate::repository::Span;

/// What is said about a payload beside what the role says.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The manifest's number.
    pub serial: Serial,
    /// No host that has seen this manifest may go below this serial again.
    pub floor: Serial,
    /// When it is signed.
    pub now: Timestamp,
    /// For how long hosts may take it.
    pub valid_for: Span,
    /// Who made it: `ada@laptop`.
    pub built_by: String,
}

/// The manifest of `packed`, which `source` became, or its system.
///
/// # Errors
///
/// [`Error`] for what cannot be said, or must not.
pub fn state(
    source: &Source,
    kind: Kind,
    packed: &Packed,
    revision: Revision,
    statement: Statement,
    root: &Root,
) -> Result<Manifest, Error> {
    let Statement { serial, floor, now, valid_for, built_by } = statement;
    let (created, expires) = span(now, valid_for)?;
    checked(Manifest {
        schema: 1,
        fleet: root.fleet.clone(),
        role: source.role.clone(),
        epoch: root.epoch,
        serial,
        floor,
        payload: Payload {
            sha256: packed.digest,
            length: packed.length.try_into().map_err(|_| Error::Empty)?,
        },
        created,
        expires,
        kind,
        system: source.settings.system.clone(),
        min_agent: MIN_AGENT,
        entry: match kind {
            Kind::Configuration => source.settings.code.entry(),
            Kind::Closure => Entry::of_closure(),
        },
        activation: source.settings.activation.clone(),
        health: source.settings.health.clone(),
        source: manifest::Source { revision: revision.commit, dirty: revision.dirty, built_by },
    })
}

/// `older` said again: the same payload, checks and source under a new number and time.
///
/// # Errors
///
/// [`Error`] for what must not be said again.
pub fn again(older: &Manifest, statement: Statement, epoch: Epoch) -> Result<Manifest, Error> {
    let Statement { serial, floor, now, valid_for, built_by } = statement;
    let (created, expires) = span(now, valid_for)?;
    let source = manifest::Source { built_by, ..older.source.clone() };
    checked(Manifest { epoch, serial, floor, created, expires, source, ..older.clone() })
}

/// The oldest agent that understands what [`state`] says.
const MIN_AGENT: AgentVersion = AgentVersion::new(0, 1, 0);

/// A manifest that is good for longer than a trust root is forgotten, not renewed
/// (catalogue T149).
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

fn span(now: Timestamp, valid_for: Span) -> Result<(Timestamp, Timestamp), Error> {
    if valid_for.duration() > LONGEST {
        return Err(Error::TooLong { valid_for });
    }
    let created = now.whole_seconds();
    Ok((created, created.after(valid_for.duration()).whole_seconds()))
}

/// As a host reads it, so that nobody signs what no host takes.
fn checked(manifest: Manifest) -> Result<Manifest, Error> {
    let manifest = Manifest { schema: manifest.oldest_schema(), ..manifest };
    if manifest.floor > manifest.serial {
        return Err(Error::FloorTooHigh { serial: manifest.serial, floor: manifest.floor });
    }
    manifest.to_bytes()?;
    Ok(manifest)
}

/// Why a manifest was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A payload of no bytes.
    #[error("the payload is empty")]
    Empty,
    /// Valid for years.
    #[error("a manifest cannot be valid for {valid_for}: a year is the most")]
    TooLong {
        /// What was asked for.
        valid_for: Span,
    },
    /// A floor that this very manifest lies below.
    #[error("the floor {floor} is above the serial {serial} that it is signed with")]
    FloorTooHigh {
        /// The manifest's serial.
        serial: Serial,
        /// The floor.
        floor: Serial,
    },
    /// What is to be said makes no sense.
    #[error("could not make the manifest")]
    Manifest(#[from] manifest::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Empty => "put configuration.nix into the role's directory",
            Self::TooLong { .. } => {
                "choose less with --valid-for, and say it again in time with `floe push ROLE --renew`"
            }
            Self::FloorTooHigh { .. } => "give --floor a serial up to the one that is pushed",
            Self::Manifest(_) => "correct host.toml",
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(super) mod tests;
