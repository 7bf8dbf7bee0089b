//! What a journal needs of a disk, one step at a time: content is safe once it is synced,
//! a name once its directory is. What a power cut leaves of the rest is the disk's to say;
//! the tests have one that loses all it may (`power_cut_tests.rs`).

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::system;

/// A place for small files. All methods fail with what the disk said.
pub trait Disk: Clone + Debug + Send + 'static {
    /// Held for as long as nobody else may write.
    type Lock: Debug + Send;

    /// Makes a directory for root alone, and those above it, where there is none.
    fn make_directory(&self, directory: &Path) -> io::Result<()>;

    /// Waits for the lock that `file` stands for.
    fn lock(&self, file: &Path) -> io::Result<Self::Lock>;

    /// The lock that `file` stands for; `None` where somebody else holds it.
    fn try_lock(&self, file: &Path) -> io::Result<Option<Self::Lock>>;

    /// What a file holds.
    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// Makes or replaces a file, for root alone.
    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()>;

    /// Returns once a file's content outlasts a power cut.
    fn sync(&self, file: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    fn link(&self, file: &Path, name: &Path) -> io::Result<()>;

    /// Gives a file another name, from one moment to the next.
    fn rename(&self, file: &Path, name: &Path) -> io::Result<()>;

    /// Takes a name away. That there is none is as good.
    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Returns once the names in a directory outlast a power cut.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type Lock = File;

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)
    }

    fn lock(&self, file: &Path) -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(file)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn try_lock(&self, file: &Path) -> io::Result<Option<File>> {
        let file = File::options().create(true).truncate(false).write(true).open(file)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        fs::read(file)
    }

    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
        file.write_all(content)
    }

    fn sync(&self, file: &Path) -> io::Result<()> {
        File::open(file)?.sync_all()
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        fs::hard_link(file, name)
    }

    fn rename(&self, file: &Path, name: &Path) -> io::Result<()> {
        fs::rename(file, name)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        system::sync_directory(directory)
    }
}
