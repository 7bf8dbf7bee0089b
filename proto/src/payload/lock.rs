//! `floe.lock`: where every tree that an evaluation may use comes from.
//!
//! ```toml
//! schema = 1
//!
//! [pins.nixpkgs]
//! url = "https://…/nixexprs.tar.xz"    # as `builtins.fetchTarball` takes it
//! sha256 = "0zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s"
//! follow = "https://channels.nixos.org/nixos-24.11/nixexprs.tar.xz"   # optional
//!
//! [pins.floe]
//! path = "nixos"                       # a tree of the repository, packed along
//! ```
//!
//! Every pin becomes `-I name=…`; nothing else is on Nix's search path. Strict: what
//! is unknown, missing or twice is an error. What is accepted can stand in a Nix
//! string or on a command line as it is. Nothing is fetched or looked for here. `follow` is
//! for the operator's `floe lock update`, and never in a payload.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::pin::{self, Pin, PinName, PinPath};

/// Name of the lock file, in a repository and in a payload.
pub const FILE: &str = "floe.lock";

/// A lock file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// All pins; `nixpkgs` is among them.
    pub pins: BTreeMap<PinName, Pin>,
}

impl Lock {
    /// A lock file may have so many bytes.
    pub const MAX_BYTES: usize = 64 << 10;

    /// The lock file as it goes into a payload: path pins lie below [`super::PINS`] there, and
    /// no pin follows anything, which hosts of earlier versions would not understand.
    #[must_use]
    pub fn for_payload(&self) -> Self {
        let pins = self.pins.iter().map(|(name, pin)| {
            let pin = match pin {
                Pin::Url { url, sha256, follow: _ } => {
                    Pin::Url { url: url.clone(), sha256: sha256.clone(), follow: None }
                }
                Pin::Path(_) => Pin::Path(PinPath::in_payload(name)),
            };
            (name.clone(), pin)
        });
        Self { pins: pins.collect() }
    }

    /// A Nix expression for the trees of all URL pins, by name: who evaluates it has them in the
    /// store. `None` where there are none. Hosts and operators fetch by the same one.
    pub fn fetching(&self) -> Option<String> {
        let fetched = self.pins.iter().filter_map(|(name, pin)| match pin {
            // Neither name, URL nor hash can hold what means something to Nix.
            Pin::Url { url, sha256, follow: _ } => Some(format!(
                "\"{name}\" = builtins.fetchTarball {{ url = \"{url}\"; sha256 = \"{sha256}\"; }}; "
            )),
            Pin::Path(_) => None,
        });
        let fetched: String = fetched.collect();
        let expression = format!("builtins.mapAttrs (_: toString) {{ {fetched}}}");
        (!fetched.is_empty()).then_some(expression)
    }

    /// The lock file's text; the same for the same pins.
    pub fn to_toml(&self) -> String {
        let mut text = format!("schema = {SCHEMA}\n");
        for (name, pin) in &self.pins {
            text += &format!("\n[pins.{name}]\n");
            text += &match pin {
                Pin::Url { url, sha256, follow } => {
                    let follow = follow
                        .as_ref()
                        .map(|follow| format!("follow = {}\n", toml::Value::from(follow.as_str())));
                    format!(
                        "url = {}\nsha256 = {}\n{}",
                        toml::Value::from(url.as_str()),
                        toml::Value::from(sha256.as_str()),
                        follow.unwrap_or_default()
                    )
                }
                Pin::Path(path) => format!("path = {}\n", toml::Value::from(path.as_str())),
            };
        }
        text
    }
}

impl FromStr for Lock {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > Self::MAX_BYTES {
            return Err(Error::TooLong);
        }
        // The number comes first: what a newer floe writes need not make sense here.
        let Versioned { schema } = read(text)?;
        if schema != SCHEMA {
            return Err(Error::Schema { schema });
        }
        let file: LockFile = read(text)?;
        let mut pins = BTreeMap::new();
        for (text, pin) in file.pins {
            let field = |source| Error::Field { name: text.chars().take(80).collect(), source };
            let name: PinName = text.parse().map_err(field)?;
            let pin = match pin {
                PinFile { url: Some(url), sha256: Some(sha256), path: None, follow } => Pin::Url {
                    url: url.parse().map_err(field)?,
                    sha256: sha256.parse().map_err(field)?,
                    follow: follow.map(|follow| follow.parse()).transpose().map_err(field)?,
                },
                PinFile { url: None, sha256: None, path: Some(path), follow: None } => {
                    Pin::Path(path.parse().map_err(field)?)
                }
                PinFile { .. } => return Err(Error::Pin { name }),
            };
            pins.insert(name, pin);
        }
        if !pins.keys().any(|name| name.as_str() == NIXPKGS) {
            return Err(Error::NoNixpkgs);
        }
        Ok(Self { pins })
    }
}

const SCHEMA: i64 = 1;
const NIXPKGS: &str = "nixpkgs";

/// The one field that every version of the file has.
#[derive(Deserialize)]
struct Versioned {
    schema: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    #[serde(rename = "schema")]
    _schema: i64,
    pins: BTreeMap<String, PinFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    url: Option<String>,
    sha256: Option<String>,
    path: Option<String>,
    follow: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|source| Error::Toml { source: Box::new(source) })
}

/// Why a lock file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too long to be a lock file.
    #[error("floe.lock has more than {} bytes", Lock::MAX_BYTES)]
    TooLong,
    /// No TOML, or not with these fields.
    #[error("floe.lock cannot be read")]
    Toml {
        /// Where, and what was expected.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Another version of the format.
    #[error("floe.lock has schema {schema}, this floe knows {SCHEMA}")]
    Schema {
        /// What the file says.
        schema: i64,
    },
    /// The one pin that there must be is missing.
    #[error("floe.lock has no pin `nixpkgs`")]
    NoNixpkgs,
    /// A pin is neither a URL nor a path, or both.
    #[error("pin `{name}` of floe.lock needs either `url` and `sha256`, or `path`")]
    Pin {
        /// The pin.
        name: PinName,
    },
    /// A field of a pin, or its name, cannot be that.
    #[error("pin `{name}` of floe.lock is wrong")]
    Field {
        /// The pin, as the file has it.
        name: String,
        /// Which text, and why.
        #[source]
        source: pin::Error,
    },
}

impl Error {
    /// What the operator can do next; printed on a line of its own.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::TooLong => "check that this is a lock file",
            Self::Toml { .. } => "mend the line that is named",
            Self::Schema { .. } => "use the version of floe that wrote it, or a newer one",
            Self::NoNixpkgs => {
                "add [pins.nixpkgs] with url and sha256 (see nix-prefetch-url --unpack)"
            }
            Self::Pin { .. } => "give the tarball's url and sha256, or the path of a directory",
            Self::Field { source, .. } => source.advice(),
        }
    }

    /// Whether the same file may be accepted later: it never is.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooLong
            | Self::Toml { .. }
            | Self::Schema { .. }
            | Self::NoNixpkgs
            | Self::Pin { .. }
            | Self::Field { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s";

    fn lock(pins: &str) -> Result<Lock, Error> {
        format!("schema = 1\n{pins}").parse()
    }

    #[test]
    fn a_lock_file_comes_back_as_it_was_written() {
        let text = format!(
            "schema = 1\n\n[pins.floe]\npath = \"nixos\"\n\n\
             [pins.nixpkgs]\nurl = \"https://example.org/n.tar.xz\"\nsha256 = \"{HASH}\"\n"
        );
        assert_eq!(text.parse::<Lock>().unwrap().to_toml(), text);
    }

    #[test]
    fn in_a_payload_path_pins_lie_below_pins() {
        let lock = lock("[pins.nixpkgs]\npath = \"world/mini-nixpkgs\"").unwrap().for_payload();
        assert_eq!(lock.to_toml(), "schema = 1\n\n[pins.nixpkgs]\npath = \"pins/nixpkgs\"\n");
        assert_eq!(lock.for_payload(), lock);
    }

    #[test]
    fn what_a_pin_follows_is_kept_and_never_in_a_payload() {
        let text = format!(
            "schema = 1\n\n[pins.nixpkgs]\nurl = \"https://example.org/n.tar.xz\"\n\
             sha256 = \"{HASH}\"\nfollow = \"nixos-24.11\"\n"
        );
        let lock = text.parse::<Lock>().unwrap();
        assert_eq!(lock.to_toml(), text);
        let payload = lock.for_payload().to_toml();
        assert_eq!(payload, text.replace("follow = \"nixos-24.11\"\n", ""));
        assert_eq!(payload.parse::<Lock>().unwrap().fetching(), lock.fetching());
    }

    #[test]
    fn t059_what_is_not_exactly_a_lock_file_is_refused() {
        let nixpkgs = "[pins.nixpkgs]\npath = \"n\"\n";
        assert!(lock(nixpkgs).is_ok());
        for bad in [
            "",
            "[pins]",
            "[pins.floe]\npath = \"n\"",
            "[pins.nixpkgs]",
            "[pins.nixpkgs]\nurl = \"https://a/b\"",
            &format!("[pins.nixpkgs]\nurl = \"https://a/b\"\nsha256 = \"{HASH}\"\npath = \"n\""),
            "[pins.nixpkgs]\npath = \"n\"\nfollow = \"main\"",
            &format!("[pins.nixpkgs]\nurl = \"https://a/b\"\nsha256 = \"{HASH}\"\nfollow = \"-x\""),
            "[pins.nixpkgs]\npath = \"/n\"",
            "[pins.nixpkgs]\npath = \"../n\"",
            "[pins.nixpkgs]\npath = \".\"",
            &format!("{nixpkgs}strip = true"),
            &format!("{nixpkgs}path = \"twice\""),
            &format!("{nixpkgs}{nixpkgs}"),
            &format!("{nixpkgs}[pins.nixos-config]\npath = \"n\""),
            &format!("{nixpkgs}[pins.\"a=b\"]\npath = \"n\""),
            &format!("{nixpkgs}[more]"),
        ] {
            assert!(lock(bad).is_err(), "{bad}");
        }
        let newer = format!("schema = 2\nnew = true\n{nixpkgs}").parse::<Lock>();
        assert!(matches!(newer, Err(Error::Schema { schema: 2 })));
    }
}
