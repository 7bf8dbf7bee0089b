//! A binary cache in a directory, out of which Nix copies a closure (`file://`): one
//! `.narinfo` for each path, and the NARs of those that this machine lacks.
//!
//! Nix resolves a NAR relative to its cache, so that presigned URLs could be none. A NAR
//! has its name only once it is whole and was compared with what was signed, so that what
//! is there after a kill or a power cut need not come again.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use floe_proto::closure::{Closure, NarFile};

/// The cache.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The cache in `directory`, which may not be there yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Makes it ready for the NARs of `closure`, and removes what belongs to no path of it.
    ///
    /// # Errors
    ///
    /// What the disk said.
    pub fn prepare(&self, closure: &Closure) -> io::Result<()> {
        let wanted: BTreeSet<OsString> =
            closure.files().values().map(|file| file.name().into()).collect();
        make(&self.nars())?;
        for entry in fs::read_dir(self.nars())? {
            let entry = entry?;
            if !wanted.contains(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Says of every path of `closure` what Nix needs to know, those that are here
    /// already included: it asks for all of them.
    ///
    /// # Errors
    ///
    /// What the disk said.
    pub fn describe(&self, closure: &Closure) -> io::Result<()> {
        self.say("nix-cache-info", "StoreDir: /nix/store\n")?;
        closure.paths.iter().try_for_each(|entry| {
            self.say(&format!("{}.narinfo", entry.path.hash()), &entry.narinfo())
        })
    }

    /// Writes a file, unless it says that already: a copy that an earlier process began may
    /// read it at the moment.
    fn say(&self, name: &str, text: &str) -> io::Result<()> {
        let file = self.directory.join(name);
        if fs::read(&file).is_ok_and(|said| said == text.as_bytes()) {
            return Ok(());
        }
        fs::write(file, text)
    }

    /// Where a NAR lies once it is whole.
    pub fn nar(&self, file: &NarFile) -> PathBuf {
        self.nars().join(file.name())
    }

    /// Whether a NAR is there.
    pub fn has(&self, file: &NarFile) -> bool {
        fs::metadata(self.nar(file)).is_ok_and(|found| found.len() == file.length.get())
    }

    /// As Nix is told of it.
    pub fn url(&self) -> OsString {
        let mut url = OsString::from("file://");
        url.push(&self.directory);
        url
    }

    /// Removes it, if it is there.
    ///
    /// # Errors
    ///
    /// What the disk said.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn nars(&self) -> PathBuf {
        self.directory.join("nar")
    }
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::super::closure::tests::closure;
    use super::*;

    #[test]
    fn what_belongs_to_another_closure_or_is_half_a_nar_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("closure"));
        let closure = closure();
        cache.prepare(&closure).unwrap();
        let file = closure.paths[0].file;
        let nar = cache.nar(&file);
        fs::write(nar.with_extension("partial"), "half").unwrap();
        fs::write(cache.nars().join("other.nar.zst"), "x").unwrap();
        fs::write(&nar, "too short").unwrap();
        assert!(!cache.has(&file));
        fs::write(&nar, vec![0; usize::try_from(file.length.get()).unwrap()]).unwrap();
        assert!(cache.has(&file));

        cache.prepare(&closure).unwrap();
        let left: Vec<_> =
            fs::read_dir(cache.nars()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [nar]);
        cache.describe(&closure).unwrap();
        let said = dir.path().join("closure").join(format!("{}.narinfo", closure.toplevel.hash()));
        assert_eq!(fs::read_to_string(said).unwrap(), closure.paths[0].narinfo());
        cache.remove().unwrap();
        cache.remove().unwrap();
    }
}
