//! The secrets of this host on its disk: sealed as they came, and what was verified of them.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use floe_proto::id::{HostId, Role};
use floe_proto::sealed;
use serde::{Deserialize, Serialize};

use super::accept::Held;
use crate::{bounded, durable};

const DIRECTORY: &str = "secrets";
const FILE: &str = "kept.json";

/// Longer than any that is written here.
const MAX_BYTES: u64 = 2 * sealed::MAX_BYTES as u64;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// What was verified when it came.
    pub(super) held: Held,
    /// Whose secrets they are.
    pub(super) role: Role,
    /// To whom they are sealed.
    pub(super) host: HostId,
    /// As it came.
    pub(super) sealed: Vec<u8>,
}

/// What is kept, if anything is.
///
/// # Errors
///
/// [`Error`].
pub(super) fn read(state: &Path) -> Result<Option<Kept>, Error> {
    let file = state.join(DIRECTORY).join(FILE);
    let bytes = match bounded::read(&file, MAX_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(Error::Damaged { file });
        }
        Err(source) => return Err(Error::Disk { file, source }),
    };
    let stored = serde_json::from_slice(&bytes);
    let Ok(Stored { schema: SCHEMA, held, role, host, sealed }) = stored else {
        return Err(Error::Damaged { file });
    };
    match BASE64.decode(sealed.as_bytes()) {
        Ok(sealed) => Ok(Some(Kept { held, role, host, sealed })),
        Err(_) => Err(Error::Damaged { file }),
    }
}

/// Keeps what was verified; what was kept before is gone.
///
/// # Errors
///
/// [`Error::Disk`]; then what was kept before still is.
pub(super) fn write(state: &Path, kept: &Kept) -> Result<(), Error> {
    let Kept { held, role, host, sealed } = kept.clone();
    let stored = Stored { schema: SCHEMA, held, role, host, sealed: BASE64.encode(&sealed) };
    let directory = state.join(DIRECTORY);
    let disk = |source| Error::Disk { file: directory.join(FILE), source };
    let bytes = serde_json::to_vec(&stored).map_err(|error| disk(error.into()))?;
    durable::write(&directory, FILE, &bytes).map_err(disk)
}

const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: u32,
    held: Held,
    role: Role,
    host: HostId,
    sealed: String,
}

/// Why it is not known what is kept.
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
    /// Not as it was written.
    #[error("the kept secrets in `{}` are damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
    },
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "free space or mend the disk",
            Self::Damaged { .. } => {
                "remove the file and restart the agent: the control plane sends them again"
            }
        }
    }
}
