//! The list of guards: which line of the code which test stands for.
//!
//! `tests/guards.toml` names for each guard the exact text that is the guard, what to
//! put in its place, and the test that must then fail. `make guards` takes them out
//! one after the other; this file reads the list, and its tests keep it from rotting.
//! Nothing is built or run here: that is `bin/guards.rs`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One guard, and the test that stands for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The cases of `docs/trust.md` that it is there for, such as `t013` or `c21`; may be empty
    /// for what the catalogue does not name.
    #[serde(default)]
    pub ids: Vec<String>,
    /// What it guards, in a few words.
    pub what: String,
    /// The file that it stands in, from the root of the repository.
    pub file: PathBuf,
    /// The guard itself; this text occurs once in the file.
    pub find: String,
    /// What stands there when it is taken out; it compiles.
    pub replace: String,
    /// The package whose unit tests must notice.
    pub package: String,
    /// A part of the name of these tests.
    pub test: String,
}

impl Guard {
    /// `text` without this guard.
    ///
    /// # Errors
    ///
    /// Where the guard is not there, or cannot be told from something else.
    pub fn taken_out_of(&self, text: &str) -> Result<String, String> {
        let (file, find) = (self.file.display(), &self.find);
        match text.matches(find.as_str()).count() {
            _ if self.find == self.replace => Err(format!("{file}: nothing is replaced: {find}")),
            1 => Ok(text.replacen(find.as_str(), &self.replace, 1)),
            0 => Err(format!("{file}: the guard is not there (any more): {find}")),
            times => Err(format!("{file}: occurs {times} times: {find}")),
        }
    }

    /// Whether `word` names it: an id, or a part of its file, its test or its package.
    pub fn is_meant_by(&self, word: &str) -> bool {
        let id = word.to_lowercase();
        self.ids.contains(&id)
            || self.test.contains(&id)
            || self.file.to_string_lossy().contains(word)
            || self.package == word
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = if self.ids.is_empty() { "-".to_owned() } else { self.ids.join(" ") };
        write!(f, "{ids:<15} {} ({})", self.what, self.file.display())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    guard: Vec<Guard>,
}

/// Reads `tests/guards.toml` below `root`.
///
/// # Panics
///
/// Where there is no such list, or where it cannot be read.
pub fn read(root: &Path) -> Vec<Guard> {
    let file = root.join("tests/guards.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let list: List = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    list.guard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::repository_root;

    #[test]
    fn every_guard_on_the_list_is_where_the_list_says() {
        let root = repository_root();
        let faults: Vec<_> = read(&root)
            .iter()
            .filter_map(|guard| {
                let text = std::fs::read_to_string(root.join(&guard.file)).unwrap_or_default();
                guard.taken_out_of(&text).err()
            })
            .collect();
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn every_guard_has_a_test_that_is_named_after_its_case() {
        for guard in read(&repository_root()) {
            assert!(!guard.test.is_empty() && !guard.what.is_empty(), "{guard}");
            for id in &guard.ids {
                let is_case = ["t", "c"].into_iter().zip([3, 2]).any(|(kind, length)| {
                    id.strip_prefix(kind).is_some_and(|digits| {
                        digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit())
                    })
                });
                assert!(is_case, "{id}");
            }
        }
    }
}
