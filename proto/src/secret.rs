//! A role's secrets: the signed document that is sealed to its hosts.
//!
//! All secrets of a role are one document, so that what belongs together changes together, and
//! what is not in it any more is gone. A plain document: it is trusted only as
//! [`crate::verify::Verified`].

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::id::{Epoch, Fleet, Role, Serial};
use crate::json;
use crate::manifest::is_unit;
use crate::time::Timestamp;

/// The payload type of its envelope.
pub const TYPE: &str = "application/vnd.floe.secrets.v1+json";

/// The newest schema that this program knows.
pub const SCHEMA: u32 = 1;

/// The longest document that is read, in bytes. Its envelope says it in base64, and an envelope
/// has at most 256 KiB.
pub const MAX_BYTES: usize = 128 * 1024;

/// The most secrets that a role has.
pub const MAX_SECRETS: usize = 256;

/// All secrets of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSet {
    /// The oldest schema that carries what is said.
    pub schema: u32,
    /// The fleet whose hosts get them.
    pub fleet: Fleet,
    /// The role whose hosts get them.
    pub role: Role,
    /// The epoch of the trust root that it was signed under.
    pub epoch: Epoch,
    /// Its number, of its own and not of manifests; order is (epoch, serial).
    pub serial: Serial,
    /// When it was signed, in whole seconds.
    pub created: Timestamp,
    /// In the order of their names, each once.
    pub secrets: Vec<Secret>,
}

/// One secret: a file below `/run/floe/secrets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The file's name.
    pub name: Name,
    /// The file's content.
    pub value: Value,
    /// The user who owns it.
    pub owner: String,
    /// The group that owns it.
    pub group: String,
    /// Its permissions.
    pub mode: Mode,
    /// What is told when it changes.
    pub units: Units,
}

/// The units that are told of another value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Restarted, where they run.
    pub restart: Vec<String>,
    /// Reloaded, where they run; restarted, where they cannot be reloaded.
    pub reload: Vec<String>,
}

impl Units {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.restart.iter().chain(&self.reload)
    }
}

impl SecretSet {
    /// Parses the bytes of a verified envelope, and checks what a type cannot say.
    ///
    /// # Errors
    ///
    /// [`json::Error`] for what is no such document, [`Error::Invalid`] for one that contradicts
    /// itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let set: Self = json::parse(bytes, SCHEMA, MAX_BYTES)?;
        set.validate()?;
        Ok(set)
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what [`SecretSet::parse`] would refuse.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.validate()?;
        let bytes = Zeroizing::new(serde_json::to_vec(self).map_err(json::Error::from)?);
        if bytes.len() > MAX_BYTES {
            return Err(Error::Invalid("they are more than 128 KiB together"));
        }
        Ok(bytes)
    }

    fn validate(&self) -> Result<(), Error> {
        let names: Vec<_> = self.secrets.iter().map(|secret| &secret.name).collect();
        let rules: [(bool, &'static str); 5] = [
            (self.secrets.len() <= MAX_SECRETS, "there are more than 256"),
            (names.is_sorted_by(|one, next| one < next), "they are not in order, or one is twice"),
            (
                self.secrets.iter().all(|secret| is_user(&secret.owner) && is_user(&secret.group)),
                "an owner or a group is none",
            ),
            (
                self.secrets.iter().flat_map(|secret| secret.units.all()).all(|u| can_be_told(u)),
                "it names what is no unit, or floe's own",
            ),
            (self.created == self.created.whole_seconds(), "`created` has a fraction of a second"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(Error::Invalid(broken)),
            None => Ok(()),
        }
    }
}

/// The name of a secret, which is that of its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// As a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // No name begins with a dot: those are files that are being written.
        let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let sound = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if begins && sound && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { text: text.chars().take(80).flat_map(char::escape_debug).collect() })
        }
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The text is no name of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name of a secret; expected letters, digits, `-`, `_` and `.`, at most 128")]
pub struct InvalidName {
    text: String,
}

/// The content of a secret: not printed, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// These bytes.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for who writes or compares them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl TryFrom<String> for Value {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = Zeroizing::new(text);
        BASE64.decode(text.as_bytes()).map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

impl From<Value> for String {
    fn from(value: Value) -> Self {
        BASE64.encode(&value.0)
    }
}

/// The permissions of a secret's file, such as `0400`: never for everybody, never to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u16);

impl Mode {
    /// As chmod(2) takes it.
    pub fn bits(self) -> u32 {
        self.0.into()
    }
}

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        let invalid = || InvalidMode { text: text.chars().take(16).collect() };
        let octal = text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let bits = u16::from_str_radix(text, 8).ok().filter(|_| octal).ok_or_else(invalid)?;
        // Reading and writing, of owner and group.
        if bits & !0o660 == 0 && bits & 0o400 != 0 { Ok(Self(bits)) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for Mode {
    type Error = InvalidMode;

    fn try_from(text: String) -> Result<Self, InvalidMode> {
        text.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        format!("{:04o}", mode.0)
    }
}

/// The text is no mode of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no mode of a secret; expected `0400`, `0440`, `0600`, `0640` or `0660`: it is \
     read by its owner, by nobody outside its group, and never run"
)]
pub struct InvalidMode {
    text: String,
}

/// Whether `unit` is one that can be told of a secret: floe's own units are told by floe.
pub fn can_be_told(unit: &str) -> bool {
    is_unit(unit) && !unit.starts_with("floe-")
}

/// Whether `text` can name a user or a group: as useradd(8) has it.
pub fn is_user(text: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    (1..=32).contains(&text.len())
        && text.starts_with(first)
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// Why bytes are no set of secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("the secrets could not be read")]
    Json(#[from] json::Error),
    /// It was read, and contradicts itself.
    #[error("the secrets make no sense: {0}")]
    Invalid(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_safe_file_name() {
        for good in ["a", "root-password", "tls.key", "0", "A_b"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let long = "a".repeat(129);
        for bad in ["", ".", "..", ".a", "-a", "a/b", "a b", "ä", "a\0", &long] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_outside_the_group_reads_a_secret() {
        for good in ["0400", "0440", "0600", "0640", "0660"] {
            assert_eq!(String::from(good.parse::<Mode>().unwrap()), good);
        }
        for bad in ["400", "0444", "0500", "4400", "0040", "0404", "04 0", "+400", ""] {
            assert!(bad.parse::<Mode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_is_not_printed() {
        let value = Value::new(Zeroizing::new(b"hunter2".to_vec()));
        assert_eq!(format!("{value:?}"), "…");
        assert_eq!(Value::try_from(String::from(value.clone())).unwrap(), value);
    }
}
