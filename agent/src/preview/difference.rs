//! What would change on this host. Pure: what was found on two systems, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::activation::reboot::Reason;
use crate::activation::state::Toplevel;

/// What would change on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What runs now.
    pub running: Toplevel,
    /// What was built.
    pub built: Toplevel,
    /// How long that took.
    pub build: Duration,
    /// What had to be fetched and built for it.
    pub effort: Effort,
    /// What the new system says that it would do to units, or why it does not say it.
    pub units: Result<Units, String>,
    /// Why it would only run whole after a reboot.
    pub reboot: Vec<Reason>,
    /// Whether it would be rebooted for it.
    pub reboots: bool,
    /// Why this host would refuse to switch to it, if it would.
    pub refused: Option<String>,
    /// Files below `/etc` that differ, or why that is not known.
    pub files: Result<BTreeMap<String, Change>, String>,
    /// Store paths that only the new system needs, by name, and their bytes.
    pub added: BTreeMap<String, u64>,
    /// Store paths that only the running system needs.
    pub removed: BTreeMap<String, u64>,
}

/// What Nix foretold before it built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// How many store paths are fetched.
    pub fetched: u32,
    /// Bytes over the network.
    pub download: u64,
    /// Bytes on the disk.
    pub unpacked: u64,
    /// How many derivations this host builds.
    pub built: u32,
}

/// What `dry-activate` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Would be stopped.
    pub stop: Vec<String>,
    /// Would be started.
    pub start: Vec<String>,
    /// Would be restarted.
    pub restart: Vec<String>,
    /// Would be reloaded.
    pub reload: Vec<String>,
    /// Have changed, and would be left alone.
    pub left_alone: Vec<String>,
    /// What else it would do.
    pub other: Vec<String>,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the new system has it.
    Added,
    /// Only the running system has it.
    Removed,
    /// Both have it, with another content.
    Changed,
}

/// A file below `/etc`, as far as it decides whether two are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFace {
    /// Where it leads, or what is in it.
    pub content: String,
    /// Its permissions, owner and group, where it is a copy with its own.
    pub mode: String,
}

/// What differs between the files of two systems.
pub fn files(
    running: &BTreeMap<String, FileFace>,
    built: &BTreeMap<String, FileFace>,
) -> BTreeMap<String, Change> {
    let removed = running.keys().filter(|path| !built.contains_key(*path));
    let removed = removed.map(|path| (path.clone(), Change::Removed));
    let rest = built.iter().filter_map(|(path, face)| match running.get(path) {
        None => Some((path.clone(), Change::Added)),
        Some(before) if before != face => Some((path.clone(), Change::Changed)),
        Some(_) => None,
    });
    removed.chain(rest).collect()
}

/// The store paths that only one of two closures has: those that come, and those that go.
pub fn paths(running: &BTreeSet<String>, built: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    let only =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect();
    (only(built, running), only(running, built))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faces(files: &[(&str, &str)]) -> BTreeMap<String, FileFace> {
        let face = |content: &str| FileFace { content: content.into(), mode: String::new() };
        files.iter().map(|(path, content)| ((*path).to_owned(), face(content))).collect()
    }

    #[test]
    fn a_file_comes_goes_or_changes() {
        let before = faces(&[("fstab", "a"), ("hosts", "same"), ("motd", "old")]);
        let after = faces(&[("hosts", "same"), ("motd", "new"), ("nginx.conf", "x")]);
        let expected = [
            ("fstab".to_owned(), Change::Removed),
            ("motd".to_owned(), Change::Changed),
            ("nginx.conf".to_owned(), Change::Added),
        ];
        assert_eq!(files(&before, &after), expected.into());
        let mut copied = after.clone();
        copied.get_mut("motd").unwrap().mode = "0600".into();
        assert_eq!(files(&after, &copied), [("motd".to_owned(), Change::Changed)].into());
    }

    #[test]
    fn a_store_path_comes_or_goes() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (added, removed) = paths(&set(&["a", "b"]), &set(&["b", "c"]));
        assert_eq!((added, removed), (vec!["c".to_owned()], vec!["a".to_owned()]));
    }
}
