//! The escrow key, in the data directory: by it the control plane seals secrets to hosts that
//! come by themselves. Whoever has it reads secrets, and forges none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::sealed::{self, OpeningKey};
use zeroize::Zeroizing;

use crate::durable;

/// Secret and public half.
const FILE: &str = "escrow.key";

/// The key in the data directory `data`, made where there is none.
pub(super) fn open(data: &Path) -> Result<OpeningKey, Error> {
    let file = data.join(FILE);
    match fs::read(&file) {
        Ok(bytes) => OpeningKey::from_bytes(&Zeroizing::new(bytes))
            .map_err(|source| Error::Broken { file, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = OpeningKey::generate().map_err(Error::Made)?;
            durable::write_file(&file, &key.to_bytes(), 0o600)
                .map_err(|source| Error::Disk { file, source })?;
            Ok(key)
        }
        Err(source) => Err(Error::Disk { file, source }),
    }
}

/// Why there is no escrow key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not use the escrow key `{}`", file.display())]
    Disk {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The file is none.
    #[error("the escrow key `{}` is damaged", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: sealed::Error,
    },
    /// There is no randomness.
    #[error("could not make an escrow key")]
    Made(#[source] sealed::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "look at the free space and the permissions of the data directory",
            Self::Broken { .. } => {
                "restore it from a backup; or remove it, and seal every role's secrets again"
            }
            Self::Made(_) => "look at the machine: its kernel gives no random bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let made = open(dir.path()).unwrap().public();
        assert_eq!(open(dir.path()).unwrap().public(), made);
        let file = dir.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "rot").unwrap();
        assert!(matches!(open(dir.path()), Err(Error::Broken { .. })), "never a new one instead");
    }
}
