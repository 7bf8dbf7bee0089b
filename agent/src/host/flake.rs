//! A system of the flake in a payload, as Nix is asked for it. The lock file comes first: what it
//! does not hold to a hash is not evaluated at all.
//!
//! The same unit runs it that runs everything that is built; see `build`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::entry::Attribute;
use floe_proto::payload::ROLE;
use floe_proto::payload::flake::{self, Fault, FlakeLock};

/// The command that builds the configuration `attribute` of the flake in the payload `source`,
/// and roots it by the link `result`; without one it says what that would take.
///
/// # Errors
///
/// [`Error`] where the lock file is not complete.
pub(super) fn building(
    source: &Path,
    attribute: &Attribute,
    result: Option<&Path>,
) -> Result<Vec<OsString>, Error> {
    let directory = source.join(ROLE);
    let file = directory.join(flake::LOCK);
    let text = fs::read_to_string(&file).map_err(|source| Error::Read { file, source })?;
    let lock = FlakeLock::parse(&text).map_err(Error::Lock)?;
    if let Some(fault) = lock.faults().into_iter().next() {
        return Err(Error::Lock(fault));
    }
    let arguments = flake::building(&directory, attribute, result);
    Ok([OsString::from("nix")].into_iter().chain(arguments).collect())
}

/// Why Nix is not even asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("could not read the flake's `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// It is not complete.
    #[error("the flake's lock file was refused: {0}")]
    Lock(Fault),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Read { .. } => "build the bundle with `floe bundle build`",
            Self::Lock(fault) => fault.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn building_with(lock: Option<&str>) -> Result<Vec<OsString>, Error> {
        let source = tempfile::tempdir().unwrap();
        fs::create_dir(source.path().join(ROLE)).unwrap();
        if let Some(lock) = lock {
            fs::write(source.path().join(ROLE).join(flake::LOCK), lock).unwrap();
        }
        building(source.path(), &"www".parse().unwrap(), Some(Path::new("/result")))
    }

    #[test]
    fn t059_a_flake_whose_lock_is_not_complete_is_not_evaluated() {
        let locked = r#"{"version":7,"root":"root","nodes":{"root":{}}}"#;
        let argv = building_with(Some(locked)).unwrap();
        assert_eq!(argv[..2], ["nix", "build"]);
        assert!(argv[2].to_str().unwrap().contains("/role#nixosConfigurations.\"www\".config"));

        assert!(matches!(building_with(None), Err(Error::Read { .. })));
        let open = r#"{"version":7,"root":"root","nodes":{"root":{"inputs":{"x":"x"}},
            "x":{"original":{"type":"github"}}}}"#;
        assert!(matches!(building_with(Some(open)), Err(Error::Lock(Fault::NotLocked { .. }))));
        assert!(matches!(building_with(Some("{}")), Err(Error::Lock(Fault::Malformed { .. }))));
    }
}
