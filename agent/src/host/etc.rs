//! The `/etc` of a system that need not run: every file of it, as far as two can be told apart.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use floe_proto::digest::Digest;

use super::paths::STORE;
use crate::activation::state::Toplevel;
use crate::preview::difference::FileFace;

/// The most files that are looked at; a system has some thousand.
const MAX_FILES: usize = 100_000;

/// How deep directories are followed.
const MAX_DEPTH: usize = 32;

/// The largest file whose content is compared, in bytes; of others the place is.
const MAX_CONTENT: u64 = 1024 * 1024;

/// The files of `system`'s `/etc`, by their path below it.
///
/// # Errors
///
/// What the disk said, or that there are too many.
pub fn faces(system: &Toplevel) -> io::Result<BTreeMap<String, FileFace>> {
    let root = system.join("etc").canonicalize()?;
    let mut walk = Walk { store: Path::new(STORE), found: BTreeMap::new() };
    walk.through(&root, String::new(), MAX_DEPTH)?;
    Ok(beside_their_modes(walk.found))
}

struct Walk<'a> {
    /// What is followed: a link that leads out of it may lead to what never ends, or to a disk
    /// that is not there.
    store: &'a Path,
    found: BTreeMap<String, FileFace>,
}

impl Walk<'_> {
    fn through(&mut self, directory: &Path, prefix: String, depth: usize) -> io::Result<()> {
        let Some(depth) = depth.checked_sub(1) else { return Err(io::Error::other("too deep")) };
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let inside = self.inside(&path)?;
            if inside.as_ref().is_some_and(|place| place.is_dir()) {
                self.through(&path, name, depth)?;
            } else if self.found.len() < MAX_FILES {
                let content = content(inside.as_deref().unwrap_or(&path))?;
                self.found.insert(name, FileFace { content, mode: String::new() });
            } else {
                return Err(io::Error::other("it has too many files"));
            }
        }
        Ok(())
    }

    /// Where `path` leads, link by link, as long as that is in the store.
    fn inside(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let mut place = path.to_owned();
        for _ in 0..MAX_DEPTH {
            if !place.starts_with(self.store) || !place.is_absolute() {
                return Ok(None);
            }
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_symlink() => {
                    let target = fs::read_link(&place)?;
                    let parent = place.parent().unwrap_or_else(|| Path::new("/"));
                    // Links of the store that go up are few; they are not followed.
                    if target.components().any(|part| part == Component::ParentDir) {
                        return Ok(None);
                    }
                    place = parent.join(target);
                }
                Ok(_) => return Ok(Some(place)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// What is in a file of the store; of a link that leads elsewhere, where it leads.
fn content(path: &Path) -> io::Result<String> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(fs::read_link(path)?.to_string_lossy().into_owned());
    }
    if metadata.len() > MAX_CONTENT {
        return Ok(path.to_string_lossy().into_owned());
    }
    Ok(Digest::of(&fs::read(path)?).to_string())
}

/// A file that is copied has its permissions, owner and group in files beside it (nixpkgs,
/// nixos/modules/system/etc: `name.mode`, `name.uid`, `name.gid`).
fn beside_their_modes(mut found: BTreeMap<String, FileFace>) -> BTreeMap<String, FileFace> {
    let beside = |path: &String| {
        let base = [".mode", ".uid", ".gid"].iter().find_map(|end| path.strip_suffix(end))?;
        found.contains_key(base).then(|| (path.clone(), base.to_owned()))
    };
    let modes: Vec<_> = found.keys().filter_map(beside).collect();
    for (path, base) in modes {
        let mode = found.remove(&path).map(|face| face.content).unwrap_or_default();
        if let Some(face) = found.get_mut(&base) {
            face.mode.push_str(&mode);
            face.mode.push(' ');
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_what_is_in_them_wherever_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for root in [&one, &two] {
            fs::create_dir_all(root.join("store")).unwrap();
            fs::create_dir(root.join("etc")).unwrap();
            fs::write(root.join("store/motd"), "hello").unwrap();
            symlink(root.join("store/motd"), root.join("etc/motd")).unwrap();
            symlink(root.join("store"), root.join("etc/linked")).unwrap();
            symlink("/nowhere/at/all", root.join("etc/dangling")).unwrap();
            // What is outside is not looked at, whatever it is.
            symlink("/proc", root.join("etc/outside")).unwrap();
            fs::write(root.join("etc/motd.mode"), "0600").unwrap();
            fs::write(root.join("etc/lone.mode"), "x").unwrap();
        }
        let faces = |root: &Path| {
            let mut walk = Walk { store: dir.path(), found: BTreeMap::new() };
            walk.through(&root.join("etc"), String::new(), MAX_DEPTH).unwrap();
            beside_their_modes(walk.found)
        };
        let names: Vec<_> = faces(&one).into_keys().collect();
        assert_eq!(names, ["dangling", "linked/motd", "lone.mode", "motd", "outside"]);
        assert_eq!(faces(&one), faces(&two));
        fs::write(two.join("etc/motd.mode"), "0644").unwrap();
        assert_ne!(faces(&one)["motd"], faces(&two)["motd"]);
    }

    #[test]
    fn a_directory_that_leads_into_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink(dir.path(), dir.path().join("again")).unwrap();
        let mut walk = Walk { store: dir.path(), found: BTreeMap::new() };
        assert!(walk.through(dir.path(), String::new(), MAX_DEPTH).is_err());
    }
}
