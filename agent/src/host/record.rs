//! A small document on disk that is there whole, or as it was before.
//!
//! One file `<name>` and the one before it, `<name>.previous`. Written to a third
//! name, synced, renamed, directory synced. The first line has the schema, a
//! sequence number and the SHA-256 of the rest, so that a torn or rotten file is
//! noticed and the one before it is read instead.

use std::io;
use std::path::{Path, PathBuf};

use floe_proto::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::Disk;

/// The newest schema that this program reads; it writes the oldest that will do.
const SCHEMA: u32 = 1;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// How often the document was written.
    pub sequence: u64,
    /// What it says.
    pub document: T,
}

/// Reads `<directory>/<name>`, or the one before it where that is damaged; `None`
/// where there never was one.
///
/// # Errors
///
/// [`Error::Damaged`] where something is there and none of it can be read.
pub fn read<T: DeserializeOwned>(
    disk: &impl Disk,
    directory: &Path,
    name: &str,
) -> Result<Option<Record<T>>, Error> {
    let current = directory.join(name);
    let damage = match read_one(disk, &current) {
        Ok(Some(record)) => return Ok(Some(record)),
        Ok(None) => None,
        // What is before it is not what a newer agent left: it is what it left behind.
        Err(newer @ Error::Newer { .. }) => return Err(newer),
        Err(damage) => Some(damage),
    };
    match (read_one(disk, &previous(directory, name)), damage) {
        (Ok(Some(record)), damage) => {
            let file = current.display().to_string();
            log::warn!(file = file.as_str(), lost = damage.is_some(); "damaged file; going on from the one before it");
            Ok(Some(record))
        }
        (Ok(None), None) => Ok(None),
        (_, Some(damage)) | (Err(damage), None) => Err(damage),
    }
}

/// Replaces `<directory>/<name>`; returns once it is on the disk.
///
/// # Errors
///
/// What the disk said. What was there before is still there then.
pub fn write<T: Serialize>(
    disk: &impl Disk,
    directory: &Path,
    name: &str,
    sequence: u64,
    document: &T,
) -> io::Result<()> {
    let body = serde_json::to_vec(document)?;
    let mut content = format!("floe {SCHEMA} {sequence} {}\n", Digest::of(&body)).into_bytes();
    content.extend(body);
    let (current, next) = (directory.join(name), directory.join(format!("{name}.next")));

    disk.write(&next, &content)?;
    disk.sync(&next)?;
    keep_previous(disk, directory, name)?;
    disk.rename(&next, &current)?;
    disk.sync_directory(directory)
}

/// A second name for the current file, so that there is never a moment without one.
fn keep_previous(disk: &impl Disk, directory: &Path, name: &str) -> io::Result<()> {
    let (current, previous) = (directory.join(name), previous(directory, name));
    // A damaged file must not take the place of the good one before it.
    if !matches!(check(disk, &current), Ok(Some(_))) {
        return Ok(());
    }
    let spare = directory.join(format!("{name}.spare"));
    disk.remove(&spare)?;
    disk.link(&current, &spare)?;
    disk.rename(&spare, &previous)
}

fn previous(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.previous"))
}

fn read_one<T: DeserializeOwned>(
    disk: &impl Disk,
    path: &Path,
) -> Result<Option<Record<T>>, Error> {
    let Some((sequence, body)) = check(disk, path)? else { return Ok(None) };
    match serde_json::from_slice(&body) {
        Ok(document) => Ok(Some(Record { sequence, document })),
        Err(_) => Err(Error::Damaged { file: path.to_owned() }),
    }
}

/// Sequence number and body of a file whose checksum holds.
fn check(disk: &impl Disk, path: &Path) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Unreadable { file: path.to_owned(), source }),
    };
    let damaged = || Error::Damaged { file: path.to_owned() };
    let at = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
    let (head, body) = (&bytes[..at], &bytes[at + 1..]);
    let head = std::str::from_utf8(head).map_err(|_| damaged())?;
    let words: Vec<&str> = head.split(' ').collect();
    let ["floe", schema, sequence, digest] = words.as_slice() else { return Err(damaged()) };
    let schema: u32 = schema.parse().map_err(|_| damaged())?;
    if schema > SCHEMA {
        return Err(Error::Newer { file: path.to_owned(), schema });
    }
    let sequence = sequence.parse().map_err(|_| damaged())?;
    if digest.parse() != Ok(Digest::of(body)) {
        return Err(damaged());
    }
    Ok(Some((sequence, body.to_owned())))
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not read `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Its checksum does not hold, nor is there a good one before it.
    #[error("`{}` is damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
    },
    /// Written by a newer agent.
    #[error("`{}` has schema {schema}, newer than this agent knows", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        schema: u32,
    },
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "look at the disk and at the permissions of the file",
            Self::Damaged { .. } => {
                "look at the disk; a reboot returns to the last confirmed system"
            }
            Self::Newer { .. } => "start the newer agent, or reboot to return to its system",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::disk::RealDisk;

    fn load(directory: &Path) -> Result<Option<Record<String>>, Error> {
        read(&RealDisk, directory, "x")
    }

    fn written(directory: &Path, times: u64) {
        for sequence in 1..=times {
            write(&RealDisk, directory, "x", sequence, &format!("document {sequence}")).unwrap();
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path()).unwrap().is_none());
        written(dir.path(), 3);
        let record = load(dir.path()).unwrap().unwrap();
        assert_eq!(record, Record { sequence: 3, document: "document 3".into() });
    }

    #[test]
    fn c29_a_file_torn_at_any_byte_gives_way_to_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 2);
        let whole = fs::read(dir.path().join("x")).unwrap();
        for length in 0..whole.len() {
            fs::write(dir.path().join("x"), &whole[..length]).unwrap();
            assert_eq!(load(dir.path()).unwrap().unwrap().sequence, 1, "{length}");
        }
        for at in 0..whole.len() {
            let mut rotten = whole.clone();
            rotten[at] ^= 0x10;
            fs::write(dir.path().join("x"), &rotten).unwrap();
            let document = load(dir.path()).unwrap().unwrap().document;
            assert!(document == "document 1" || document == "document 2", "{at}: {document}");
        }
    }

    #[test]
    fn a_damaged_file_does_not_push_out_the_good_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 2);
        fs::write(dir.path().join("x"), "torn").unwrap();
        write(&RealDisk, dir.path(), "x", 3, &"document 3").unwrap();
        fs::write(dir.path().join("x"), "torn").unwrap();
        assert_eq!(load(dir.path()).unwrap().unwrap().sequence, 1);
    }

    #[test]
    fn what_a_newer_agent_wrote_is_not_passed_over_for_what_was_before() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 2);
        fs::write(dir.path().join("x"), format!("floe 2 3 {}\n", Digest::of(b""))).unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Newer { schema: 2, .. })));
    }

    #[test]
    fn where_nothing_can_be_read_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), "torn").unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Damaged { .. })));
        fs::write(dir.path().join("x"), format!("floe 2 1 {}\n", Digest::of(b""))).unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Newer { schema: 2, .. })));
    }
}
