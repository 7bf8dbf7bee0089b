//! Why the fleet repository could not be used.

use std::io;
use std::path::{Path, PathBuf};

use floe_proto::id::Role;
use floe_proto::payload::lock;
use floe_proto::verify;

use super::HOST_FILE;
use super::fault::{Fault, Place};

/// Why the fleet repository could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither here nor in any directory above.
    #[error("there is no floe.toml in `{}` or above", from.display())]
    NotARepository {
        /// Where the search began.
        from: PathBuf,
    },
    /// `hosts/<role>/` does not exist.
    #[error("there is no role `{role}` in `{}`", hosts.display())]
    NoSuchRole {
        /// What was asked for.
        role: Role,
        /// Where roles are.
        hosts: PathBuf,
        /// Those that are there.
        known: Vec<String>,
    },
    /// The file is missing or cannot be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The file was read, and says what it must not.
    #[error("`{}` is not right: {}", path.display(), listed(faults))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<Fault>,
    },
    /// `floe.lock` is not right.
    #[error("could not use the pins of `{}`", path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// Where in it, if anywhere.
        place: Option<Box<Place>>,
        /// Why.
        #[source]
        source: lock::Error,
    },
    /// `trust.json` is no trust root of this fleet.
    #[error("could not use the trust root `{}`", path.display())]
    Trust {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: verify::Error,
    },
}

/// Whether the file that could not be read has this name, and is not there.
fn is_missing(path: &Path, source: &io::Error, name: &str) -> bool {
    source.kind() == io::ErrorKind::NotFound && path.ends_with(name)
}

/// In one sentence; `floe check` shows the lines.
fn listed(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::NotARepository { .. } => {
                "change to the fleet repository, name it with --repo, or begin one with `floe init`"
                    .into()
            }
            Self::NoSuchRole { known, .. } if known.is_empty() => {
                "make a directory for it below hosts/, with configuration.nix and host.toml".into()
            }
            Self::NoSuchRole { known, .. } => format!("one of: {}", known.join(", ")),
            Self::Read { path, source } if is_missing(path, source, HOST_FILE) => {
                "write it; `floe init FLEET --example ROLE` writes one to begin with".into()
            }
            Self::Read { path, .. } => format!("make sure that `{}` is readable", path.display()),
            Self::Lock { source, .. } => source.advice().into(),
            Self::Wrong { path, .. } => {
                format!("correct `{}`", path.display())
            }
            Self::Trust { .. } => {
                "restore trust.json from version control; it must not be edited by hand".into()
            }
        }
    }
}
