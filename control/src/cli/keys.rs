//! `floe keys`: make a key, and show what anybody may know of one.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use floe_proto::key::{PublicKey, SecretKey};
use floe_proto::root::Root;

use super::context::Context;
use super::end::{End, Stopped};
use super::view::key::KeyView;
use crate::bundle::sign;

/// Make a signing key, or show one
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Keys {
    /// Make a new Ed25519 key (PKCS#8 PEM, mode 0600); never overwrites
    #[command(after_help = NEW_EXAMPLES)]
    New {
        /// The file to write
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
  floe keys show keys/release.pem";

const NEW_EXAMPLES: &str = "\
Examples:
  floe keys new keys/release-2.pem";

const SHOW_EXAMPLES: &str = "\
Examples:
  floe keys show keys/release.pem";

impl Keys {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<End> {
        let (file, public) = match self {
            Self::New { file } => {
                let key = SecretKey::generate()?;
                write(&file, &key)?;
                (file, key.public())
            }
            Self::Show { file } => {
                let key = sign::load_key(&file)?;
                (file, key.public())
            }
        };
        let root = context.repository().and_then(|repository| repository.trust()).ok();
        context.print(&view(&file, public, root.as_deref()))?;
        Ok(End::Done)
    }
}

/// Writes `key` to a new file that only its owner may read.
pub(super) fn write(path: &Path, key: &SecretKey) -> anyhow::Result<()> {
    let unwritten = || format!("could not write the key `{}`", path.display());
    let pem = key.to_pem()?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Stopped::failed(
                format!("`{}` is there already, and keys are never overwritten", path.display()),
                "choose another name, or move the old key to a safe place",
            )
            .into());
        }
        opened => opened.with_context(unwritten)?,
    };
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).with_context(unwritten)
}

fn view(file: &Path, public: PublicKey, root: Option<&Root>) -> KeyView {
    let id = public.id();
    let may_sign = root.map(|root| {
        let roles = [("root", &root.root), ("release", &root.release)];
        let listed = roles.into_iter().filter(|(_, signers)| signers.keys.contains(&id));
        listed.map(|(role, _)| role).collect()
    });
    KeyView {
        file: file.display().to_string(),
        id: id.to_string(),
        public: String::from(public),
        may_sign,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_key_is_its_owners_alone_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("release.pem");
        let key = SecretKey::generate().unwrap();
        write(&path, &key).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(sign::load_key(&path).unwrap().public(), key.public());
        let error = write(&path, &SecretKey::generate().unwrap()).unwrap_err();
        assert!(error.to_string().contains("never overwritten"), "{error}");
        assert_eq!(sign::load_key(&path).unwrap().public(), key.public());
    }
}
