//! A disk that loses in a power cut all that a disk may lose: content that was not synced
//! is gone, torn or there, and of the names that were changed since their directory was
//! synced any may be as before. For tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::Disk;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct LossyDisk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    files: Vec<Content>,
    /// What a name leads to, as everybody sees it, and as it would be after a power cut.
    names: BTreeMap<PathBuf, usize>,
    safe_names: BTreeMap<PathBuf, usize>,
    /// What was done to names since; one of them is done whole or not at all.
    pending: Vec<Change>,
    /// After so many steps the power fails; nothing is done any more.
    steps_left: Option<u32>,
    is_off: bool,
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
}

#[derive(Debug)]
enum Change {
    Gone(PathBuf),
    Named(PathBuf, usize),
    Moved(PathBuf, PathBuf, usize),
}

impl LossyDisk {
    /// Lets the power fail before the step after the next `steps`.
    pub(super) fn fail_after(&self, steps: Option<u32>) {
        self.platter().steps_left = steps;
    }

    /// Whether the power has failed.
    pub(super) fn is_off(&self) -> bool {
        self.platter().is_off
    }

    /// Comes up again; `chance` decides what was lost.
    pub(super) fn cut_power(&self, mut chance: impl FnMut() -> u32) {
        let mut platter = self.platter();
        for change in std::mem::take(&mut platter.pending) {
            if chance().is_multiple_of(2) {
                continue;
            }
            match change {
                Change::Gone(name) => {
                    platter.safe_names.remove(&name);
                }
                Change::Named(name, file) => {
                    platter.safe_names.insert(name, file);
                }
                Change::Moved(from, to, file) => {
                    platter.safe_names.remove(&from);
                    platter.safe_names.insert(to, file);
                }
            }
        }
        for content in &mut platter.files {
            if content.now != content.safe {
                match chance() % 3 {
                    0 => {}
                    1 => content.safe = content.now.clone(),
                    _ => {
                        let torn = chance() as usize % (content.now.len() + 1);
                        content.safe = content.now[..torn].to_vec();
                    }
                }
            }
            content.now = content.safe.clone();
        }
        platter.names = platter.safe_names.clone();
        platter.is_off = false;
        platter.steps_left = None;
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    /// The next step, if there still is power for it.
    fn step(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let mut platter = self.platter();
        match &mut platter.steps_left {
            Some(0) => platter.is_off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        if platter.is_off { Err(io::Error::other("no power")) } else { Ok(platter) }
    }
}

impl Platter {
    fn file(&self, name: &Path) -> io::Result<usize> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
}

impl Disk for LossyDisk {
    type Lock = ();

    fn make_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, file: &Path) -> io::Result<Option<()>> {
        self.lock(file).map(Some)
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let platter = self.platter();
        Ok(platter.files[platter.file(file)?].now.clone())
    }

    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        let mut platter = self.step()?;
        let at = match platter.file(file) {
            Ok(at) => at,
            Err(_) => {
                platter.files.push(Content::default());
                let at = platter.files.len() - 1;
                platter.names.insert(file.to_owned(), at);
                platter.pending.push(Change::Named(file.to_owned(), at));
                at
            }
        };
        platter.files[at].now = content.to_vec();
        Ok(())
    }

    fn sync(&self, file: &Path) -> io::Result<()> {
        let mut platter = self.step()?;
        let at = platter.file(file)?;
        platter.files[at].safe = platter.files[at].now.clone();
        Ok(())
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        let mut platter = self.step()?;
        let at = platter.file(file)?;
        platter.names.insert(name.to_owned(), at);
        platter.pending.push(Change::Named(name.to_owned(), at));
        Ok(())
    }

    fn rename(&self, file: &Path, name: &Path) -> io::Result<()> {
        let mut platter = self.step()?;
        let at = platter.file(file)?;
        platter.names.remove(file);
        platter.names.insert(name.to_owned(), at);
        platter.pending.push(Change::Moved(file.to_owned(), name.to_owned(), at));
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let mut platter = self.step()?;
        if platter.names.remove(file).is_some() {
            platter.pending.push(Change::Gone(file.to_owned()));
        }
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut platter = self.step()?;
        let here = |name: &Path| name.parent() == Some(directory);
        platter.pending.retain(|change| match change {
            Change::Gone(name) | Change::Named(name, _) | Change::Moved(name, ..) => !here(name),
        });
        platter.safe_names.retain(|name, _| !here(name));
        let safe: Vec<_> = platter.names.iter().filter(|(name, _)| here(name)).collect();
        let safe: Vec<_> = safe.into_iter().map(|(name, file)| (name.clone(), *file)).collect();
        platter.safe_names.extend(safe);
        Ok(())
    }
}
