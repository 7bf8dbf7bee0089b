//! The salts of `password_hash`, kept so that the same password gives the same digest.
//!
//! ```toml
//! # salts.toml, in the root of the repository
//! ["www/configuration.nix#hosts.www.users.root.password | password_hash"]
//! sha512_crypt = "2Q7xpHq0mVtGd1aU"
//! ```
//!
//! A new salt for each rendering would make each bundle another one and change `/etc/shadow`
//! each time. A salt that is derived from the password would tell who has the same password,
//! here and in every other repository, and could be prepared against. So it is random,
//! once, and written down: a salt is no secret.
//!
//! It is known by the expression that takes it, so that digests stay whatever is added to the
//! template; the second time in one rendering (a loop) by that and ` #2`. Before, it was known by
//! its number in the rendering, `www/configuration.nix#1`, and is found by that once more.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use super::render::channel;
use crate::durable;

/// Its name.
pub const FILE: &str = "salts.toml";

/// What a digest is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `$5$`
    Sha256,
    /// `$6$`
    Sha512,
    /// `$2b$`
    Bcrypt,
}

impl Algorithm {
    /// passlib's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256_crypt",
            Self::Sha512 => "sha512_crypt",
            Self::Bcrypt => "bcrypt",
        }
    }

    /// The characters of a salt; those of bcrypt hold 16 bytes.
    fn length(self) -> usize {
        match self {
            Self::Sha256 | Self::Sha512 => 16,
            Self::Bcrypt => 22,
        }
    }
}

/// Where salts are kept.
pub trait Salts {
    /// The salt of this name for this algorithm: always the same one. `older` is the name that
    /// it may have been kept under before.
    ///
    /// # Errors
    ///
    /// [`Unsalted`] where a new one cannot be made.
    fn salt(&mut self, key: &str, older: &str, algorithm: Algorithm) -> Result<String, Unsalted>;
}

/// There is no randomness for a new salt.
#[derive(Debug, thiserror::Error)]
#[error("could not make a new salt")]
pub struct Unsalted;

/// The salts of a repository.
#[derive(Clone, Debug, Default)]
pub struct SaltFile {
    salts: BTreeMap<String, BTreeMap<String, String>>,
    changed: bool,
}

impl SaltFile {
    /// Reads `salts.toml` of the repository `root`; where there is none, there is no salt yet.
    ///
    /// # Errors
    ///
    /// What the disk said, or [`io::ErrorKind::InvalidData`] for what is no such file.
    pub fn read(root: &Path) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path(root)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read?,
        };
        let salts: BTreeMap<String, BTreeMap<String, String>> =
            toml::from_str(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, error.message().to_owned())
            })?;
        if let Some(bad) = salts.values().flat_map(BTreeMap::values).find(|salt| !is_salt(salt)) {
            let bad: String = bad.chars().take(40).collect();
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{bad}` is no salt")));
        }
        Ok(Self { salts, changed: false })
    }

    /// Whether it is another one than when it was read.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Takes a salt away from the name that it was kept under before, so that nobody else gets it.
    fn take(&mut self, older: &str, algorithm: Algorithm) -> Option<String> {
        let salts = self.salts.get_mut(older)?;
        let salt = salts.remove(algorithm.name());
        if salts.is_empty() {
            self.salts.remove(older);
        }
        salt
    }

    /// Forgets the salts of everything whose name begins like that, so that new ones are made.
    /// Says whether there were any.
    pub fn forget(&mut self, beginning: &str) -> bool {
        let before = self.salts.len();
        self.salts.retain(|name, _| !name.starts_with(beginning));
        let forgotten = self.salts.len() < before;
        self.changed |= forgotten;
        forgotten
    }

    /// Writes it, whole or not at all, where something has changed.
    ///
    /// # Errors
    ///
    /// What the disk said.
    pub fn save(&mut self, root: &Path) -> io::Result<()> {
        if self.changed {
            let tables = toml::to_string(&self.salts).map_err(io::Error::other)?;
            durable::write_file(&path(root), format!("{HEAD}{tables}").as_bytes(), 0o644)?;
            self.changed = false;
        }
        Ok(())
    }
}

const HEAD: &str = "\
# Salts of password_hash, so that the same password gives the same digest. No secrets:
# keep this file in version control. Remove a table to get another digest.

";

impl Salts for SaltFile {
    fn salt(&mut self, key: &str, older: &str, algorithm: Algorithm) -> Result<String, Unsalted> {
        let known = self.salts.get(key).and_then(|salts| salts.get(algorithm.name()));
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let before = self.take(older, algorithm);
        let of_key = self.salts.entry(key.to_owned()).or_default();
        if let Some(salt) = before {
            of_key.insert(algorithm.name().to_owned(), salt.clone());
            self.changed = true;
            return Ok(salt);
        }
        let mut random = vec![0; algorithm.length()];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Unsalted)?;
        // 64 letters, so that each is as likely as any other.
        let salt: String =
            random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect();
        of_key.insert(algorithm.name().to_owned(), salt.clone());
        self.changed = true;
        Ok(salt)
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

/// What crypt(3) takes in a salt.
pub(super) fn is_salt(text: &str) -> bool {
    !text.is_empty() && text.len() <= 22 && text.bytes().all(|byte| LETTERS.contains(&byte))
}

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where a rendering asks for its salts.
#[derive(Clone)]
pub(super) struct SaltDesk {
    name: String,
    taken: Arc<Mutex<Taken>>,
    requests: SyncSender<Request>,
}

/// What a rendering took so far.
#[derive(Default)]
struct Taken {
    all: usize,
    by_expression: BTreeMap<String, usize>,
}

/// A question for a salt.
pub(super) struct Request {
    pub(super) key: String,
    pub(super) older: String,
    pub(super) algorithm: Algorithm,
    pub(super) answer: SyncSender<Result<String, Unsalted>>,
}

impl SaltDesk {
    /// For the template `name`.
    pub(super) fn open(name: &str) -> (Self, Receiver<Request>) {
        let (requests, asked) = channel();
        (Self { name: name.to_owned(), taken: Arc::default(), requests }, asked)
    }

    /// The next salt of this rendering, for `expression`.
    pub(super) fn take(&self, expression: &str, algorithm: Algorithm) -> Result<String, Unsalted> {
        let (number, time) = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.all += 1;
            let number = taken.all;
            let times = taken.by_expression.entry(expression.to_owned()).or_default();
            *times += 1;
            (number, *times)
        };
        let again = if time == 1 { String::new() } else { format!(" #{time}") };
        let (answer, answered) = channel();
        let request = Request {
            key: format!("{}#{expression}{again}", self.name),
            older: format!("{}#{number}", self.name),
            algorithm,
            answer,
        };
        self.requests.send(request).map_err(|_| Unsalted)?;
        answered.recv().unwrap_or(Err(Unsalted))
    }
}

impl fmt::Debug for SaltDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaltDesk").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_made_once_and_found_again_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = SaltFile::read(directory.path()).unwrap();
        let first = file.salt("www/a.nix#a", "www/a.nix#1", Algorithm::Sha512).unwrap();
        assert!(is_salt(&first) && first.len() == 16);
        assert_ne!(file.salt("www/a.nix#b", "www/a.nix#2", Algorithm::Sha512).unwrap(), first);
        let bcrypt = file.salt("www/a.nix#a", "www/a.nix#1", Algorithm::Bcrypt).unwrap();
        assert_eq!(bcrypt.len(), 22);
        file.save(directory.path()).unwrap();
        let mut again = SaltFile::read(directory.path()).unwrap();
        assert_eq!(again.salt("www/a.nix#a", "www/a.nix#9", Algorithm::Sha512).unwrap(), first);
        assert!(!again.is_changed());
    }

    #[test]
    fn a_salt_that_was_kept_by_its_number_is_found_once_and_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let old = "['a#1']\nsha512_crypt = 'one'\n['a#2']\nsha512_crypt = 'two'\n";
        std::fs::write(directory.path().join(FILE), old).unwrap();
        let mut file = SaltFile::read(directory.path()).unwrap();
        assert_eq!(file.salt("a#x", "a#1", Algorithm::Sha512).unwrap(), "one");
        file.save(directory.path()).unwrap();
        let mut file = SaltFile::read(directory.path()).unwrap();
        // Something was added above: it is the first now.
        assert_ne!(file.salt("a#new", "a#1", Algorithm::Sha512).unwrap(), "one");
        assert_eq!(file.salt("a#x", "a#2", Algorithm::Sha512).unwrap(), "one");
    }

    #[test]
    fn what_is_forgotten_is_made_anew() {
        let mut file = SaltFile::default();
        let first = file.salt("www/[secrets.a]#x", "", Algorithm::Sha512).unwrap();
        let other = file.salt("www/[secrets.ab]#x", "", Algorithm::Sha512).unwrap();
        assert!(file.forget("www/[secrets.a]#") && !file.forget("www/[secrets.a]#"));
        assert_ne!(file.salt("www/[secrets.a]#x", "", Algorithm::Sha512).unwrap(), first);
        assert_eq!(file.salt("www/[secrets.ab]#x", "", Algorithm::Sha512).unwrap(), other);
    }

    #[test]
    fn what_is_no_file_of_salts_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["[", "['a#1']\nsha512_crypt = 'a$b'", "['a#1']\nsha512_crypt = ''", "a = 1"] {
            std::fs::write(directory.path().join(FILE), text).unwrap();
            let error = SaltFile::read(directory.path()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
