//! `trust/` in the state directory: one file a version, named by its number.
//!
//! The name remembers the version even where the content is damaged, so that no damage
//! leads back to an older one. There is no checksum: the content is signed. The newest
//! two are kept. Whether a version may follow another is not judged here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::root::Root;
use floe_proto::verify::{self, Verified};
use log::error;

use crate::durable;
use crate::telemetry::Chain;

/// How many versions stay on the disk.
const KEPT: usize = 2;

/// What a host remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The newest version that can be read.
    pub(super) newest: Option<Verified<Root>>,
    /// The newest version that was ever stored; 0 before the first.
    pub(super) version: u32,
}

/// The directory.
#[derive(Clone, Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    /// The store in `state_directory`. Touches nothing.
    pub(super) fn new(state_directory: &Path) -> Self {
        Self { directory: state_directory.join("trust") }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is there. A damaged file is said and passed over, a disk that fails is an error.
    pub(super) fn load(&self) -> io::Result<Kept> {
        let versions = self.versions()?;
        let newest_version = versions.first().copied().unwrap_or(0);
        for version in versions {
            let file = self.directory.join(name(version));
            match verify::pinned_root(&fs::read(&file)?) {
                Ok(root) if root.version == version => {
                    return Ok(Kept { newest: Some(root), version: newest_version });
                }
                Ok(root) => {
                    let found = root.version;
                    error!("`{}` holds version {found} of the trust root", file.display());
                }
                Err(damage) => error!("`{}` is damaged: {}", file.display(), Chain(&damage)),
            }
        }
        Ok(Kept { newest: None, version: newest_version })
    }

    /// Stores a version; returns once it is on the disk.
    pub(super) fn save(&self, version: u32, envelope: &[u8]) -> io::Result<()> {
        durable::write(&self.directory, &name(version), envelope)?;
        for old in self.versions()?.into_iter().skip(KEPT) {
            fs::remove_file(self.directory.join(name(old)))?;
        }
        Ok(())
    }

    /// The newest first.
    fn versions(&self) -> io::Result<Vec<u32>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut versions = Vec::new();
        for entry in entries {
            let file = entry?.file_name();
            let number = file.to_str().and_then(|file| file.strip_suffix(".json")?.parse().ok());
            versions.extend(number.filter(|number| file == *name(*number)));
        }
        versions.sort_unstable_by(|a, b| b.cmp(a));
        Ok(versions)
    }
}

fn name(version: u32) -> String {
    format!("{version}.json")
}
