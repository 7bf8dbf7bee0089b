//! Paths in the Nix store as a type: `/nix/store/<hash>-<name>`, and nothing below one.
//!
//! Nix' manual, "Store path": 20 bytes in Nix' own base 32, then a name of 1 to 211
//! characters out of `A-Z a-z 0-9 + - . _ ? =` that does not begin with a dot.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where Nix' store is on every host.
pub const STORE: &str = "/nix/store/";

/// Nix' own base 32: no `e o u t`.
pub(crate) const ALPHABET: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// How long the hash is, in characters.
const HASH: usize = 32;

/// The longest name.
const NAME: usize = 211;

/// A path in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePath(String);

impl StorePath {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// `<hash>-<name>`.
    pub fn name(&self) -> &str {
        self.0.strip_prefix(STORE).unwrap_or_default()
    }

    /// The hash alone, which names a path's `.narinfo` in a binary cache.
    pub fn hash(&self) -> &str {
        self.name().get(..HASH).unwrap_or_default()
    }

    /// The path with this `<hash>-<name>`.
    ///
    /// # Errors
    ///
    /// [`InvalidStorePath`].
    pub fn named(name: &str) -> Result<Self, InvalidStorePath> {
        format!("{STORE}{name}").try_into()
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for StorePath {
    type Error = InvalidStorePath;

    fn try_from(text: String) -> Result<Self, InvalidStorePath> {
        let parts = text.strip_prefix(STORE).and_then(|rest| {
            let (hash, rest) = rest.split_at_checked(HASH)?;
            Some((hash, rest.strip_prefix('-')?))
        });
        let good = parts.is_some_and(|(hash, name)| {
            hash.bytes().all(|b| ALPHABET.contains(&b))
                && (1..=NAME).contains(&name.len())
                && !name.starts_with('.')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b))
        });
        if good { Ok(Self(text)) } else { Err(InvalidStorePath::of(&text)) }
    }
}

impl FromStr for StorePath {
    type Err = InvalidStorePath;

    fn from_str(text: &str) -> Result<Self, InvalidStorePath> {
        text.to_owned().try_into()
    }
}

impl From<StorePath> for String {
    fn from(path: StorePath) -> Self {
        path.0
    }
}

/// The text is no path in the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no path in the Nix store; expected `/nix/store/<hash>-<name>`")]
pub struct InvalidStorePath {
    text: String,
}

impl InvalidStorePath {
    fn of(text: &str) -> Self {
        Self { text: text.chars().take(120).flat_map(char::escape_debug).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_path_has_a_hash_and_a_name() {
        let text = "/nix/store/ps3dym5xhqzadcljp6idwwxy8q3y6a2w-nixos-system-www-24.11";
        let path: StorePath = text.parse().unwrap();
        assert_eq!(path.hash(), "ps3dym5xhqzadcljp6idwwxy8q3y6a2w");
        assert_eq!(path.name(), &text[STORE.len()..]);
        assert_eq!(StorePath::named(path.name()), Ok(path));
    }

    #[test]
    fn what_is_not_one_whole_store_path_is_refused() {
        let hash = "0".repeat(32);
        for bad in [
            String::new(),
            "/nix/store".into(),
            format!("/nix/store/{hash}"),
            format!("/nix/store/{hash}-"),
            format!("/nix/store/{hash}-.x"),
            format!("/nix/store/{hash}-x/y"),
            format!("/nix/store/{hash}-x\n"),
            format!("/nix/store/{}-x", "e".repeat(32)),
            format!("/nix/store/{}-x", "A".repeat(32)),
            format!("/nix/store/{hash}-{}", "x".repeat(212)),
            format!("/gnu/store/{hash}-x"),
            format!("/nix/store/{}ß-x", "0".repeat(31)),
        ] {
            assert!(bad.parse::<StorePath>().is_err(), "{bad}");
        }
    }
}
