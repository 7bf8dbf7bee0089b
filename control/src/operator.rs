//! What an operator may do: one of three roles, each with all that the lesser have.
//!
//! Which call needs which is said in one table (`serve::table`).

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

/// The role of an operator; a greater one may do all that a lesser may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OperatorRole {
    /// Looks at everything that is no secret, and changes nothing
    Viewer,
    /// Publishes manifests and rolls them out
    Deployer,
    /// Decides who belongs to the fleet: operators, hosts, trust
    Admin,
}

impl OperatorRole {
    /// Its name, as it is typed, stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for OperatorRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OperatorRole {
    type Err = InvalidOperatorRole;

    fn from_str(text: &str) -> Result<Self, InvalidOperatorRole> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "deployer" => Ok(Self::Deployer),
            "admin" => Ok(Self::Admin),
            other => Err(InvalidOperatorRole { text: other.escape_debug().take(80).collect() }),
        }
    }
}

/// The text names no role of operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no operator's role; expected `viewer`, `deployer` or `admin`")]
pub struct InvalidOperatorRole {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_its_text_and_the_greater_may_more() {
        for role in OperatorRole::value_variants() {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert!(OperatorRole::Viewer < OperatorRole::Deployer);
        assert!(OperatorRole::Deployer < OperatorRole::Admin);
        assert!("Admin".parse::<OperatorRole>().is_err());
    }
}
