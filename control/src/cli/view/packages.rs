//! Store paths that come and go, as packages with versions. Pure.

use std::collections::{BTreeMap, BTreeSet};

use floe_proto::pb;
use serde::Serialize;

/// What becomes of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PackageView {
    pub(crate) name: String,
    /// Versions that go; empty where it is new. A package without a version has an empty one.
    pub(crate) before: Vec<String>,
    /// Versions that come; empty where it goes.
    pub(crate) after: Vec<String>,
    /// How many bytes more it takes, or fewer.
    pub(crate) bytes: i64,
}

impl PackageView {
    /// Whether the same versions were built anew, of other things.
    pub(crate) fn is_rebuilt(&self) -> bool {
        self.before == self.after
    }
}

/// The packages of `added` and `removed` store paths, by name.
pub(crate) fn packages(added: &[pb::StoreObject], removed: &[pb::StoreObject]) -> Vec<PackageView> {
    let mut found: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>, i64)> = BTreeMap::new();
    for object in removed {
        let (name, version) = split(&object.name);
        let (before, _, bytes) = found.entry(name).or_default();
        before.insert(version);
        *bytes = bytes.saturating_sub_unsigned(object.bytes);
    }
    for object in added {
        let (name, version) = split(&object.name);
        let (_, after, bytes) = found.entry(name).or_default();
        after.insert(version);
        *bytes = bytes.saturating_add_unsigned(object.bytes);
    }
    let owned = |versions: BTreeSet<&str>| versions.into_iter().map(str::to_owned).collect();
    let view = |(name, (before, after, bytes)): (&str, (_, _, _))| PackageView {
        name: name.to_owned(),
        before: owned(before),
        after: owned(after),
        bytes,
    };
    found.into_iter().map(view).collect()
}

/// `<hash>-<name>-<version>[-<output>]` → name and version, as `nix store diff-closures` has
/// them: a version begins after the first dash that no letter follows (Nix manual,
/// `builtins.parseDrvName`), and an output is no part of it.
fn split(object: &str) -> (&str, &str) {
    let name = object.split_once('-').map_or(object, |(_, name)| name);
    let dashes = name.match_indices('-').map(|(at, _)| at);
    let begins = |at: &usize| {
        name.get(at + 1..).and_then(|rest| rest.chars().next()).is_some_and(|c| !c.is_alphabetic())
    };
    let Some(at) = dashes.into_iter().find(begins) else { return (name, "") };
    let (name, version) = (name.get(..at).unwrap_or(name), name.get(at + 1..).unwrap_or(""));
    let output = |word: &str| {
        matches!(word, "lib32" | "lib64")
            || (!word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
    };
    let version = match version.rsplit_once('-') {
        Some((version, last)) if output(last) => version,
        Some(_) | None => version,
    };
    (name, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(objects: &[(&str, u64)]) -> Vec<pb::StoreObject> {
        let object = |(name, bytes): &(&str, u64)| pb::StoreObject {
            name: format!("{}-{name}", "a".repeat(32)),
            bytes: *bytes,
        };
        objects.iter().map(object).collect()
    }

    #[test]
    fn a_name_ends_where_a_version_begins() {
        let of = |name: &str| {
            let object = format!("{}-{name}", "a".repeat(32));
            let (name, version) = split(&object);
            (name.to_owned(), version.to_owned())
        };
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(of("nginx-1.26.2"), pair("nginx", "1.26.2"));
        assert_eq!(of("openssl-3.0.14-bin"), pair("openssl", "3.0.14"));
        assert_eq!(of("nixos-system-www-24.11"), pair("nixos-system-www", "24.11"));
        assert_eq!(of("unit-nginx.service"), pair("unit-nginx.service", ""));
        assert_eq!(of("python3.12-requests-2.32"), pair("python3.12-requests", "2.32"));
        assert_eq!(split("nohash"), ("nohash", ""));
        assert_eq!(split("x-"), ("", ""));
    }

    #[test]
    fn packages_come_go_and_change() {
        let added = objects(&[("nginx-1.26.2", 30), ("curl-8.1", 5), ("etc", 1), ("x-1-dev", 2)]);
        let removed = objects(&[("nginx-1.24.0", 10), ("vim-9.0", 7), ("etc", 1), ("x-1", 1)]);
        let found = packages(&added, &removed);
        let shown = |view: &PackageView| {
            format!("{}: {:?} to {:?}, {}", view.name, view.before, view.after, view.bytes)
        };
        let shown: Vec<_> = found.iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                r#"curl: [] to ["8.1"], 5"#,
                r#"etc: [""] to [""], 0"#,
                r#"nginx: ["1.24.0"] to ["1.26.2"], 20"#,
                r#"vim: ["9.0"] to [], -7"#,
                r#"x: ["1"] to ["1"], 1"#,
            ]
        );
        assert!(found[1].is_rebuilt() && !found[0].is_rebuilt());
    }
}
