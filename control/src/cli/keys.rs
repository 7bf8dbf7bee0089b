//! `floe keys`: make a key, encrypt one, and show what anybody may know of one.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use floe_proto::key::{PublicKey, SecretKey};
use floe_proto::root::Root;

use super::context::Context;
use super::end::End;
use super::view::key::KeyView;
use crate::signing::{self, Environment, Passphrase, Protection};

/// Make a signing key, encrypt or show one
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Keys {
    /// Make a new Ed25519 key (PKCS#8 PEM, mode 0600); never overwrites
    ///
    /// It is encrypted with a passphrase (as age does it), which is asked for on a
    /// terminal, or taken from FLOE_KEY_PASSPHRASE or the file that
    /// FLOE_KEY_PASSPHRASE_FILE names. Where there is neither, it is left in the clear.
    #[command(after_help = NEW_EXAMPLES)]
    New {
        /// The file to write
        file: PathBuf,

        /// Leave it in the clear, for a machine that nobody types at
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Encrypt a key that lies in the clear, in its place
    ///
    /// The passphrase comes as for `floe keys new`. What was written before may still be
    /// on the disk and in backups; a key that somebody else may have seen is to be
    /// replaced.
    #[command(after_help = ENCRYPT_EXAMPLES)]
    Encrypt {
        /// The file with the key
        file: PathBuf,
    },
    /// Show a key's id and public half, and what the fleet lets it sign
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The file to read
        file: PathBuf,
    },
}

const EXAMPLES: &str = "\
Examples:
  floe keys new keys/ada.pem
  floe keys show keys/release.pem";

const NEW_EXAMPLES: &str = "\
Examples:
  floe keys new keys/ada.pem                     # asks for a passphrase
  floe keys new /run/ci/release.pem --no-passphrase";

const ENCRYPT_EXAMPLES: &str = "\
Examples:
  floe keys encrypt keys/release.pem
  FLOE_KEY_PASSPHRASE_FILE=/run/secrets/floe floe keys encrypt keys/release.pem";

const SHOW_EXAMPLES: &str = "\
Examples:
  floe keys show keys/release.pem";

impl Keys {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<End> {
        let environment = context.environment();
        let (file, public, protection) = match self {
            Self::New { file, no_passphrase } => {
                let (key, protection) = make(&file, no_passphrase, environment)?;
                (file, key.public(), protection)
            }
            Self::Encrypt { file } => {
                let passphrase = environment.new_passphrase(&file.display().to_string())?;
                let key = signing::encrypt_in_place(&file, &passphrase)?;
                (file, key.public(), Protection::Passphrase)
            }
            Self::Show { file } => {
                let (key, protection) = signing::read(&file, environment)?;
                (file, key.public(), protection)
            }
        };
        let root = context.repository().and_then(|repository| repository.trust()).ok();
        context.print(&view(&file, public, protection, root.as_deref()))?;
        Ok(End::Done)
    }
}

/// Makes a key in a new file, encrypted where there is a passphrase or somebody to choose
/// one, unless that is not wanted.
pub(super) fn make(
    file: &Path,
    no_passphrase: bool,
    environment: &Environment,
) -> Result<(SecretKey, Protection), signing::Error> {
    // Before anybody has typed a passphrase for nothing.
    if file.symlink_metadata().is_ok() {
        return Err(signing::Error::Exists { path: file.to_owned() });
    }
    let passphrase: Option<Passphrase> = if no_passphrase || !environment.offers_passphrase() {
        None
    } else {
        Some(environment.new_passphrase(&file.display().to_string())?)
    };
    let key = SecretKey::generate()
        .map_err(|source| signing::Error::NotAKey { key: file.display().to_string(), source })?;
    signing::write_new(file, &key, passphrase.as_ref())?;
    let protection = if passphrase.is_some() { Protection::Passphrase } else { Protection::Clear };
    Ok((key, protection))
}

fn view(file: &Path, public: PublicKey, protection: Protection, root: Option<&Root>) -> KeyView {
    let id = public.id();
    let may_sign = root.map(|root| {
        let roles = [("root", &root.root), ("release", &root.release)];
        let listed = roles.into_iter().filter(|(_, signers)| signers.keys.contains(&id));
        listed.map(|(role, _)| role).collect()
    });
    KeyView {
        file: file.display().to_string(),
        encrypted: protection == Protection::Passphrase,
        id: id.to_string(),
        public: String::from(public),
        may_sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_encrypted_where_there_is_a_passphrase_unless_it_is_not_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let with = Environment {
            passphrase: Some("correct horse".to_owned().into()),
            ..Environment::default()
        };
        let nothing = Environment::default();
        let cases = [
            ("a", false, &with, Protection::Passphrase),
            ("b", true, &with, Protection::Clear),
            ("c", false, &nothing, Protection::Clear),
        ];
        for (name, no_passphrase, environment, expected) in cases {
            let path = directory.path().join(name);
            let (key, protection) = make(&path, no_passphrase, environment).unwrap();
            assert_eq!(protection, expected);
            let (read, found) = signing::read(&path, &with).unwrap();
            assert_eq!((read.public(), found), (key.public(), expected));
        }
        let again = make(&directory.path().join("a"), true, &nothing);
        assert!(matches!(again, Err(signing::Error::Exists { .. })));
    }
}
