//! The key of a binary cache, which signs store paths. It is Nix' own, made with
//! `nix-store --generate-binary-cache-key`; Nix signs with it, here it is only looked at.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use floe_proto::closure::is_key_name;
use zeroize::Zeroizing;

/// A secret key in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    /// Where it lies; absolute.
    pub path: PathBuf,
    /// `<name>:<base64>`, as hosts name it in `trusted-public-keys`.
    pub public: String,
}

impl CacheKey {
    /// Reads the key in `path`.
    ///
    /// # Errors
    ///
    /// [`Error`] for what is no such key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Read { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: path.to_owned(), mode });
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
        let path = path.canonicalize().map_err(unreadable)?;
        // libsodium's form: the seed, then the public key.
        let public = text.trim().split_once(':').and_then(|(name, secret)| {
            let secret = Zeroizing::new(BASE64.decode(secret.as_bytes()).ok()?);
            let public = secret.get(32..).filter(|public| public.len() == 32)?;
            is_key_name(name).then(|| format!("{name}:{}", BASE64.encode(public)))
        });
        match public {
            Some(public) => Ok(Self { path, public }),
            None => Err(Error::NoKey { path }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.public.split(':').next().unwrap_or_default()
    }
}

/// Why a closure cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing or unreadable.
    #[error("could not read the key of the binary cache, `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Others could sign with it.
    #[error("`{}` can be read by others than its owner (mode {mode:03o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something else.
    #[error("`{}` is no secret key of a binary cache", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Exposed { .. } => "chmod 600 it; if others had it, make another one",
            Self::Read { .. } | Self::NoKey { .. } => {
                "make one: nix-store --generate-binary-cache-key NAME-1 .floe/cache.sec .floe/cache.pub"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_name_and_its_public_half() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.sec");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            CacheKey::read(&path)
        };
        let secret = BASE64.encode(&[[1; 32], [2; 32]].concat());
        let key = read(&format!("fleet-1:{secret}\n")).unwrap();
        assert_eq!(key.name(), "fleet-1");
        assert_eq!(key.public, format!("fleet-1:{}", BASE64.encode(&[2; 32])));

        let public = BASE64.encode(&[2; 32]);
        for bad in ["", "fleet-1", &format!("fleet-1:{public}"), &format!(":{secret}"), &secret] {
            assert!(matches!(read(bad), Err(Error::NoKey { .. })), "{bad}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(CacheKey::read(&path), Err(Error::Exposed { mode: 0o640, .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(CacheKey::read(&path), Err(Error::Read { .. })));
    }
}
