//! Secret keys in files: PKCS#8 PEM, or that encrypted with a passphrase (age).
//!
//! A key in the clear must be its owner's alone; an encrypted one may lie anywhere. A
//! new key never takes the place of another, and a file is whole or not there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use age::DecryptError;
use age::scrypt::{Identity, Recipient};
use floe_proto::key::{self, PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::environment::{Environment, Passphrase};
use super::error::Error;
use crate::durable;

/// Whether a key can be read without a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Whoever reads the file has the key.
    Clear,
    /// It takes the passphrase, too.
    Passphrase,
}

/// Reads the secret key in `path`, asking for a passphrase only where it takes one.
///
/// # Errors
///
/// [`Error`], naming the file.
pub fn read(path: &Path, environment: &Environment) -> Result<(SecretKey, Protection), Error> {
    let (text, mode) = read_text(path)?;
    let name = path.display().to_string();
    let read @ (_, protection) = parse(&text, &name, environment)?;
    if protection == Protection::Clear && mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    Ok(read)
}

/// What can be seen of a key without its passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is in the clear, and this is its public half.
    Clear(PublicKey),
    /// It takes a passphrase.
    Encrypted,
}

/// Looks at the key in `path`; nobody is asked for anything.
///
/// # Errors
///
/// As [`read`], but for what only the passphrase would tell.
pub fn look_at(path: &Path) -> Result<Seen, Error> {
    let (text, mode) = read_text(path)?;
    if is_encrypted(&text) {
        return Ok(Seen::Encrypted);
    }
    let name = path.display().to_string();
    let key = SecretKey::from_pem(&text).map_err(|source| Error::NotAKey { key: name, source })?;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    Ok(Seen::Clear(key.public()))
}

/// The secret key that `text` is, of the file or variable `name`.
pub(super) fn parse(
    text: &str,
    name: &str,
    environment: &Environment,
) -> Result<(SecretKey, Protection), Error> {
    let key = |pem: &str| {
        SecretKey::from_pem(pem).map_err(|source| Error::NotAKey { key: name.to_owned(), source })
    };
    if !is_encrypted(text) {
        return Ok((key(text)?, Protection::Clear));
    }
    let pem = match environment.known_passphrase()? {
        Some(passphrase) => decrypt(text, name, &passphrase)?,
        None => ask_and_decrypt(text, name, environment)?,
    };
    Ok((key(&pem)?, Protection::Passphrase))
}

/// Writes `key` to a new file that only its owner may read.
///
/// # Errors
///
/// [`Error::Exists`] where there is any file of that name, or what the disk said.
pub fn write_new(path: &Path, key: &SecretKey, by: Option<&Passphrase>) -> Result<(), Error> {
    let unwritten = |source| Error::Unwritten { path: path.to_owned(), source };
    let text = encode(key, by)?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: path.to_owned() });
        }
        opened => opened.map_err(unwritten)?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritten)
}

/// Encrypts the key in `path`, which was in the clear, in its place. The old bytes may
/// still be on the disk, and in backups: that is said by who calls this.
///
/// # Errors
///
/// [`Error::EncryptedAlready`], or as [`read`] and [`write_new`].
pub fn encrypt_in_place(path: &Path, by: &Passphrase) -> Result<SecretKey, Error> {
    let (text, _) = read_text(path)?;
    if is_encrypted(&text) {
        return Err(Error::EncryptedAlready { path: path.to_owned() });
    }
    let (key, _) = parse(&text, &path.display().to_string(), &Environment::default())?;
    let text = encode(&key, Some(by))?;
    durable::write_file(path, text.as_bytes(), 0o600)
        .map_err(|source| Error::Unwritten { path: path.to_owned(), source })?;
    Ok(key)
}

/// Longer than any key, encrypted or not.
const MAX_BYTES: u64 = 64 << 10;

/// How often a person may mistype.
const TRIES: usize = 3;

/// scrypt's N = 2^18, as `age` itself chooses on today's machines: a second and 256 MiB for
/// each guess. Fixed, since measuring would choose less on a slow or busy machine.
#[cfg(not(test))]
const WORK: u8 = 18;
#[cfg(test)]
const WORK: u8 = 4;

/// More than this is an attack on who reads it, not a protection.
const MAX_WORK: u8 = 22;

fn read_text(path: &Path) -> Result<(Zeroizing<String>, u32), Error> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Error::NoKey { path }
        } else {
            Error::Unreadable { path, source }
        }
    };
    let not_a_key =
        || Error::NotAKey { key: path.display().to_string(), source: key::Error::NotAKey };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(not_a_key());
    }
    // With room for all of it, no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 << 10));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_a_key())?;
    Ok((Zeroizing::new(text.to_owned()), found.permissions().mode() & 0o777))
}

/// The armour of <https://c2sp.org/age#ascii-armor>; only armoured keys are written here.
fn is_encrypted(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN AGE ENCRYPTED FILE-----")
}

fn encode(key: &SecretKey, by: Option<&Passphrase>) -> Result<Zeroizing<String>, Error> {
    let pem = key.to_pem().map_err(|error| Error::Encoding(error.to_string()))?;
    let Some(passphrase) = by else { return Ok(pem) };
    let mut recipient = Recipient::new(passphrase.secret());
    recipient.set_work_factor(WORK);
    age::encrypt_and_armor(&recipient, pem.as_bytes())
        .map(Zeroizing::new)
        .map_err(|error| Error::Encoding(error.to_string()))
}

fn decrypt(text: &str, name: &str, by: &Passphrase) -> Result<Zeroizing<String>, Error> {
    let mut identity = Identity::new(by.secret());
    identity.set_max_work_factor(MAX_WORK);
    let key = name.to_owned();
    let undecryptable = |why: String| Error::Undecryptable { key: name.to_owned(), why };
    match age::decrypt(&identity, text.trim().as_bytes()) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let text = std::str::from_utf8(&bytes).map_err(|e| undecryptable(e.to_string()))?;
            Ok(Zeroizing::new(text.to_owned()))
        }
        Err(DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed) => {
            Err(Error::WrongPassphrase { key })
        }
        Err(error) => Err(undecryptable(error.to_string())),
    }
}

fn ask_and_decrypt(
    text: &str,
    name: &str,
    environment: &Environment,
) -> Result<Zeroizing<String>, Error> {
    let question = format!("Passphrase of {name}: ");
    let mut tries = 1..=TRIES;
    loop {
        let last = tries.next().is_none_or(|this| this == TRIES);
        let passphrase = environment.ask(name, &question)?;
        match decrypt(text, name, &passphrase) {
            Err(Error::WrongPassphrase { .. }) if !last => {}
            ended => return ended,
        }
    }
}

#[cfg(test)]
#[path = "key_file_tests.rs"]
mod tests;
