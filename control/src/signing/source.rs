//! Where a key lies that is to sign.

use std::path::PathBuf;

use super::command::Command;
use super::environment::{Environment, KEY_VARIABLE};
use super::error::Error;
use super::key_file;
use super::signer::Signer;

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file: PKCS#8 PEM of mode 0600, or that encrypted with a passphrase.
    File(PathBuf),
    /// The variable FLOE_SIGNING_KEY.
    Variable,
    /// A program that signs; the key may lie in a KMS or a token.
    Command(Command),
}

impl KeySource {
    /// Makes a signer of it. May ask for a passphrase on the terminal, so it comes before
    /// anything that shows progress there.
    ///
    /// # Errors
    ///
    /// [`Error`], naming the key.
    pub fn open(&self, environment: &Environment) -> Result<Signer, Error> {
        match self {
            Self::File(path) => Ok(Signer::Key(key_file::read(path, environment)?.0)),
            Self::Variable => {
                let text = environment.key.as_ref().ok_or(Error::NoVariable)?;
                Ok(Signer::Key(key_file::parse(text, KEY_VARIABLE, environment)?.0))
            }
            Self::Command(command) => Ok(Signer::Command(command.clone())),
        }
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Variable => KEY_VARIABLE.into(),
            Self::Command(command) => command.program().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::key::SecretKey;

    use super::*;

    #[test]
    fn the_variable_holds_a_key_or_says_that_there_is_none() {
        let key = SecretKey::from_seed(&[7; 32]);
        let environment =
            Environment { key: Some(key.to_pem().unwrap()), ..Environment::default() };
        assert_eq!(KeySource::Variable.open(&environment).unwrap().public(), key.public());
        let none = KeySource::Variable.open(&Environment::default());
        assert!(matches!(none, Err(Error::NoVariable)));
    }
}
