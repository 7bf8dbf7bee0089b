//! Where a key lies that is to sign.

use std::path::PathBuf;

use super::command::Command;
use super::environment::{Environment, KEY_VARIABLE};
use super::error::Error;
use super::key_file;
use super::signer::Signer;

/// Where a key lies.
#[expect(clippy::large_enum_variant, reason = "a command line makes a handful of them")]
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

    /// What is to sign: the files that were `typed`; or what is `configured`, where a key
    /// in the environment stands for all key files.
    pub fn choose(
        typed: &[PathBuf],
        configured: Vec<Self>,
        environment: &Environment,
    ) -> Vec<Self> {
        if !typed.is_empty() {
            return typed.iter().cloned().map(Self::File).collect();
        }
        if environment.key.is_none() {
            return configured;
        }
        let programs = configured.into_iter().filter(|source| matches!(source, Self::Command(_)));
        [Self::Variable].into_iter().chain(programs).collect()
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

    #[test]
    fn what_is_typed_comes_before_the_environment_and_that_before_files() {
        let file = |name: &str| KeySource::File(name.into());
        let program = Command::new(
            SecretKey::from_seed(&[7; 32]).public(),
            &["sign".to_owned()],
            std::path::Path::new("/"),
        );
        let program = KeySource::Command(program.unwrap());
        let configured = || vec![file("a"), program.clone()];
        let nothing = Environment::default();
        let variable = Environment { key: Some("pem".to_owned().into()), ..nothing.clone() };
        let choose =
            |typed: &[PathBuf], environment| KeySource::choose(typed, configured(), environment);
        assert_eq!(choose(&[], &nothing), configured());
        assert_eq!(choose(&[], &variable), [KeySource::Variable, program.clone()]);
        assert_eq!(choose(&["b".into()], &variable), [file("b")]);
    }
}
