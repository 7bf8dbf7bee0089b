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

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::password::Password;
use super::tree::Tree;
use super::yaml::{self, Fault};
use super::{error, open};

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
            let marks = [b"!vault".as_slice(), b"!vault-encrypted"];
            let inline = marks.iter().any(|mark| bytes.windows(mark.len()).any(|at| at == *mark));
            if super::is_sealed(&bytes) || inline {
                return Ok(true);
            }
        }
        Ok(false)
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
        let shown = || path.strip_prefix(root).unwrap_or(path).to_owned();
        let bytes = bytes(path)?;
        let password = || password.ok_or_else(|| Error::NoPassword { path: shown() });
        let sealed = super::is_sealed(&bytes);
        let bytes = if sealed {
            open(&bytes, password()?).map_err(|source| Error::Unopened { path: shown(), source })?
        } else {
            bytes
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::NotText { path: shown() })?;
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

/// Longer than any file of variables.
const MAX_BYTES: u64 = 4 << 20;

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
    let unreadable = |source| Error::Read { path: directory.to_owned(), source };
    let entries: io::Result<Vec<_>> = fs::read_dir(directory).map_err(unreadable)?.collect();
    let mut paths: Vec<_> =
        entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().map(|e| format!(".{}", e.to_string_lossy()));
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if path.is_dir() && ending.is_none() && depth > 0 {
            below(&path, found, depth - 1)?;
        } else if path.is_file() && ENDINGS.contains(&ending.unwrap_or_default().as_str()) {
            found.push(path);
        }
    }
    Ok(())
}

fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > MAX_BYTES {
        return Err(Error::TooLong { path: path.to_owned() });
    }
    // With room for all of it, no copy is left behind by growing.
    let room = usize::try_from(length).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Why the variables could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A file has too many bytes.
    #[error("`{}` has more than {MAX_BYTES} bytes", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// A file is sealed, and nobody gave a password.
    #[error("`{}` is sealed, and there is no vault password", path.display())]
    NoPassword {
        /// Which file.
        path: PathBuf,
    },
    /// A file could not be opened.
    #[error("could not open `{}`", path.display())]
    Unopened {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: error::Error,
    },
    /// A file, or what was sealed in it, is no text.
    #[error("`{}` holds what is no UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
    /// A file is no YAML of variables.
    #[error("`{}` is not right: line {line}: {why}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Read { path, .. } => format!("make sure that `{}` is readable", path.display()),
            Self::TooLong { .. } => "keep variables in it, and files elsewhere".into(),
            Self::NoPassword { .. } => {
                "name the file with the password: --vault-password-file, or \
                 FLOE_VAULT_PASSWORD_FILE; on a terminal you are asked"
                    .into()
            }
            Self::Unopened { source, .. } => source.advice().into(),
            Self::NotText { .. } => {
                "take it out of the variables; a file of bytes can be a secret by itself".into()
            }
            Self::Wrong { path, .. } => format!("correct `{}`", path.display()),
        }
    }
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
