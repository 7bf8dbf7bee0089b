//! What may stand in `floe.lock`: names, URLs, hashes and paths of pins.
//!
//! What is accepted can stand in a Nix string, in `-I name=path` or in a log line as it
//! is: there is nothing in it that would have to be escaped. Whether anything is to be
//! found there is not asked.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::entry;
use super::limits::Limits;

/// Where a pinned tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// A tarball that the host fetches, and checks.
    Url {
        /// Where the tarball lies.
        url: PinUrl,
        /// Hash of the unpacked tree.
        sha256: PinHash,
        /// What `floe lock update` looks for the next one by.
        follow: Option<Follow>,
    },
    /// A tree beside the lock file.
    Path(PinPath),
}

/// What stands between `<` and `>` in a Nix expression: `nixpkgs`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinName(String);

impl FromStr for PinName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let well_formed = text.len() <= 63
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            // The agent gives this one to the role's own entry.
            && text != "nixos-config";
        if well_formed { Ok(Self(text.to_owned())) } else { Err(Error::Name { text: short(text) }) }
    }
}

/// Where a tarball lies: an `https`, `http` or `file` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinUrl(String);

impl FromStr for PinUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // RFC 3986, section 2, without `'` and `$`: quotes and `${` mean something to Nix.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!&()*+,;=%".contains(&b);
        let rest = ["https://", "http://", "file:///"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or_default();
        let well_formed = !rest.is_empty() && text.len() <= 2048 && text.bytes().all(allowed);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(Error::Url { text: short(text) }) }
    }
}

/// A SHA-256 in one of the three forms that Nix reads, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinHash(String);

impl FromStr for PinHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let well_formed = match (text.strip_prefix("sha256-"), text.len()) {
            (Some(base64), _) => {
                BASE64.decode(base64.as_bytes()).is_ok_and(|bytes| bytes.len() == 32)
            }
            (None, 64) => text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            // 52 digits have four bits too many; the first digit holds them.
            (None, 52) => text.starts_with(['0', '1']) && text.bytes().all(is_nix_base32),
            (None, _) => false,
        };
        if well_formed { Ok(Self(text.to_owned())) } else { Err(Error::Hash { text: short(text) }) }
    }
}

fn is_nix_base32(digit: u8) -> bool {
    b"0123456789abcdfghijklmnpqrsvwxyz".contains(&digit)
}

/// A directory beside the lock file or below, as `nixos` or `vendor/nixpkgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinPath(String);

impl PinPath {
    /// Where a payload holds the tree of the path pin `name`.
    pub fn in_payload(name: &PinName) -> Self {
        Self(format!("{}/{name}", super::PINS))
    }
}

impl FromStr for PinPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-+/".contains(&b);
        let well_formed =
            text.bytes().all(allowed) && entry::check_path(text, &Limits::default()).is_ok();
        if well_formed { Ok(Self(text.to_owned())) } else { Err(Error::Path { text: short(text) }) }
    }
}

/// What a pin follows: the URL of something that leads to the newest tarball, or the branch
/// of the repository that its own URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// As the channels of NixOS have it.
    Url(PinUrl),
    /// As `nixos-24.11`.
    Branch(Branch),
}

impl Follow {
    /// The text, as it stands in the lock file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Url(url) => url.as_str(),
            Self::Branch(branch) => branch.as_str(),
        }
    }
}

impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Follow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        // git-check-ref-format(1), and less: what is accepted is one plain word for a shell.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        let well_formed = (1..=200).contains(&text.len())
            && text.bytes().all(plain)
            && text.split('/').all(|part| {
                !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(['.'])
            })
            && !text.contains("..")
            && !text.ends_with(".lock");
        if well_formed {
            Ok(Self::Branch(Branch(text.to_owned())))
        } else {
            Err(Error::Follow { text: short(text) })
        }
    }
}

/// A branch of a repository of git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch(String);

macro_rules! text {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text, as it stands in the lock file.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text!(PinName, PinUrl, PinHash, PinPath, Branch);

/// Why a text cannot stand in a lock file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No name for a pin.
    #[error("`{text}` cannot be the name of a pin")]
    Name {
        /// The text.
        text: String,
    },
    /// No URL for a pin.
    #[error("`{text}` cannot be the url of a pin")]
    Url {
        /// The text.
        text: String,
    },
    /// No hash.
    #[error("`{text}` is no sha256 that Nix reads")]
    Hash {
        /// The text.
        text: String,
    },
    /// Neither a URL nor a branch.
    #[error("`{text}` is nothing that a pin can follow")]
    Follow {
        /// The text.
        text: String,
    },
    /// No path, or one that leads out.
    #[error("`{text}` cannot be the path of a pin")]
    Path {
        /// The text.
        text: String,
    },
}

impl Error {
    /// What the operator can do next; printed on a line of its own.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Name { .. } => {
                "use a lower case letter, then letters, digits and `-`; `nixos-config` is taken"
            }
            Self::Url { .. } => "write an https, http or file URL; encode special characters",
            Self::Hash { .. } => "write what nix-prefetch-url --unpack prints, or sha256-…",
            Self::Follow { .. } => {
                "write the URL of a channel, or the name of a branch such as `nixos-24.11`"
            }
            Self::Path { .. } => {
                "write a path below the directory of floe.lock: letters, digits and `._-+/`, no `..`"
            }
        }
    }
}

/// Enough of `text` to recognise it in an error.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s";

    #[test]
    fn the_three_forms_of_a_hash_are_read_and_nothing_else() {
        let sri = format!("sha256-{}", BASE64.encode(&[1; 32]));
        for good in [HASH, &"0a".repeat(32), &sri] {
            assert!(good.parse::<PinHash>().is_ok(), "{good}");
        }
        let two = HASH.replacen('0', "2", 1);
        let e = HASH.replacen('z', "e", 1);
        for bad in ["", "sha256-AAAA", &two, &e, &"0A".repeat(32), &HASH[1..], &"0".repeat(63)] {
            assert!(bad.parse::<PinHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn t059_a_path_stays_inside_and_is_plain() {
        for good in ["nixos", "vendor/nixpkgs-24.11", ".hidden/a_b+c"] {
            assert!(good.parse::<PinPath>().is_ok(), "{good}");
        }
        for bad in ["", ".", "./a", "/a", "a/../..", "a/", "a b", "a\"b", "${a}", "a=b", "a\n"] {
            assert!(bad.parse::<PinPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pin_follows_a_url_or_a_branch_and_no_option_of_git() {
        for good in ["nixos-24.11", "release/24.x", "https://channels.nixos.org/nixos-24.11"] {
            assert_eq!(good.parse::<Follow>().unwrap().as_str(), good);
        }
        for bad in ["", "-x", "a/-b", "a b", "a..b", "a/", "/a", "x.lock", "$x", "ftp://x/y", "a:b"]
        {
            assert!(bad.parse::<Follow>().is_err(), "{bad}");
        }
    }

    #[test]
    fn t059_nothing_that_nix_could_take_for_code_is_a_url() {
        for good in ["https://example.org/a.tar.xz?x=%20", "file:///srv/nixpkgs.tar.gz"] {
            assert!(good.parse::<PinUrl>().is_ok(), "{good}");
        }
        for bad in
            ["", "https://", "channel:nixos", "https://a/\"+x", "https://a/${x}", "http://a b"]
        {
            assert!(bad.parse::<PinUrl>().is_err(), "{bad}");
        }
    }
}
