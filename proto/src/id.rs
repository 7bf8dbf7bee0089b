//! The names of things, each with one checked way in.
//!
//! clap, serde, the wire and the database all pass through the same `FromStr`,
//! so past this file no `String` means a role or a host.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Serials stay below 2⁵³, so that every JSON reader sees the same number.
const MAX_SERIAL: u64 = (1 << 53) - 1;

/// The number of a role's manifest: strictly increasing, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Serial(NonZeroU64);

impl Serial {
    /// The serial of a role's first manifest.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The serial after this one; `None` where the numbers have run out.
    pub fn next(self) -> Option<Self> {
        self.0.get().checked_add(1).and_then(|next| Self::try_from(next).ok())
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u64> for Serial {
    type Error = InvalidSerial;

    fn try_from(number: u64) -> Result<Self, InvalidSerial> {
        NonZeroU64::new(number)
            .filter(|number| number.get() <= MAX_SERIAL)
            .map(Self)
            .ok_or_else(|| InvalidSerial { text: number.to_string() })
    }
}

impl From<Serial> for u64 {
    fn from(serial: Serial) -> Self {
        serial.get()
    }
}

impl FromStr for Serial {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        let invalid = || InvalidSerial { text: shown(text) };
        text.parse::<u64>().map_err(|_| invalid())?.try_into().map_err(|_| invalid())
    }
}

/// The text is no serial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no serial; expected a whole number from 1 to 2^53-1")]
pub struct InvalidSerial {
    text: String,
}

/// The age of a fleet's numbering; only the trust root raises it, after serials
/// were misused. Order is (epoch, serial).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(u32);

impl Epoch {
    /// The epoch with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is checked by `$check` when it is made, and only then.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $invalid:ident, $check:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as it stands in certificates, logs and the database.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $invalid;

            fn try_from(text: String) -> Result<Self, $invalid> {
                if $check(&text) { Ok(Self(text)) } else { Err($invalid { text: shown(&text) }) }
            }
        }

        impl FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        #[doc = concat!("The text is no [`", stringify!($name), "`].")]
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("`{text}` is no {}; expected {}", noun(stringify!($name)), $expected)]
        pub struct $invalid {
            text: String,
        }
    };
}

name! {
    /// Everything that one trust root governs, named by its domain. It is also the
    /// SPIFFE trust domain of its certificates.
    Fleet, InvalidFleet, is_domain,
    "a domain such as `fossable.org`: lower case letters, digits, `-` and `.`, at most 253"
}

name! {
    /// A directory `hosts/<role>/`: a configuration that any number of hosts run.
    Role, InvalidRole, is_domain,
    "a name such as `www.fossable.org`: lower case letters, digits, `-` and `.`, at most 253"
}

name! {
    /// One machine with an enrolled agent: an EC2 instance id (`i-0abc…`), or
    /// `local-<name>` for a machine outside EC2.
    HostId, InvalidHostId, is_host,
    "`i-` and 8 or 17 hex digits, or `local-<name>` with at most 63 letters, digits and `-`"
}

impl HostId {
    /// Whether EC2 gave it, and not an operator.
    pub fn is_instance(&self) -> bool {
        self.0.starts_with("i-")
    }
}

name! {
    /// One rollout, as the control plane numbered it: `r-<number>`.
    RolloutId, InvalidRolloutId, is_rollout, "`r-` and a number, such as `r-12`"
}

name! {
    /// One attempt of one host, as its agent named it.
    ActivationId, InvalidActivationId, is_activation, "1 to 64 letters, digits and `-`"
}

/// RFC 1123's form of a domain, lower case only, so that one name has one spelling
/// and every name is a safe file name.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}

fn is_host(text: &str) -> bool {
    match (text.strip_prefix("i-"), text.strip_prefix("local-")) {
        (Some(hex), _) => {
            matches!(hex.len(), 8 | 17)
                && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        (_, Some(name)) => {
            (1..=63).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }
        (None, None) => false,
    }
}

fn is_rollout(text: &str) -> bool {
    text.strip_prefix("r-").is_some_and(|number| {
        (1..=18).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_activation(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// What of a refused text is shown: enough to find it, too little to flood a log.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

fn noun(type_name: &str) -> &'static str {
    match type_name {
        "Fleet" => "fleet",
        "Role" => "role",
        "HostId" => "host id",
        "RolloutId" => "rollout id",
        _ => "activation id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_never_zero_and_never_beyond_what_json_can_say() {
        assert!("0".parse::<Serial>().is_err());
        assert!(Serial::try_from(1 << 53).is_err());
        assert_eq!(Serial::try_from(MAX_SERIAL).unwrap().next(), None);
        assert!(serde_json::from_str::<Serial>("0").is_err());
        assert!(serde_json::from_str::<Serial>("1.0").is_err());
    }

    #[test]
    fn t019_a_role_is_a_safe_file_name() {
        for good in ["www", "www.fossable.org", "a-b.c1"] {
            assert!(good.parse::<Role>().is_ok(), "{good}");
        }
        let long = "a".repeat(300);
        for bad in ["", ".", "..", "../x", "a/b", "A", "-a", "a.", ".a", "ä", "a b", &long, "a\0b"]
        {
            assert!(bad.parse::<Role>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_id_is_an_instance_or_local() {
        for good in ["i-0123456789abcdef0", "i-12345678", "local-www-1"] {
            assert!(good.parse::<HostId>().is_ok(), "{good}");
        }
        for bad in ["i-", "i-123", "local-", "www", "local-a/b", "I-12345678"] {
            assert!(bad.parse::<HostId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refused_name_says_what_was_expected() {
        let error = "a/b".parse::<Role>().unwrap_err().to_string();
        assert!(error.starts_with("`a/b` is no role; expected"), "{error}");
    }
}
