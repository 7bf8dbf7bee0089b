//! What a key of the trust root is listed for.

use std::fmt;
use std::str::FromStr;

/// What a key is listed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// It signs the next trust root.
    Root,
    /// It signs manifests.
    Release,
}

impl KeyRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Root, Self::Release];
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Release => "release",
        })
    }
}

impl FromStr for KeyRole {
    type Err = NoKeyRole;

    fn from_str(text: &str) -> Result<Self, NoKeyRole> {
        let found = Self::ALL.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| NoKeyRole { text: text.to_owned() })
    }
}

/// No role that a key can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is nothing that a key can sign as; expected `root` or `release`")]
pub struct NoKeyRole {
    text: String,
}
