//! What of a payload is built: a file of it, or a configuration of the flake in it.
//!
//! A manifest says a file as text, as it always did, and a flake as `{"flake":"www"}`. What
//! is accepted can stand in a path or a flake reference as it is.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::closure;
use crate::id::Role;
use crate::payload;

/// What of a payload is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The file that is `nixos-config`, such as `role/configuration.nix`; of a closure, its
    /// list.
    File(File),
    /// A configuration of the flake in [`payload::ROLE`]. Since schema 4 of manifests.
    Flake(Attribute),
}

impl Entry {
    /// What the manifest of a closure says: its list.
    pub fn of_closure() -> Self {
        Self::File(File(closure::FILE.to_owned()))
    }

    /// Whether it is the file `path` of the payload.
    pub fn is_file(&self, path: &str) -> bool {
        match self {
            Self::File(file) => file.as_path() == Path::new(path),
            Self::Flake(_) => false,
        }
    }
}

/// As an operator of Nix would write it.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.as_path().display()),
            Self::Flake(attribute) => {
                write!(f, "{}#{}", payload::ROLE, attribute.configuration())
            }
        }
    }
}

/// A file.
impl TryFrom<String> for Entry {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.try_into().map(Self::File)
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(file) => file.serialize(serializer),
            Self::Flake(flake) => FlakeEntry { flake: flake.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Said)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlakeEntry {
    flake: Attribute,
}

/// Reads either form. An untagged enum would keep the last of two equal keys.
struct Said;

impl<'de> Visitor<'de> for Said {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file of the payload, or a flake's attribute")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
        text.to_owned().try_into().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        let FlakeEntry { flake } = FlakeEntry::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Entry::Flake(flake))
    }
}

/// A file of the payload: a relative path of plain components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct File(String);

impl File {
    /// Relative to the payload's root.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl TryFrom<String> for File {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let plain = Path::new(&text).components().all(|part| matches!(part, Component::Normal(_)));
        // `components` forgives `a//b` and `a/./b`, so that the text is compared too.
        let clean = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        let short = text.len() <= 255 && !text.contains('\0');
        if plain && clean && short { Ok(Self(text)) } else { Err(Error::File) }
    }
}

impl From<File> for String {
    fn from(file: File) -> Self {
        file.0
    }
}

/// The name of one of a flake's `nixosConfigurations`.
///
/// Of letters, digits, `_`, `-` and `.`: the names of Nix's identifiers, and those of roles.
/// Between two quotes it means nothing else to Nix, to a flake reference, or to a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Attribute(String);

impl Attribute {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path to the configuration. Always in quotes, since names may hold dots.
    pub fn configuration(&self) -> String {
        format!("nixosConfigurations.\"{}\"", self.0)
    }
}

impl FromStr for Attribute {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let well_formed = (1..=253).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(Error::Attribute) }
    }
}

impl TryFrom<String> for Attribute {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> Self {
        attribute.0
    }
}

/// The configuration that is called as the role is: every name of a role is one of these.
impl From<&Role> for Attribute {
    fn from(role: &Role) -> Self {
        Self(role.to_string())
    }
}

/// Why a text names nothing that could be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It leads out of the payload.
    #[error("it is no relative path inside the payload")]
    File,
    /// It means something to Nix.
    #[error("it is no name of letters, digits, `_`, `-` and `.`")]
    Attribute,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Option<Entry> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn an_entry_stays_inside_the_payload() {
        for bad in ["", "/etc/x", "../x", "a/../x", "a//b", "./a", "a/", "a\0b"] {
            assert!(Entry::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_is_text_and_a_flake_is_not() {
        let file = read(r#""role/configuration.nix""#).unwrap();
        assert_eq!(serde_json::to_string(&file).unwrap(), r#""role/configuration.nix""#);
        assert!(file.is_file("role/configuration.nix") && !file.is_file("role"));
        let flake = read(r#"{"flake":"www.fossable.org"}"#).unwrap();
        assert_eq!(serde_json::to_string(&flake).unwrap(), r#"{"flake":"www.fossable.org"}"#);
        assert!(!flake.is_file("www.fossable.org"));
        assert_eq!(flake.to_string(), r#"role#nixosConfigurations."www.fossable.org""#);
    }

    #[test]
    fn t004_nothing_else_is_an_entry() {
        for bad in [
            "null",
            "7",
            "[]",
            r#"["www"]"#,
            "{}",
            r#"{"flake":null}"#,
            r#"{"flake":"www","flake":"www"}"#,
            r#"{"flake":"www","more":1}"#,
            r#"{"file":"role/configuration.nix"}"#,
            r#"{"Flake":"www"}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_attribute_is_a_name_and_nothing_that_nix_would_read() {
        for good in ["www", "www.fossable.org", "_a", "7", "web-1_b"] {
            assert!(good.parse::<Attribute>().is_ok(), "{good}");
        }
        let long = "a".repeat(254);
        for bad in [
            "", ".a", "-a", "a b", "a\"b", "${x}", "a$", "a\n", "a/b", "a#b", "a?b", "a%22", "a'",
            "a\\", "a^out", "ä", &long,
        ] {
            assert!(bad.parse::<Attribute>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_role_has_an_attribute_of_its_name(role in "[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?") {
            let Ok(role) = role.parse::<Role>() else { return Ok(()) };
            prop_assert_eq!(role.as_str().parse::<Attribute>().unwrap(), Attribute::from(&role));
        }

        #[test]
        fn whatever_is_accepted_stays_between_its_quotes(text in "\\PC{0,20}|[a-z\"$#.{}-]{0,9}") {
            let Ok(attribute) = text.parse::<Attribute>() else { return Ok(()) };
            let asked = attribute.configuration();
            prop_assert_eq!(asked.matches('"').count(), 2);
            prop_assert!(!asked.contains(['#', '$', '\\', '%', '\n', ' ']));
            let entry = Entry::Flake(attribute);
            let json = serde_json::to_string(&entry).unwrap();
            prop_assert_eq!(read(&json), Some(entry));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(json in "\"[a-z/.]{0,12}\"|\\{\"flake\":\"[a-zA-Z0-9._/-]{0,12}\"\\}") {
            if let Some(entry) = read(&json) {
                prop_assert_eq!(serde_json::to_string(&entry).unwrap(), json);
            }
        }
    }
}
