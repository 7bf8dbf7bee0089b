//! An EC2 instance: the names that AWS gives things, and what AWS says when it is asked.
//!
//! Here because enrolment needs it; who can ask AWS implements [`Instances`]
//! (`aws/ec2.rs`). Nothing in this file decides.

use std::fmt;
use std::str::FromStr;

use floe_proto::id::HostId;
use floe_proto::time::Timestamp;

/// Who can be asked about instances.
pub trait Instances: Send + Sync + 'static {
    /// What AWS has under this instance id, in the region; at most a few. One that AWS
    /// does not know is an empty answer.
    fn describe(
        &self,
        region: &Region,
        instance: &HostId,
    ) -> impl Future<Output = Result<Vec<Instance>, Unavailable>> + Send;
}

/// One instance, as AWS describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id, as AWS spells it.
    pub id: String,
    /// The account that it runs in.
    pub account: String,
    /// What it was launched from.
    pub image: String,
    /// Whether it runs (or is about to), and not in another state.
    pub running: bool,
    /// When it was started last.
    pub launched: Option<Timestamp>,
    /// Whether its metadata service answers requests without a session token (IMDSv1).
    pub answers_without_token: bool,
    /// How many network hops the metadata service's answers may travel.
    pub hop_limit: i32,
    /// When its root volume was attached.
    pub root_attached: Option<Timestamp>,
    /// When its first network interface was attached.
    pub network_attached: Option<Timestamp>,
}

/// AWS could not be asked: worth another try.
#[derive(Debug, thiserror::Error)]
#[error("AWS could not be asked about the instance")]
pub struct Unavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A text that is checked by `$check` when it is made, and only then.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident, $noun:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// As AWS spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    let text = text.chars().take(80).flat_map(char::escape_debug).collect();
                    Err(InvalidName { text, noun: $noun, expected: $expected })
                }
            }
        }
    };
}

name! {
    /// An AWS account.
    Account, is_account, "AWS account", "12 digits"
}

name! {
    /// An AWS Region.
    Region, is_region, "AWS Region", "a code such as `eu-central-1`"
}

name! {
    /// A machine image (AMI); its id is unique in its Region.
    ImageId, is_image, "image id", "`ami-` and 8 or 17 hex digits"
}

/// The text is no name of that kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {noun}; expected {expected}")]
pub struct InvalidName {
    text: String,
    noun: &'static str,
    expected: &'static str,
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let mut parts = text.rsplit('-');
    let number = parts.next().unwrap_or_default();
    (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && text.len() <= 32
        && text.matches('-').count() >= 2
        && parts.all(word)
}

fn is_image(text: &str) -> bool {
    text.strip_prefix("ami-").is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for good in ["eu-central-1", "us-gov-west-1", "eusc-de-east-1"] {
            assert!(good.parse::<Region>().is_ok(), "{good}");
        }
        for bad in ["", "eu", "eu-central", "eu-central-1a", "EU-central-1", "-a-1", "a--1", "../1"]
        {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
        assert!("123456789012".parse::<Account>().is_ok());
        assert!("12345678901".parse::<Account>().is_err());
        assert!("ami-0123456789abcdef0".parse::<ImageId>().is_ok());
        let error = "ami-X".parse::<ImageId>().unwrap_err().to_string();
        assert_eq!(error, "`ami-X` is no image id; expected `ami-` and 8 or 17 hex digits");
    }
}
