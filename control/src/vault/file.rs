//! One file of variables: opened where it is sealed, and sealed again as it was.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::password::Password;
use super::route::Route;
use super::{cipher, error, format, replace};
use crate::{bounded, durable};

/// Longer than any file of variables.
const MAX_BYTES: u64 = 4 << 20;

/// A file of variables. Does not print what is in it.
pub struct OpenFile {
    path: PathBuf,
    /// Relative to the repository.
    shown: PathBuf,
    /// As it lies there; `None` where it does not yet.
    bytes: Option<Zeroizing<Vec<u8>>>,
    seal: Option<Seal>,
    text: Zeroizing<String>,
}

/// How a file is sealed as a whole.
#[derive(Clone, Debug, Default)]
struct Seal {
    /// The vault id that it carries.
    label: Option<String>,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.shown).finish_non_exhaustive()
    }
}

impl OpenFile {
    /// Reads `path`, which is told relative to `root`.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Error::NoPassword`] where it is sealed as a whole.
    pub fn read(path: &Path, root: &Path, password: Option<&Password>) -> Result<Self, Error> {
        let shown = path.strip_prefix(root).unwrap_or(path).to_owned();
        let bytes = bytes(path)?;
        let not_text = |_| Error::NotText { path: shown.clone() };
        let unopened = |source| Error::Unopened { path: shown.clone(), source };
        let (seal, text) = if format::is_sealed(&bytes) {
            let password = password.ok_or_else(|| Error::NoPassword { path: shown.clone() })?;
            let opened = cipher::open(&bytes, password).map_err(unopened)?;
            let text = std::str::from_utf8(&opened).map_err(not_text)?.to_owned();
            let label = format::label(&bytes).map_err(unopened)?;
            (Some(Seal { label }), Zeroizing::new(text))
        } else {
            let text = std::str::from_utf8(&bytes).map_err(not_text)?.to_owned();
            (None, Zeroizing::new(text))
        };
        Ok(Self { path: path.to_owned(), shown, bytes: Some(bytes), seal, text })
    }

    /// A file that is not there yet, and will be sealed.
    pub fn new(path: &Path, root: &Path) -> Self {
        let shown = path.strip_prefix(root).unwrap_or(path).to_owned();
        let (seal, text) = (Some(Seal::default()), Zeroizing::default());
        Self { path: path.to_owned(), shown, bytes: None, seal, text }
    }

    /// Its path, as it is told.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is sealed as a whole.
    pub fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// The file with `value` where `route` leads to; in a file that is not sealed, sealed.
    ///
    /// # Errors
    ///
    /// [`Error::Clear`] where it would stand there in the clear, [`Error::Unreplaced`].
    pub fn with(&self, route: &Route, value: &str, password: &Password) -> Result<Edited, Error> {
        let unreplaced = |source| Error::Unreplaced { path: self.shown.clone(), source };
        let text = match &self.seal {
            Some(_) => replace::replace(&self.text, route, value).map_err(unreplaced)?,
            None => {
                let sealed = self.sealed_value(route)?;
                let unopened = |source| Error::Unopened { path: self.shown.clone(), source };
                let label = format::label(sealed.trim_start().as_bytes()).map_err(unopened)?;
                let sealed = cipher::seal(value.as_bytes(), password, label.as_deref());
                let sealed = sealed.map_err(unopened)?;
                replace::replace(&self.text, route, &sealed).map_err(unreplaced)?
            }
        };
        self.edited(&text, password)
    }

    /// What is sealed where `route` leads to, in a file that is not.
    fn sealed_value(&self, route: &Route) -> Result<Zeroizing<String>, Error> {
        let found = replace::sealed_value(&self.text, route);
        found.ok_or_else(|| Error::Clear { path: self.shown.clone(), variable: route.to_string() })
    }

    /// The file with `text` in it.
    ///
    /// # Errors
    ///
    /// [`Error::Unopened`] where it cannot be sealed.
    pub fn edited(&self, text: &str, password: &Password) -> Result<Edited, Error> {
        self.sealed_bytes(text.as_bytes(), password)
    }

    /// The same for what may be no text, and is to be kept all the same.
    ///
    /// # Errors
    ///
    /// As [`OpenFile::edited`].
    pub fn sealed_bytes(&self, content: &[u8], password: &Password) -> Result<Edited, Error> {
        let unopened = |source| Error::Unopened { path: self.shown.clone(), source };
        let bytes = match &self.seal {
            Some(seal) => cipher::seal(content, password, seal.label.as_deref())
                .map(String::into_bytes)
                .map_err(unopened)?,
            None => content.to_vec(),
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::TooLong { path: self.shown.clone() });
        }
        let (path, shown, before) = (self.path.clone(), self.shown.clone(), self.bytes.clone());
        Ok(Edited { path, shown, bytes: Zeroizing::new(bytes), before })
    }
}

/// A file as it is to be.
pub struct Edited {
    path: PathBuf,
    shown: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
    /// As it was when it was read.
    before: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Edited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edited").field("path", &self.shown).finish_non_exhaustive()
    }
}

impl Edited {
    /// Writes it, whole or not at all; who may read it stays as it was.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] where somebody else wrote it meanwhile, [`Error::Write`].
    pub fn write(&self) -> Result<(), Error> {
        let now = if self.path.exists() { Some(bytes(&self.path)?) } else { None };
        if now != self.before {
            return Err(Error::Changed { path: self.shown.clone() });
        }
        let unwritten = |source| Error::Write { path: self.shown.clone(), source };
        durable::replace_file(&self.path, &self.bytes, 0o600).map_err(unwritten)
    }

    /// Writes it beside its place, where neither we nor Ansible look for variables, and over
    /// nothing that was kept before.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn keep_beside(&self) -> Result<PathBuf, Error> {
        let beside = durable::free_name(&self.path, ".edited");
        let name = beside.file_name().unwrap_or_default();
        let shown = self.shown.with_file_name(name);
        let unwritten = |source| Error::Write { path: shown.clone(), source };
        durable::write_file(&beside, &self.bytes, 0o600).map_err(unwritten)?;
        Ok(shown)
    }
}

/// Whether values in a file are sealed, each by itself.
pub(super) fn has_sealed_values(bytes: &[u8]) -> bool {
    const MARK: &[u8] = b"!vault";
    bytes.windows(MARK.len()).any(|at| at == MARK)
}

pub(super) fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let read = bounded::read(file, length, MAX_BYTES).map_err(unreadable)?;
    read.ok_or_else(|| Error::TooLong { path: path.to_owned() })
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
    /// A value stands in the clear, and is to be a secret.
    #[error("`{variable}` stands in the clear in `{}`", path.display())]
    Clear {
        /// Which file.
        path: PathBuf,
        /// The way to it.
        variable: String,
    },
    /// A value could not be replaced.
    #[error("could not change `{}`", path.display())]
    Unreplaced {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: replace::Error,
    },
    /// Somebody else wrote the file.
    #[error("`{}` was changed by somebody else meanwhile, and is as they left it", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
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
            Self::Clear { .. } => "move it into a file that is sealed, or seal it there: \
                 `ansible-vault encrypt_string`"
                .into(),
            Self::Unreplaced { path, .. } => {
                format!("change it by hand: floe secrets edit {}", path.display())
            }
            Self::Changed { .. } => "look at what they did, and do it again".into(),
            Self::Write { .. } => {
                "make sure that you may write there, and that there is room".into()
            }
            Self::NotText { .. } => {
                "take it out of the variables; a file of bytes can be a secret by itself".into()
            }
            Self::Wrong { path, .. } => format!("correct `{}`", path.display()),
        }
    }
}
