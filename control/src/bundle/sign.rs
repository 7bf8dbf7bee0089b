//! The release key, and the manifest in its envelope.
//!
//! A key is looked at before anything is sent anywhere: who may read its file, whether
//! it is one, and whether the fleet's trust root lists it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use floe_proto::envelope::{self, Envelope};
use floe_proto::id::{Fleet, Serial};
use floe_proto::key::{self, KeyId, SecretKey};
use floe_proto::manifest::{self, Kind, Manifest, Payload};
use floe_proto::payload::pack::Packed;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};
use floe_proto::version::AgentVersion;
use zeroize::Zeroizing;

use super::git::Revision;
use super::source::Source;
use crate::repository::Span;

/// What is said about a payload beside what the role says.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The manifest's number.
    pub serial: Serial,
    /// When it is signed.
    pub now: Timestamp,
    /// For how long hosts may take it.
    pub valid_for: Span,
    /// What it was made of.
    pub revision: Revision,
    /// Who made it: `ada@laptop`.
    pub built_by: String,
}

/// A manifest that was signed, and believed under the trust root.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What is sent and stored.
    pub envelope: Vec<u8>,
    /// What it says.
    pub manifest: Verified<Manifest>,
}

/// Signs `packed` as what `source` became, and makes sure that hosts will believe it.
///
/// # Errors
///
/// [`Error::Manifest`] for what cannot be said, [`Error::Refused`] for what a host of
/// this trust root would refuse (more signatures needed, expired root).
pub fn sign(
    source: &Source,
    packed: &Packed,
    statement: Statement,
    root: &Verified<Root>,
    key: &SecretKey,
) -> Result<Signed, Error> {
    let created = statement.now.whole_seconds();
    let manifest = Manifest {
        schema: manifest::SCHEMA,
        fleet: root.fleet.clone(),
        role: source.role.clone(),
        epoch: root.epoch,
        serial: statement.serial,
        // Hosts never go below what they confirmed; a higher floor is for emergencies.
        floor: Serial::FIRST,
        payload: Payload {
            sha256: packed.digest,
            length: packed.length.try_into().map_err(|_| Error::Empty)?,
        },
        created,
        expires: created.after(statement.valid_for.duration()).whole_seconds(),
        kind: Kind::Configuration,
        system: source.settings.system.clone(),
        min_agent: MIN_AGENT,
        entry: source.settings.entry.clone(),
        activation: source.settings.activation.clone(),
        health: source.settings.health.clone(),
        source: manifest::Source {
            revision: statement.revision.commit,
            dirty: statement.revision.dirty,
            built_by: statement.built_by,
        },
    };
    let envelope = Envelope::sign(manifest::TYPE, &manifest.to_bytes()?, &[key])?;
    let manifest = verify::manifest(&envelope, root, statement.now)?;
    Ok(Signed { envelope, manifest })
}

/// The oldest agent that understands what [`sign`] says.
const MIN_AGENT: AgentVersion = AgentVersion::new(0, 1, 0);

/// Reads the secret key in `path`, PKCS#8 PEM that only its owner may read.
///
/// # Errors
///
/// [`Error::NoKey`], [`Error::Unreadable`], [`Error::Exposed`] or [`Error::NotAKey`].
pub fn load_key(path: &Path) -> Result<SecretKey, Error> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Error::NoKey { path }
        } else {
            Error::Unreadable { path, source }
        }
    };
    let found = fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(Error::NotAKey { path: path.to_owned(), source: key::Error::NotAKey });
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    let pem = Zeroizing::new(fs::read(path).map_err(failed)?);
    let not_a_key = |source| Error::NotAKey { path: path.to_owned(), source };
    let text = std::str::from_utf8(&pem).map_err(|_| not_a_key(key::Error::NotAKey))?;
    SecretKey::from_pem(text).map_err(not_a_key)
}

/// Whether `key` is one of the trust root's release keys.
pub fn is_release_key(id: KeyId, root: &Root) -> bool {
    root.release.keys.contains(&id)
}

/// Reads the release key in `path`, which `root` must list.
///
/// # Errors
///
/// As [`load_key`], and [`Error::Foreign`] for a key that no host would believe.
pub fn load_release_key(path: &Path, root: &Root) -> Result<SecretKey, Error> {
    let key = load_key(path)?;
    let id = key.public().id();
    if is_release_key(id, root) {
        return Ok(key);
    }
    Err(Error::Foreign { path: path.to_owned(), id, fleet: root.fleet.clone() })
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no key `{}`", path.display())]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("could not read the key `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error("others may read the key `{}` (its mode is {mode:o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("`{}` holds no secret key", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: key::Error,
    },
    /// A good key, but not of this fleet.
    #[error(
        "the key `{}` is no release key of `{fleet}`: trust.json does not list {id}",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The key's id.
        id: KeyId,
        /// Whose trust root does not list it.
        fleet: Fleet,
    },
    /// A payload of no bytes.
    #[error("the payload is empty")]
    Empty,
    /// What is to be said makes no sense.
    #[error("could not make the manifest")]
    Manifest(#[from] manifest::Error),
    /// The envelope could not be written.
    #[error("could not sign the manifest")]
    Envelope(#[from] envelope::Error),
    /// Hosts would not believe it.
    #[error("hosts would refuse what was signed")]
    Refused(#[from] verify::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::NoKey { .. } => {
                "set `signing.key` in floe.toml, or begin a fleet with `floe init`".into()
            }
            Self::Unreadable { path, .. } => format!("make `{}` readable for you", path.display()),
            Self::Exposed { path, .. } => {
                format!("chmod 600 {}; if somebody may have read it, replace it", path.display())
            }
            Self::NotAKey { .. } => {
                "expected an Ed25519 key as `floe keys new` writes it (PKCS#8 PEM)".into()
            }
            Self::Foreign { .. } => {
                "use the key that `signing.key` named when the trust root was made".into()
            }
            Self::Empty => "put configuration.nix into the role's directory".into(),
            Self::Manifest(_) => "correct host.toml".into(),
            Self::Envelope(_) => "try again".into(),
            Self::Refused(error) => error.advice().into(),
        }
    }

    /// Whether this is a matter of trust, and not of a mistake.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Foreign { .. } | Self::Refused(_) => true,
            Self::NoKey { .. }
            | Self::Unreadable { .. }
            | Self::Exposed { .. }
            | Self::NotAKey { .. }
            | Self::Empty
            | Self::Manifest(_)
            | Self::Envelope(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn key_file(mode: u32) -> (tempfile::TempDir, PathBuf, SecretKey) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("release.pem");
        let key = SecretKey::from_seed(&[7; 32]);
        fs::write(&path, key.to_pem().unwrap().as_bytes()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, path, key)
    }

    #[test]
    fn a_key_that_only_its_owner_reads_is_loaded() {
        let (_directory, path, key) = key_file(0o600);
        assert_eq!(load_key(&path).unwrap().public(), key.public());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        for mode in [0o640, 0o604, 0o644] {
            let (_directory, path, _) = key_file(mode);
            assert!(matches!(load_key(&path), Err(Error::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let (directory, path, _) = key_file(0o600);
        fs::write(&path, "hello").unwrap();
        assert!(matches!(load_key(&path), Err(Error::NotAKey { .. })));
        let gone = directory.path().join("gone.pem");
        assert!(matches!(load_key(&gone), Err(Error::NoKey { .. })));
    }
}
