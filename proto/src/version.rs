//! Versions of the agent, which manifests ask for and hosts report.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version of the agent: `major.minor.patch`, compared by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentVersion(u32, u32, u32);

impl AgentVersion {
    /// The version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self(major, minor, patch)
    }
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl TryFrom<String> for AgentVersion {
    type Error = InvalidAgentVersion;

    fn try_from(text: String) -> Result<Self, InvalidAgentVersion> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| n.to_string() == text);
        let parts: Vec<_> = text.split('.').map(number).collect();
        match parts.as_slice() {
            [Some(major), Some(minor), Some(patch)] => Ok(Self(*major, *minor, *patch)),
            _ => Err(InvalidAgentVersion { text: text.chars().take(80).collect() }),
        }
    }
}

impl From<AgentVersion> for String {
    fn from(version: AgentVersion) -> Self {
        version.to_string()
    }
}

/// The text is no version of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no version; expected three numbers such as `0.1.0`")]
pub struct InvalidAgentVersion {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_have_one_spelling() {
        let version = |text: &str| AgentVersion::try_from(text.to_owned());
        assert!(version("0.10.0").unwrap() > version("0.9.9").unwrap());
        for bad in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.-3", "1.2.3-rc1"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
