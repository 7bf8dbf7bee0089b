//! `docs/catalogue.md`: which test covers which case of `docs/trust.md`.
//!
//! A test carries the numbers of its cases in its name (`t085_t086_…`), so the table's
//! column of tests is found in the sources: `make catalogue` writes it. What a case is,
//! and why there is no test for it, is written by hand. The tests here keep the table
//! whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The names of all tests for a case, by its number (`T013`).
pub type Covered = BTreeMap<String, BTreeSet<String>>;

/// Finds the tests below `root`.
///
/// # Panics
///
/// Where a source file cannot be read.
pub fn covered(root: &Path) -> Covered {
    let mut covered = Covered::new();
    for part in ["agent", "control", "proto", "tests"] {
        collect(&root.join(part), part, &mut covered);
    }
    covered
}

fn collect(directory: &Path, part: &str, covered: &mut Covered) {
    for found in fs::read_dir(directory).unwrap() {
        let path = found.unwrap().path();
        if path.is_dir() {
            collect(&path, part, covered);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for name in fs::read_to_string(&path).unwrap().lines().filter_map(test_name) {
                for id in ids(name) {
                    covered.entry(id).or_default().insert(format!("{part}: {name}"));
                }
            }
        }
    }
}

/// `t013_…` of a line `async fn t013_…() {`.
fn test_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    let name = name.split_once('(')?.0;
    (ids(name).next().is_some()).then_some(name)
}

/// The numbers at the beginning of a test's name: `t013` of a case, `c07` of a crash point.
fn ids(name: &str) -> impl Iterator<Item = String> {
    let is_id = |word: &&str| {
        let of = |kind: char, length: usize| {
            word.strip_prefix(kind).is_some_and(|digits| {
                digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit())
            })
        };
        of('t', 3) || of('c', 2)
    };
    name.split('_').take_while(is_id).map(str::to_uppercase).collect::<Vec<_>>().into_iter()
}

/// The page with the column of tests as `covered` has it. What is said to be not built
/// yet, and has a test, is built.
pub fn written(page: &str, covered: &Covered) -> String {
    let line = |line: &str| match row(line) {
        Some([id, what, _, note]) => {
            let tests = covered.get(id).into_iter().flatten();
            let tests: Vec<_> = tests.map(|name| format!("`{name}`")).collect();
            let is_built = !tests.is_empty() && note.starts_with("not built yet");
            let note = if is_built { "" } else { note };
            format!("| {id} | {what} | {} | {note} |\n", tests.join("<br>"))
        }
        None => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}

/// The cells of a line that is a case: number, what it is, tests, note.
fn row(line: &str) -> Option<[&str; 4]> {
    let cells: Vec<_> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
    let [id, what, tests, note] = cells.try_into().ok()?;
    let row = [id, what, tests, note].map(str::trim);
    row[0].strip_prefix(['T', 'C'])?.parse::<u16>().ok()?;
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::repository_root;

    fn page() -> String {
        fs::read_to_string(repository_root().join("docs/catalogue.md")).unwrap()
    }

    #[test]
    fn every_case_of_trust_has_one_row() {
        let trust = fs::read_to_string(repository_root().join("docs/trust.md")).unwrap();
        let between = |begin: &str, end: &str| {
            trust[trust.find(begin).unwrap()..trust.find(end).unwrap()].lines()
        };
        let cases =
            between("### A. Trust and manifest", "### F. Control plane").filter_map(|line| {
                line.strip_prefix("|T")
                    .and_then(|rest| rest.split_once('|'))
                    .map(|(id, _)| format!("T{id}"))
            });
        let points = between("### 4.4 Crash points", "## 5. Test catalogue").filter_map(|line| {
            let number = line.strip_prefix("| C")?.split_once(' ')?.0;
            Some(format!("C{:02}", number.parse::<u8>().ok()?))
        });
        let page = page();
        let rows: Vec<_> = page.lines().filter_map(row).map(|[id, ..]| id).collect();
        for case in cases.chain(points) {
            let count = rows.iter().filter(|id| **id == case).count();
            assert_eq!(count, 1, "{case} in docs/catalogue.md");
        }
    }

    #[test]
    fn every_test_in_the_table_exists_and_what_has_none_says_why() {
        let covered = covered(&repository_root());
        for [id, _, tests, note] in page().lines().filter_map(row) {
            assert!(!(tests.is_empty() && note.is_empty()), "{id} has neither test nor reason");
            for name in tests.split("<br>").filter(|name| !name.is_empty()) {
                let exists = covered[id].contains(name.trim_matches('`'));
                assert!(exists, "{id}: {name} is gone; run `make catalogue`");
            }
        }
    }

    #[test]
    fn a_row_gets_the_tests_that_there_are() {
        let covered = [("T086".to_owned(), ["a: t085_t086_x".to_owned()].into())].into();
        let page = "| T086 | what | old | why |\n| no row |\n| T087 | | gone | |\n| T086 | | | not built yet |\n";
        let expected = "| T086 | what | `a: t085_t086_x` | why |\n| no row |\n| T087 |  |  |  |\n| T086 |  | `a: t085_t086_x` |  |\n";
        assert_eq!(written(page, &covered), expected);
        assert_eq!(ids("t085_c07_x_t1").collect::<Vec<_>>(), ["T085", "C07"]);
    }
}
