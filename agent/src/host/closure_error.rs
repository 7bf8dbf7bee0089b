//! Why there is no system of a closure; and whether it is worth another try.

use std::io;
use std::path::PathBuf;

use floe_proto::closure::{self, Closure};
use floe_proto::store_path::StorePath;

use super::{build, fetch, process};

/// Why there is no system. Nothing on the machine was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list in the payload is none.
    #[error("the payload's list of store paths was refused")]
    List(#[from] closure::Error),
    /// A NAR could not be had.
    #[error("`{path}` could not be fetched")]
    Fetch {
        /// What it would have become.
        path: StorePath,
        /// Why.
        #[source]
        source: fetch::Error,
    },
    /// Too little room for what is missing.
    #[error(
        "the closure needs {} MiB at `{}`, with what must stay free, and {} MiB are",
        needed >> 20, place.display(), free >> 20
    )]
    Full {
        /// Where.
        place: PathBuf,
        /// In bytes.
        free: u64,
        /// In bytes.
        needed: u64,
    },
    /// Nix does not know the keys.
    #[error(
        "this host trusts no key that signed the closure ({keys}); its `nix.settings.trusted-public-keys` \
         must name one, by a push without --closure: {said}"
    )]
    Untrusted {
        /// Names of the keys that signed.
        keys: String,
        /// What Nix said.
        said: String,
    },
    /// Nix said no.
    #[error("the closure could not be copied into the store: {said}")]
    Copy {
        /// What it said.
        said: String,
    },
    /// It was stopped, or systemd said no.
    #[error("the closure could not be copied into the store")]
    Unit(#[source] build::Error),
    /// What is there now is something else.
    #[error("`{listed}`, which the closure is for, is no NixOS system in the store")]
    OtherSystem {
        /// What should be.
        listed: StorePath,
    },
    /// Nix could not be asked.
    #[error("could not ask Nix what is in the store")]
    Nix(#[source] process::Error),
    /// The disk said no.
    #[error("could not read or write `{}`", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(super) fn disk(path: PathBuf, source: io::Error) -> Self {
        Self::Disk { path, source }
    }

    pub(super) fn fetch(path: &StorePath, source: fetch::Error) -> Self {
        Self::Fetch { path: path.clone(), source }
    }

    /// What came of the unit in which Nix copied.
    pub(super) fn copy(error: build::Error, closure: &Closure) -> Self {
        match error {
            // "lacks a valid signature", or since 2.19 "lacks a signature by a trusted key".
            build::Error::Failed { said } if said.contains("lacks a") => {
                let keys = closure.paths.iter().flat_map(|entry| &entry.signatures);
                let mut keys: Vec<_> = keys.map(|signature| signature.key()).collect();
                keys.sort_unstable();
                keys.dedup();
                keys.truncate(8);
                Self::Untrusted { keys: keys.join(", "), said }
            }
            build::Error::Failed { said } => Self::Copy { said },
            other @ (build::Error::TooLong(_)
            | build::Error::TooMuch(_)
            | build::Error::NoSystem
            | build::Error::NoPins
            | build::Error::Lock(_)
            | build::Error::Flake(_)
            | build::Error::Read { .. }
            | build::Error::Systemd(_)) => Self::Unit(other),
        }
    }

    /// Whether it says something of what was downloaded, which is of no use then.
    pub(super) fn is_of_the_closure(&self) -> bool {
        match self {
            Self::List(_) | Self::Untrusted { .. } | Self::Copy { .. } => true,
            Self::Fetch { .. }
            | Self::Full { .. }
            | Self::Unit(_)
            | Self::OtherSystem { .. }
            | Self::Nix(_)
            | Self::Disk { .. } => false,
        }
    }

    /// Whether somebody may have collected what was there, so that it is worth fetching again.
    pub fn may_be_collected(&self) -> bool {
        match self {
            Self::Copy { .. } | Self::OtherSystem { .. } | Self::Nix(_) => true,
            Self::List(_)
            | Self::Fetch { .. }
            | Self::Full { .. }
            | Self::Untrusted { .. }
            | Self::Unit(_)
            | Self::Disk { .. } => false,
        }
    }

    /// Whether the same may work a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => source.is_transient(),
            Self::List(_)
            | Self::Full { .. }
            | Self::Untrusted { .. }
            | Self::Copy { .. }
            | Self::Unit(_)
            | Self::OtherSystem { .. }
            | Self::Nix(_)
            | Self::Disk { .. } => false,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::List(error) => error.advice(),
            Self::Fetch { source, .. } => source.advice(),
            Self::Full { .. } => "collect garbage on the host, or give it a larger disk",
            Self::Untrusted { .. } => {
                "push a configuration that names the key in `nix.settings.trusted-public-keys`, \
                 or sign with a key that it names"
            }
            Self::Copy { .. } | Self::OtherSystem { .. } => "build the closure again, and push it",
            Self::Unit(error) => error.advice(),
            Self::Nix(error) => error.advice(),
            Self::Disk { .. } => "look at the host's disk",
        }
    }
}
