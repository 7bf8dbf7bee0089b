//! What signing takes from its surroundings: variables, and the terminal.
//!
//! The only file of `signing` that reads either. Where a passphrase comes from, in this
//! order: FLOE_KEY_PASSPHRASE, the first line of the file FLOE_KEY_PASSPHRASE_FILE, a
//! prompt. Without a terminal nobody is ever asked, so that nothing waits in CI.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::error::Error;

/// The variable that holds a key (PEM), which then stands for the key files of floe.toml.
pub const KEY_VARIABLE: &str = "FLOE_SIGNING_KEY";

/// The variable that holds the passphrase.
pub(super) const PASSPHRASE: &str = "FLOE_KEY_PASSPHRASE";

/// The variable that names a file with the passphrase.
pub(super) const PASSPHRASE_FILE: &str = "FLOE_KEY_PASSPHRASE_FILE";

/// The variable that names a file with identities of age.
const AGE_IDENTITY: &str = "FLOE_AGE_IDENTITY";

/// The variables that name the editor, as every program that runs one has them.
const EDITORS: [&str; 2] = ["VISUAL", "EDITOR"];

/// The variable that names the directory for what lives as long as a login: in memory.
const RUNTIME_DIRECTORY: &str = "XDG_RUNTIME_DIR";

/// Variables that programs we start must not see ([`crate::program`]).
pub(crate) const SECRET_VARIABLES: [&str; 3] = [KEY_VARIABLE, PASSPHRASE, PASSPHRASE_FILE];

/// The variables that name a file with the password of a vault: ours, then Ansible's.
const VAULT_PASSWORD_FILES: [&str; 2] = ["FLOE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_PASSWORD_FILE"];

/// Longer than any passphrase.
const MAX_PASSPHRASE: u64 = 4096;

/// A passphrase; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes what somebody chose or typed.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPassphrase`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::EmptyPassphrase);
        }
        Ok(Self(SecretString::from(text.as_str())))
    }

    /// As age takes it.
    pub(super) fn secret(&self) -> SecretString {
        self.0.clone()
    }

    fn is(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// What was found around a command. [`Environment::default`] is nothing at all.
#[derive(Clone, Default)]
pub struct Environment {
    /// What [`KEY_VARIABLE`] holds.
    pub key: Option<Zeroizing<String>>,
    /// What `FLOE_KEY_PASSPHRASE` holds.
    pub passphrase: Option<Zeroizing<String>>,
    /// What `FLOE_KEY_PASSPHRASE_FILE` names.
    pub passphrase_file: Option<PathBuf>,
    /// What `FLOE_VAULT_PASSWORD_FILE` names, or `ANSIBLE_VAULT_PASSWORD_FILE`.
    pub vault_password_file: Option<PathBuf>,
    /// What `FLOE_AGE_IDENTITY` names: a file with identities of age, for secrets.
    pub age_identity: Option<PathBuf>,
    /// What `VISUAL` says, or `EDITOR`: a program and its arguments.
    pub editor: Option<String>,
    /// What `XDG_RUNTIME_DIR` names.
    pub runtime_directory: Option<PathBuf>,
    /// Whether somebody is there who can be asked.
    pub terminal: bool,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("key", &self.key.is_some())
            .field("passphrase", &self.passphrase.is_some())
            .field("passphrase_file", &self.passphrase_file)
            .field("vault_password_file", &self.vault_password_file)
            .field("age_identity", &self.age_identity)
            .field("editor", &self.editor)
            .field("runtime_directory", &self.runtime_directory)
            .field("terminal", &self.terminal)
            .finish()
    }
}

impl Environment {
    /// Looks around. An empty variable is as good as none.
    pub fn read() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let secret =
            |name| set(name).and_then(|value| value.into_string().ok()).map(Zeroizing::new);
        Self {
            key: secret(KEY_VARIABLE),
            passphrase: secret(PASSPHRASE),
            passphrase_file: set(PASSPHRASE_FILE).map(PathBuf::from),
            age_identity: set(AGE_IDENTITY).map(PathBuf::from),
            vault_password_file: VAULT_PASSWORD_FILES.into_iter().find_map(set).map(PathBuf::from),
            editor: EDITORS.into_iter().find_map(set).and_then(|value| value.into_string().ok()),
            runtime_directory: set(RUNTIME_DIRECTORY).map(PathBuf::from),
            terminal: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Whether a new key can be encrypted: there is a passphrase, or somebody to choose one.
    pub fn offers_passphrase(&self) -> bool {
        self.passphrase.is_some() || self.passphrase_file.is_some() || self.terminal
    }

    /// A passphrase for a new key; on a terminal it is typed twice.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] where there is none and nobody to ask, and what was wrong with it.
    pub fn new_passphrase(&self, key: &str) -> Result<Passphrase, Error> {
        if let Some(known) = self.known_passphrase()? {
            return Ok(known);
        }
        let chosen = self.ask(key, &format!("New passphrase for {key}: "))?;
        if !chosen.is(&self.ask(key, "Once more: ")?) {
            return Err(Error::Mistyped);
        }
        Ok(chosen)
    }

    /// What variable or file say, without asking anybody.
    pub(super) fn known_passphrase(&self) -> Result<Option<Passphrase>, Error> {
        if let Some(passphrase) = &self.passphrase {
            return Passphrase::new(passphrase.clone()).map(Some);
        }
        let Some(path) = &self.passphrase_file else { return Ok(None) };
        let failed = |source| Error::PassphraseFile { path: path.clone(), source };
        let mut text = Zeroizing::new(String::new());
        let mut file = File::open(path).map_err(failed)?.take(MAX_PASSPHRASE);
        file.read_to_string(&mut text).map_err(failed)?;
        let line = text.lines().next().unwrap_or_default();
        Passphrase::new(Zeroizing::new(line.to_owned())).map(Some)
    }

    /// Asks on the terminal for what is not the passphrase of a key; nobody where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Terminal`].
    pub fn ask_plainly(&self, question: &str) -> Result<Option<Zeroizing<String>>, Error> {
        if !self.terminal {
            return Ok(None);
        }
        let typed = rpassword::prompt_password(question).map_err(Error::Terminal)?;
        Ok(Some(Zeroizing::new(typed)))
    }

    /// Asks on the terminal.
    pub(super) fn ask(&self, key: &str, question: &str) -> Result<Passphrase, Error> {
        if !self.terminal {
            return Err(Error::Locked { key: key.to_owned() });
        }
        let typed = rpassword::prompt_password(question).map_err(Error::Terminal)?;
        Passphrase::new(Zeroizing::new(typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_before_the_file_and_the_file_ends_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        std::fs::write(&path, "of the file\nmore\n").unwrap();
        let mut environment = Environment { passphrase_file: Some(path), ..Environment::default() };
        let known = |environment: &Environment| environment.known_passphrase().unwrap().unwrap();
        let is = |text: &str| Passphrase::new(Zeroizing::new(text.to_owned())).unwrap();
        assert!(known(&environment).is(&is("of the file")));
        environment.passphrase = Some(Zeroizing::new("of the variable".into()));
        assert!(known(&environment).is(&is("of the variable")));
    }

    #[test]
    fn without_a_terminal_nobody_is_asked() {
        let nothing = Environment::default();
        assert!(!nothing.offers_passphrase());
        assert!(matches!(nothing.new_passphrase("k"), Err(Error::Locked { .. })));
    }

    #[test]
    fn neither_key_nor_passphrase_prints() {
        let secret = || Some(Zeroizing::new("hunter2".to_owned()));
        let environment = Environment { key: secret(), passphrase: secret(), ..Default::default() };
        let shown = format!("{environment:?} {:?}", environment.known_passphrase().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
