//! The variables of a repository, as Ansible finds them beside its inventory.
//!
//! ```text
//! group_vars/all[.yml|.yaml|.json]     a file, or a directory of files in the order of
//! group_vars/all/*                     their names, directories in it likewise
//! host_vars/<role>…                    goes before all of that
//! ```
//!
//! Each file may be sealed whole, or hold `!vault` values. As in Ansible a name of a later
//! file takes the place of the same name of an earlier one, whole and not merged. Not
//! followed: groups other than `all`, since there is no inventory that says who is in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use super::file::Error;
use super::file::{OpenFile, bytes, has_sealed_values};
use super::open;
use super::password::Password;
use super::route::Route;
use super::tree::Tree;
use super::yaml::{self, Fault};

/// What templates may name, and what of it is a secret.
#[derive(Clone, Debug)]
pub struct Variables {
    tree: Tree,
    secrets: Vec<Secret>,
}

/// A value that was sealed. Does not print.
#[derive(Clone)]
pub struct Secret {
    /// The path to it: `hosts.www.users.root.password`.
    pub name: String,
    /// What must be in no bundle.
    pub value: Zeroizing<String>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Variables {
    /// Reads what holds for `role` in the repository `root`.
    ///
    /// # Errors
    ///
    /// [`Error`], naming the file; [`Error::NoPassword`] where one is needed.
    pub fn read(root: &Path, role: &str, password: Option<&Password>) -> Result<Self, Error> {
        let mut found = Self::default();
        for path in files(root, role)? {
            found.add(&path, root, password)?;
        }
        Ok(found)
    }

    /// Whether any file that holds for `role` is sealed, whole or in part.
    ///
    /// # Errors
    ///
    /// [`Error::Read`].
    pub fn need_password(root: &Path, role: &str) -> Result<bool, Error> {
        for path in files(root, role)? {
            let bytes = bytes(&path)?;
            if super::is_sealed(&bytes) || has_sealed_values(&bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The file that says the variable which `route` begins with, opened; the last of those that
    /// hold for `role`, as it is the one that counts.
    ///
    /// # Errors
    ///
    /// As [`Variables::read`].
    pub fn holder(
        root: &Path,
        role: &str,
        route: &Route,
        password: Option<&Password>,
    ) -> Result<Option<OpenFile>, Error> {
        for path in files(root, role)?.into_iter().rev() {
            let file = OpenFile::read(&path, root, password)?;
            let sealed_as_it_is = &mut |sealed: &str| Ok(Zeroizing::new(sealed.to_owned()));
            let document = yaml::read(file.text(), sealed_as_it_is);
            if document.is_ok_and(|it| it.tree.member(route.variable()).is_some()) {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Every file of variables in the repository `root`, whomever it holds for.
    ///
    /// # Errors
    ///
    /// [`Error::Read`].
    pub fn all_files(root: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut found = Vec::new();
        for place in ["group_vars", "host_vars"].map(|place| root.join(place)) {
            if !place.is_dir() {
                continue;
            }
            for path in entries(&place)? {
                // A group or a host: its name may have dots, as those of roles do.
                let name = path.file_name().unwrap_or_default();
                let is_named = has_ending(&path) || root.join("hosts").join(name).is_dir();
                if path.is_dir() {
                    below(&path, &mut found, MAX_DEPTH)?;
                } else if path.is_file() && is_named {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    /// A map of everything.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Every value that was sealed, also those whose names a later file took.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Takes what one file says.
    fn add(&mut self, path: &Path, root: &Path, password: Option<&Password>) -> Result<(), Error> {
        let file = OpenFile::read(path, root, password)?;
        let shown = || file.shown().to_owned();
        let password = || password.ok_or_else(|| Error::NoPassword { path: shown() });
        let (sealed, text) = (file.is_sealed(), file.text());
        // The first error of opening is kept as it is; the reader only knows its line.
        let mut unopened = None;
        let document = yaml::read(text, &mut |value| {
            let opened = password().and_then(|password| {
                let opened = open(value.trim_start().as_bytes(), password);
                let opened = opened.map_err(|source| Error::Unopened { path: shown(), source })?;
                let text = std::str::from_utf8(&opened);
                text.map(|text| Zeroizing::new(text.to_owned()))
                    .map_err(|_| Error::NotText { path: shown() })
            });
            opened.map_err(|error| {
                let why = error.to_string();
                unopened = Some(error);
                why
            })
        });
        let document = match (unopened, document) {
            (Some(error), _) => return Err(error),
            (None, document) => document.map_err(|Fault { line, why }| {
                // Whatever the reader quotes of a file that was sealed may be a secret.
                let why = if sealed { "it cannot be read as variables".to_owned() } else { why };
                Error::Wrong { path: shown(), line, why }
            })?,
        };
        let mut secrets = |name: &str, value| {
            self.secrets.push(Secret { name: name.to_owned(), value });
        };
        if sealed {
            document.tree.leaves("", &mut secrets);
        } else {
            document.sealed.into_iter().for_each(|(name, value)| secrets(&name, value));
        }
        match document.tree {
            Tree::Null => Ok(()),
            Tree::Map(members) => {
                let Tree::Map(known) = &mut self.tree else { return Ok(()) };
                for (name, value) in members {
                    known.retain(|(other, _)| *other != name);
                    known.push((name, value));
                }
                Ok(())
            }
            Tree::Bool(_)
            | Tree::Int(_)
            | Tree::Float(_)
            | Tree::Text(_)
            | Tree::Verbatim(_)
            | Tree::List(_) => {
                let why = "it is no map of names and values".to_owned();
                Err(Error::Wrong { path: shown(), line: 1, why })
            }
        }
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self { tree: Tree::Map(Vec::new()), secrets: Vec::new() }
    }
}

impl From<Tree> for Variables {
    /// Variables of which none is a secret.
    fn from(tree: Tree) -> Self {
        Self { tree, secrets: Vec::new() }
    }
}

/// The endings that Ansible looks for, in its order.
const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// Deeper than people nest directories of variables.
const MAX_DEPTH: usize = 8;

/// The files that hold for `role`, the weakest first.
fn files(root: &Path, role: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for place in [root.join("group_vars").join("all"), root.join("host_vars").join(role)] {
        for ending in ENDINGS {
            let mut path = place.clone().into_os_string();
            path.push(ending);
            let path = PathBuf::from(path);
            if path.is_dir() {
                below(&path, &mut found, MAX_DEPTH)?;
                break;
            } else if path.is_file() {
                found.push(path);
                break;
            }
        }
    }
    Ok(found)
}

fn below(directory: &Path, found: &mut Vec<PathBuf>, depth: usize) -> Result<(), Error> {
    for path in entries(directory)? {
        if path.is_dir() && path.extension().is_none() && depth > 0 {
            below(&path, found, depth - 1)?;
        } else if path.is_file() && has_ending(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn has_ending(path: &Path) -> bool {
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
    ENDINGS.contains(&ending.unwrap_or_default().as_str())
}

/// What is in a directory, by name, but for what is hidden and what editors leave.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Read { path: directory.to_owned(), source };
    let entries: io::Result<Vec<_>> = fs::read_dir(directory).map_err(unreadable)?.collect();
    let mut paths: Vec<_> =
        entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && !name.ends_with('~')
    });
    Ok(paths)
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
