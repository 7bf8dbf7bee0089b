//! The key that this host's secrets are sealed to. Part of its identity: a copied disk that
//! becomes another host destroys it with the rest.

use std::io;
use std::path::{Path, PathBuf};

use floe_proto::sealed::{self, OpeningKey};

use crate::{bounded, durable};

/// The directory of the identity, in the state directory.
const DIRECTORY: &str = "identity";

/// Secret and public half.
const FILE: &str = "sealing.key";

/// Longer than any key.
const MAX_BYTES: u64 = 4 << 10;

/// The key of this host, if there is one.
///
/// # Errors
///
/// [`Error`].
pub(super) fn open(state: &Path) -> Result<Option<OpeningKey>, Error> {
    let file = state.join(DIRECTORY).join(FILE);
    match bounded::read(&file, MAX_BYTES) {
        Ok(Some(bytes)) => {
            let key = OpeningKey::from_bytes(&bytes);
            key.map(Some).map_err(|source| Error::Broken { file, source })
        }
        Ok(None) => Ok(None),
        Err(source) => Err(Error::Disk { file, source }),
    }
}

/// The key of this host, or a new one: on the disk before it is shown to anybody. One that is
/// damaged is replaced; what was sealed to it comes again.
///
/// # Errors
///
/// [`Error`].
pub(super) fn open_or_make(state: &Path) -> Result<OpeningKey, Error> {
    match open(state) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => {}
        Err(error @ Error::Broken { .. }) => log::warn!("{error}; a new one is made"),
        Err(error) => return Err(error),
    }
    let key = OpeningKey::generate().map_err(Error::Made)?;
    let directory = state.join(DIRECTORY);
    durable::write(&directory, FILE, &key.to_bytes())
        .map_err(|source| Error::Disk { file: directory.join(FILE), source })?;
    Ok(key)
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not use `{}`", file.display())]
    Disk {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The file is none.
    #[error("the key `{}` is damaged", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: sealed::Error,
    },
    /// There is no randomness.
    #[error("could not make a key for secrets")]
    Made(#[source] sealed::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "free space or mend the disk",
            Self::Broken { .. } => "restart the agent: it makes a new key, and asks again",
            Self::Made(_) => "look at the machine: its kernel gives no random bytes",
        }
    }
}
