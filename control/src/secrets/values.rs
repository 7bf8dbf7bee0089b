//! What each secret of a role is: rendered from the vault's variables, or decrypted from a file.

use std::path::Path;

use floe_proto::secret::{Name, Secret, Value};
use zeroize::Zeroizing;

use super::age_file;
use crate::repository::{SecretEntry, SecretSource};
use crate::signing::Environment;

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
            SecretSource::Age(file) => {
                age_file::decrypt(&root.join(file), environment).map_err(Error::from)?
            }
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

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file cannot be used.
    #[error(transparent)]
    Age(#[from] age_file::Error),
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
            Self::Age(error) => error.advice(),
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

    fn resolved(source: SecretSource, content: &[u8]) -> Result<Vec<Secret>, Error> {
        let dir = tempfile::tempdir().unwrap();
        let (identity, path) = (Identity::generate(), dir.path().join("identity.txt"));
        fs::write(&path, identity.to_string().expose_secret()).unwrap();
        let environment = Environment { age_identity: Some(path), ..Default::default() };
        let encrypted = age::encrypt(&identity.to_public(), content).unwrap();
        fs::write(dir.path().join("tls.key.age"), encrypted).unwrap();
        let entry = SecretEntry {
            name: "tls.key".parse().unwrap(),
            source,
            owner: "nginx".into(),
            group: "root".into(),
            mode: "0440".parse().unwrap(),
            units: Default::default(),
        };
        let render = |_: &Name, text: &str| Ok::<_, Error>(Zeroizing::new(text.to_owned()));
        resolve(&[entry], dir.path(), &environment, render)
    }

    #[test]
    fn a_secret_is_what_its_source_says() {
        let age = resolved(SecretSource::Age("tls.key.age".into()), b"k\0ey\n").unwrap();
        assert_eq!(
            (age[0].value.expose(), age[0].owner.as_str()),
            (b"k\0ey\n".as_slice(), "nginx")
        );
        let value = resolved(SecretSource::Value("x".into()), b"").unwrap();
        assert_eq!(value[0].value.expose(), b"x");
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        let error = |file: &str| resolved(SecretSource::Age(file.into()), b"").unwrap_err();
        assert!(matches!(error("tls.key.age"), Error::Empty { .. }));
        assert!(matches!(error("gone"), Error::Age(age_file::Error::Read { .. })));
    }
}
