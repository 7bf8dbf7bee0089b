//! What each secret of a role is: rendered from the vault's variables, or decrypted from a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use age::armor::ArmoredReader;
use age::{Decryptor, IdentityFile};
use floe_proto::secret::{Name, Secret, Value};
use zeroize::Zeroizing;

use crate::repository::{SecretEntry, SecretSource};
use crate::signing::Environment;

/// Longer than all secrets of a role together may be: they are said in base64, in 128 KiB.
const MAX_BYTES: u64 = 96 * 1024;

/// The secrets that `entries` say, of the repository at `root`. `render` renders a template over
/// the vault's variables, of the secret that is named; it is called only for those that are one.
///
/// # Errors
///
/// [`Error`] of the first that cannot be had, or what `render` said.
pub fn resolve<E: From<Error>>(
    entries: &[SecretEntry],
    root: &Path,
    environment: &Environment,
    mut render: impl FnMut(&Name, &str) -> Result<Zeroizing<String>, E>,
) -> Result<Vec<Secret>, E> {
    let secret = |entry: &SecretEntry| {
        let bytes = match &entry.source {
            SecretSource::Value(template) => {
                let text = render(&entry.name, template)?;
                Zeroizing::new(text.as_bytes().to_vec())
            }
            SecretSource::Age(file) => decrypt(&root.join(file), environment)?,
        };
        if bytes.is_empty() {
            return Err(Error::Empty { name: entry.name.clone() }.into());
        }
        Ok(Secret {
            name: entry.name.clone(),
            value: Value::new(bytes),
            owner: entry.owner.clone(),
            group: entry.group.clone(),
            mode: entry.mode,
            units: entry.units.clone(),
        })
    };
    entries.iter().map(secret).collect()
}

/// The content of a file that age encrypted, armoured or not: to one of the identities in the
/// file that FLOE_AGE_IDENTITY names.
fn decrypt(path: &Path, environment: &Environment) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let undecryptable = |source| Error::Decrypt { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let decryptor = Decryptor::new(ArmoredReader::new(file)).map_err(undecryptable)?;
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
    // With room for all of it, no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 << 10));
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Why a secret cannot be had.
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
    /// There is nothing in it.
    #[error("the secret `{name}` is empty")]
    Empty {
        /// Which.
        name: Name,
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
            Self::Empty { .. } => "correct its value, or take it out of `[secrets]` in host.toml",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use age::secrecy::ExposeSecret as _;
    use age::x25519::Identity;

    use super::*;

    struct World {
        dir: tempfile::TempDir,
        environment: Environment,
        identity: Identity,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (identity, path) = (Identity::generate(), dir.path().join("identity.txt"));
            let text = format!("# mine\n{}\n", identity.to_string().expose_secret());
            fs::write(&path, text).unwrap();
            let environment = Environment { age_identity: Some(path), ..Default::default() };
            Self { dir, environment, identity }
        }

        fn read(&self, source: SecretSource) -> Result<Vec<u8>, Error> {
            let entry = SecretEntry {
                name: "tls.key".parse().unwrap(),
                source,
                owner: "nginx".into(),
                group: "root".into(),
                mode: "0440".parse().unwrap(),
                units: Default::default(),
            };
            let render = |_: &Name, text: &str| Ok::<_, Error>(Zeroizing::new(text.to_owned()));
            let secrets = resolve(&[entry], self.dir.path(), &self.environment, render)?;
            assert_eq!(secrets[0].owner, "nginx");
            Ok(secrets[0].value.expose().to_vec())
        }

        fn age(&self, name: &str) -> Result<Vec<u8>, Error> {
            self.read(SecretSource::Age(name.into()))
        }
    }

    #[test]
    fn a_file_is_decrypted_armoured_or_not() {
        let world = World::new();
        let path = |name: &str| world.dir.path().join(name);
        let to = world.identity.to_public();
        fs::write(path("armoured"), age::encrypt_and_armor(&to, b"k\0ey\n").unwrap()).unwrap();
        fs::write(path("binary"), age::encrypt(&to, b"k\0ey\n").unwrap()).unwrap();
        for name in ["armoured", "binary"] {
            assert_eq!(world.age(name).unwrap(), b"k\0ey\n", "{name}");
        }
        assert_eq!(world.read(SecretSource::Value("x".into())).unwrap(), b"x");
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let mut world = World::new();
        let path = |name: &str| world.dir.path().join(name);
        let other = Identity::generate().to_public();
        fs::write(path("other"), age::encrypt(&other, b"x").unwrap()).unwrap();
        fs::write(path("clear"), "hunter2").unwrap();
        let to = world.identity.to_public();
        fs::write(path("empty"), age::encrypt(&to, b"").unwrap()).unwrap();
        fs::write(path("long"), age::encrypt(&to, &vec![b'x'; 200_000]).unwrap()).unwrap();
        let error = |world: &World, name| world.age(name).unwrap_err();
        assert!(matches!(error(&world, "other"), Error::Decrypt { .. }));
        assert!(matches!(error(&world, "clear"), Error::Decrypt { .. }));
        assert!(matches!(error(&world, "gone"), Error::Read { .. }));
        assert!(matches!(error(&world, "empty"), Error::Empty { .. }));
        assert!(matches!(error(&world, "long"), Error::TooLong { .. }));
        world.environment.age_identity = None;
        assert!(matches!(error(&world, "other"), Error::NoIdentity { .. }));
    }
}
