//! SPIFFE ids: who a certificate speaks for.
//!
//! The forms that floe issues, and no other: `spiffe://<fleet>/host/<id>`,
//! `spiffe://<fleet>/operator/<name>`, `spiffe://<fleet>/control`
//! (SPIFFE-ID, section 2). One strict parser for every certificate.

use std::fmt;
use std::str::FromStr;

use crate::id::{Fleet, HostId};

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// The trust domain.
    pub fleet: Fleet,
    /// Who in it.
    pub subject: Subject,
}

/// Who in a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A host's agent.
    Host(HostId),
    /// A person or a pipeline that operates the fleet: 1 to 63 of `[a-z0-9._-]`.
    Operator(String),
    /// The control plane.
    Control,
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/", self.fleet)?;
        match &self.subject {
            Subject::Host(id) => write!(f, "host/{id}"),
            Subject::Operator(name) => write!(f, "operator/{name}"),
            Subject::Control => f.write_str("control"),
        }
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        parse(text).ok_or_else(|| InvalidSpiffeId { text: text.escape_debug().take(300).collect() })
    }
}

fn parse(text: &str) -> Option<SpiffeId> {
    let (fleet, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
    let subject = match path.split_once('/') {
        None if path == "control" => Subject::Control,
        Some(("host", id)) => Subject::Host(id.parse().ok()?),
        Some(("operator", name)) if is_operator(name) => Subject::Operator(name.to_owned()),
        None | Some(_) => return None,
    };
    Some(SpiffeId { fleet: fleet.parse().ok()?, subject })
}

/// Whether `name` can name an operator: 1 to 63 of `[a-z0-9._-]`.
pub fn is_operator(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// The text is none of the SPIFFE ids that floe issues.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no SPIFFE id of a floe host, operator or control plane")]
pub struct InvalidSpiffeId {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_survive_their_text() {
        for text in [
            "spiffe://fossable.org/host/local-www-1",
            "spiffe://fossable.org/operator/ada",
            "spiffe://fossable.org/control",
        ] {
            assert_eq!(text.parse::<SpiffeId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn t085_nothing_else_is_a_spiffe_id_of_ours() {
        for text in [
            "spiffe://fossable.org",
            "spiffe://fossable.org/",
            "spiffe://fossable.org/control/",
            "spiffe://fossable.org/control/x",
            "spiffe://fossable.org/host/",
            "spiffe://fossable.org/host/i-1",
            "spiffe://fossable.org/host/local-a/b",
            "spiffe://fossable.org/operator/",
            "spiffe://fossable.org/operator/A",
            "spiffe://a@fossable.org/control",
            "SPIFFE://fossable.org/control",
            "https://fossable.org/control",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
    }
}
