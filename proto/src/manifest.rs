//! The manifest: the signed statement about a payload.
//!
//! A plain document. It is trusted only as [`crate::verify::Verified`], and run
//! only after [`crate::admit`] said that this host may.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::closure;
use crate::digest::Digest;
use crate::entry::Entry;
use crate::id::{Epoch, Fleet, Role, Serial};
use crate::json;
use crate::payload::limits::Limits;
use crate::reboot::Reboot;
use crate::time::Timestamp;
use crate::version::AgentVersion;

/// The payload type of a manifest's envelope.
pub const TYPE: &str = "application/vnd.floe.manifest.v1+json";

/// The newest schema that this program knows. 2 came with reboots, 3 with closures, 4 with
/// flakes.
pub const SCHEMA: u32 = 4;

/// The longest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 128 * 1024;

/// What is said about a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The oldest schema that carries what is said, so that no agent refuses for its
    /// number what it could have read; see [`Manifest::oldest_schema`].
    pub schema: u32,
    /// The fleet whose hosts may run it.
    pub fleet: Fleet,
    /// The role whose hosts may run it.
    pub role: Role,
    /// The epoch of the trust root that it was signed under.
    pub epoch: Epoch,
    /// Its number; order is (epoch, serial).
    pub serial: Serial,
    /// No host that has seen this manifest may go below this serial again.
    pub floor: Serial,
    /// What is to be run.
    pub payload: Payload,
    /// When it was signed, in whole seconds.
    pub created: Timestamp,
    /// From when on it is refused; a system that runs it is left alone.
    pub expires: Timestamp,
    /// What the payload holds.
    pub kind: Kind,
    /// The Nix system it is for, such as `aarch64-linux`.
    pub system: String,
    /// The oldest agent that can run it.
    pub min_agent: AgentVersion,
    /// What of the payload is built.
    pub entry: Entry,
    /// How the host is switched and how long it may take to prove itself.
    pub activation: Activation,
    /// What a healthy host looks like.
    pub health: Health,
    /// Where the payload came from.
    pub source: Source,
}

/// The bytes that the manifest speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// SHA-256 of the `tar.zst`.
    pub sha256: Digest,
    /// Its length in bytes.
    pub length: NonZeroU64,
}

/// What a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nix code that the host evaluates and builds.
    Configuration,
    /// The list of a built system's store paths, which the host fetches. Since schema 3.
    Closure,
}

impl Kind {
    /// How large anything of such a payload may become.
    pub fn limits(self) -> Limits {
        match self {
            Self::Configuration => Limits::default(),
            // One file, and nothing beside it.
            Self::Closure => Limits {
                unpacked_bytes: u64::try_from(closure::MAX_BYTES).unwrap_or(u64::MAX),
                files: 1,
                packed_bytes: closure::MAX_PACKED_BYTES,
                ..Limits::default()
            },
        }
    }
}

/// How the host is switched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Which way.
    pub mode: Mode,
    /// Seconds from the switch to the verdict; then the dead man's timer goes back.
    pub deadline_seconds: u32,
    /// Units whose failure does not count, such as `flaky-report.service`.
    pub ignore_units: Vec<String>,
    /// When the host reboots for it. Since schema 2; absent where it never does.
    #[serde(default, skip_serializing_if = "Reboot::is_never")]
    pub reboot: Reboot,
}

/// The ways to switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Try the new system, and only after proof make it the boot default.
    TestThenCommit,
}

/// What a healthy host looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Seconds for which all checks must hold without a break.
    pub soak_seconds: u32,
    /// All must hold. May be empty: failed units and the agent's own connection
    /// are always looked at.
    pub checks: Vec<Check>,
}

/// One thing that must hold on a healthy host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is looked at.
    pub probe: Probe,
    /// Seconds after which one look counts as failed.
    pub timeout_seconds: u32,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Probe {
    /// A systemd unit is active.
    Unit {
        /// Such as `nginx.service`.
        name: String,
    },
    /// A GET over plain HTTP answers with a status.
    Http {
        /// `http://ADDRESS[:PORT]/PATH`; the address is usually loopback.
        url: String,
        /// The status that is healthy.
        status: u16,
    },
    /// A TCP connection can be made.
    Tcp {
        /// Such as `127.0.0.1:22`.
        address: SocketAddr,
    },
    /// A program ends with 0.
    Command {
        /// Program (absolute path) and arguments.
        argv: Vec<String>,
    },
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unit { name } => write!(f, "unit {name}"),
            Self::Http { url, status } => write!(f, "http {url} = {status}"),
            Self::Tcp { address } => write!(f, "tcp {address}"),
            Self::Command { argv } => write!(f, "command {}", argv.join(" ")),
        }
    }
}

/// Where a payload came from. For people and audits; decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The revision of the fleet repository, if it is under version control.
    pub revision: Option<String>,
    /// Whether the working tree had changes that were not committed.
    pub dirty: bool,
    /// Who built it, such as `ada@laptop`.
    pub built_by: String,
}

impl Manifest {
    /// Parses the bytes of a verified envelope, and checks what a type cannot say.
    ///
    /// # Errors
    ///
    /// [`json::Error`] for what is no manifest of a known schema, [`Error::Invalid`]
    /// for one that contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let manifest: Self = json::parse(bytes, SCHEMA, MAX_BYTES)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a manifest that [`Manifest::parse`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.validate()?;
        let bytes = serde_json::to_vec(self).map_err(json::Error::from)?;
        if bytes.len() > MAX_BYTES {
            return Err(Error::Invalid("it is too long"));
        }
        Ok(bytes)
    }

    /// The oldest schema that carries what this manifest says, whatever its own says.
    pub fn oldest_schema(&self) -> u32 {
        match (self.kind, &self.entry) {
            (Kind::Closure, _) => 3,
            (Kind::Configuration, Entry::Flake(_)) => 4,
            (Kind::Configuration, Entry::File(_)) if !self.activation.reboot.is_never() => 2,
            (Kind::Configuration, Entry::File(_)) => 1,
        }
    }

    /// How long the host may take from the switch to the verdict.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.activation.deadline_seconds.into())
    }

    fn validate(&self) -> Result<(), Error> {
        let no_newline = |text: &String| !text.contains(['\n', '\0']);
        let probe_is_sound = |probe: &Probe| match probe {
            Probe::Unit { name } => is_unit(name),
            Probe::Http { url, status } => {
                url.starts_with("http://")
                    && url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some())
                    && (100..=599).contains(status)
            }
            Probe::Tcp { address } => address.port() != 0,
            Probe::Command { argv } => argv.first().is_some_and(|program| program.starts_with('/')),
        };
        let rules: [(bool, &'static str); 15] = [
            (self.schema == self.oldest_schema(), "its schema is not the oldest that carries it"),
            (self.floor <= self.serial, "its floor is above its serial"),
            (self.created < self.expires, "it expires before it was created"),
            (self.created == self.created.whole_seconds(), "`created` has a fraction of a second"),
            (is_system(&self.system), "`system` is no Nix system such as `x86_64-linux`"),
            (
                (self.kind == Kind::Closure) == self.entry.is_file(closure::FILE),
                "its entry is not what its kind of payload has",
            ),
            (
                self.kind != Kind::Closure
                    || self.payload.length.get() <= closure::MAX_PACKED_BYTES,
                "its closure's list is too long",
            ),
            (
                (1..=86_400).contains(&self.activation.deadline_seconds),
                "its deadline is not between a second and a day",
            ),
            (
                self.health.soak_seconds < self.activation.deadline_seconds,
                "its soak time is not shorter than its deadline",
            ),
            (self.health.checks.len() <= 64, "it has more than 64 health checks"),
            (
                self.health.checks.iter().all(|check| {
                    probe_is_sound(&check.probe)
                        && (1..=self.activation.deadline_seconds).contains(&check.timeout_seconds)
                }),
                "one of its health checks makes no sense",
            ),
            (
                self.activation.ignore_units.iter().all(|unit| is_unit(unit)),
                "`ignore_units` names what is no unit",
            ),
            (self.activation.reboot.is_sound(), "it has a window for reboots, and never reboots"),
            (
                self.source.revision.iter().all(no_newline) && no_newline(&self.source.built_by),
                "its source has more than one line",
            ),
            (
                self.source.built_by.len() <= 256
                    && self.source.revision.as_ref().is_none_or(|text| text.len() <= 256),
                "its source is longer than 256 bytes",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(Error::Invalid(broken)),
            None => Ok(()),
        }
    }
}

/// Whether `name` can name a systemd unit; what could be taken for an option of
/// `systemctl` cannot (systemd.unit(5), "valid unit names").
pub fn is_unit(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && !name.starts_with('-')
        && name.contains('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
}

/// Whether `text` looks like a Nix system: `<cpu>-<os>`.
pub fn is_system(text: &str) -> bool {
    text.len() <= 64
        && text.split_once('-').is_some_and(|(cpu, os)| {
            let word = |word: &str| {
                !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            };
            word(cpu) && word(os)
        })
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("the manifest could not be read")]
    Json(#[from] json::Error),
    /// It was read, and contradicts itself.
    #[error("the manifest makes no sense: {0}")]
    Invalid(&'static str),
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
pub(crate) mod tests;
