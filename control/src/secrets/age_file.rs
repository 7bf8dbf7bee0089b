//! A file of the repository that age encrypted: to the recipients of floe.toml, and opened with
//! the identities that FLOE_AGE_IDENTITY names.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::x25519::Recipient;
use age::{Decryptor, Encryptor, IdentityFile};
use zeroize::Zeroizing;

use crate::signing::Environment;
use crate::{bounded, durable};

/// Longer than all secrets of a role together may be: they are said in base64, in 128 KiB.
const MAX_BYTES: u64 = 96 * 1024;

/// What most secrets have room in.
const ROOM: u64 = 8 << 10;

/// How the binary format begins (<https://c2sp.org/age>).
const BINARY: &[u8] = b"age-encryption.org/v1";

/// How the armour begins.
const ARMOUR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Whether the file `path` begins like one of age's.
///
/// # Errors
///
/// What the disk said.
pub fn is_age(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut start)?;
    let start = start.trim_ascii_start();
    Ok(start.starts_with(BINARY) || start.starts_with(ARMOUR))
}

/// The content of a file that age encrypted, armoured or not.
///
/// # Errors
///
/// [`Error`].
pub fn decrypt(path: &Path, environment: &Environment) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    open(file, path, environment)
}

fn open(
    encrypted: impl Read,
    path: &Path,
    environment: &Environment,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let undecryptable = |source| Error::Decrypt { path: path.to_owned(), source };
    let decryptor = Decryptor::new(ArmoredReader::new(encrypted)).map_err(undecryptable)?;
    if decryptor.is_scrypt() {
        return Err(Error::Passphrase { path: path.to_owned() });
    }
    let Some(identities) = &environment.age_identity else {
        return Err(Error::NoIdentity { path: path.to_owned() });
    };
    let failed = |source| Error::Read { path: identities.clone(), source };
    let text = identities.to_str().map(str::to_owned).ok_or_else(|| {
        failed(io::Error::new(io::ErrorKind::InvalidFilename, "the path is no UTF-8"))
    })?;
    let identities = IdentityFile::from_file(text).map_err(failed)?;
    let identities = identities.into_identities().map_err(undecryptable)?;
    let reader = decryptor
        .decrypt(identities.iter().map(|identity| identity.as_ref() as &dyn age::Identity))
        .map_err(undecryptable)?;
    let read = bounded::read(reader, ROOM, MAX_BYTES).map_err(unreadable)?;
    read.ok_or_else(|| Error::TooLong { path: path.to_owned() })
}

/// Content that is encrypted, and not written yet.
#[derive(Clone, Debug)]
pub struct Encrypted {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Encrypts `content` for the file `path`, in the format that it has; a new one is armoured.
/// Where there is an identity, it must be able to open it again.
///
/// # Errors
///
/// [`Error`].
pub fn encrypt(
    path: &Path,
    content: &[u8],
    recipients: &[Recipient],
    environment: &Environment,
) -> Result<Encrypted, Error> {
    if content.len() as u64 > MAX_BYTES {
        return Err(Error::TooLong { path: path.to_owned() });
    }
    let to = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(to)
        .map_err(|_| Error::NoRecipients { path: path.to_owned() })?;
    let is_binary = fs::read(path).is_ok_and(|known| known.starts_with(BINARY));
    let format = if is_binary { Format::Binary } else { Format::AsciiArmor };
    let written = || -> io::Result<Vec<u8>> {
        let out = ArmoredWriter::wrap_output(Vec::new(), format)?;
        let mut out = encryptor.wrap_output(out)?;
        out.write_all(content)?;
        out.finish()?.finish()
    };
    let bytes = written().map_err(|source| Error::Write { path: path.to_owned(), source })?;
    if environment.age_identity.is_some() {
        match open(bytes.as_slice(), path, environment) {
            Ok(read) if *read == content => {}
            Err(Error::Decrypt { .. }) => return Err(Error::NotForYou { path: path.to_owned() }),
            Ok(_) | Err(Error::Passphrase { .. }) => {
                let source = io::Error::other("what was encrypted is not what is read again");
                return Err(Error::Write { path: path.to_owned(), source });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Encrypted { path: path.to_owned(), bytes })
}

impl Encrypted {
    /// Writes it in its place, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self) -> Result<(), Error> {
        self.write_to(&self.path)
    }

    /// The same, if the file still is as it was `before`; `None` where it was not there.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`], or as [`Encrypted::write`].
    pub fn write_over(&self, before: Option<&[u8]>) -> Result<(), Error> {
        if fs::read(&self.path).ok().as_deref() != before {
            return Err(Error::Changed { path: self.path.clone() });
        }
        self.write()
    }

    /// Writes it beside its place, and over nothing that was kept before.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn keep_beside(&self) -> Result<PathBuf, Error> {
        let beside = durable::free_name(&self.path, ".edited");
        self.write_to(&beside)?;
        Ok(beside)
    }

    fn write_to(&self, path: &Path) -> Result<(), Error> {
        let unwritten = |source| Error::Write { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(unwritten)?;
        }
        durable::replace_file(path, &self.bytes, 0o644).map_err(unwritten)
    }
}

/// Why a file of age could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or unreadable.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Not encrypted, or to nobody here.
    #[error("could not decrypt `{}`", path.display())]
    Decrypt {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: age::DecryptError,
    },
    /// It takes a passphrase, which nobody could type in CI.
    #[error("`{}` is encrypted with a passphrase", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// It is not said who decrypts.
    #[error("there is no identity to decrypt `{}` with", path.display())]
    NoIdentity {
        /// The file.
        path: PathBuf,
    },
    /// It has more than all secrets of a role may have.
    #[error("`{}` has more than 96 KiB", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is not said to whom it is encrypted; a file of age does not tell.
    #[error("floe.toml does not say to whom `{}` is encrypted", path.display())]
    NoRecipients {
        /// The file.
        path: PathBuf,
    },
    /// Whoever types could not read it again.
    #[error("`{}` would be encrypted to others, and not to you", path.display())]
    NotForYou {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else wrote it while it was edited.
    #[error("`{}` was changed by somebody else meanwhile", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It was not written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Read { .. } => "make sure that the file is there, and that you may read it",
            Self::Decrypt { .. } => {
                "encrypt it to your identity as well: `age --encrypt --recipient …`"
            }
            Self::Passphrase { .. } => "encrypt it to recipients instead: `age --recipient …`",
            Self::NoIdentity { .. } => {
                "name the file that `age-keygen` wrote with FLOE_AGE_IDENTITY"
            }
            Self::TooLong { .. } => "bring it to the hosts by other means",
            Self::NoRecipients { .. } => {
                "list them below `[secrets]` of floe.toml: age_recipients = [\"age1…\"]; \
                 `age-keygen -y FILE` prints yours"
            }
            Self::NotForYou { .. } => {
                "add yours to `age_recipients` in floe.toml; `age-keygen -y FILE` prints it"
            }
            Self::Changed { .. } => "look at what changed, and do it again",
            Self::Write { .. } => "make sure that you may write there, and that there is room",
        }
    }
}

#[cfg(test)]
#[path = "age_file_tests.rs"]
mod tests;
