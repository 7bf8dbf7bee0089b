//! `join.toml`: which host this machine is to become, and the token that says so.
//!
//! Put there by whoever makes the machine, readable by root alone, used once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::id::HostId;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// The longest file that is read, in bytes.
const MAX_BYTES: usize = 4096;

/// The longest token that `enrolment.proto` allows, in bytes.
const MAX_TOKEN: usize = 128;

/// What `join.toml` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    /// Who the machine says it is.
    pub(super) host: HostId,
    /// As `floe hosts token` printed it.
    #[serde(deserialize_with = "token")]
    pub(super) token: Zeroizing<String>,
}

/// The token is a secret until it is used.
impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("host", &self.host).finish_non_exhaustive()
    }
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Reads the file at `path`, if there is one.
pub(super) fn read(path: &Path) -> Result<Join, Error> {
    let file = || path.to_owned();
    let text = match std::fs::read(path) {
        Ok(bytes) if bytes.len() > MAX_BYTES => return Err(Error::Malformed { file: file() }),
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing { file: file() });
        }
        Err(source) => return Err(Error::Unreadable { file: file(), source }),
    };
    // The cause is left out on purpose: toml's errors quote the line, token and all.
    let join: Option<Join> = std::str::from_utf8(&text).ok().and_then(|t| toml::from_str(t).ok());
    join.filter(|join| (1..=MAX_TOKEN).contains(&join.token.len()))
        .ok_or_else(|| Error::Malformed { file: file() })
}

/// Why there is nothing to join with.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("this machine is not enrolled, and there is no `{}` to enrol it with", file.display())]
    Missing { file: PathBuf },
    #[error("could not read `{}`", file.display())]
    Unreadable {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is no join file; expected `host = \"…\"` and `token = \"…\"`", file.display())]
    Malformed { file: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Join, Error> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("join.toml");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_join_file_names_a_host_and_its_token_and_does_not_print_the_token() {
        let join = written("host = \"local-www-1\"\ntoken = \"floe-join-abc\"\n").unwrap();
        assert_eq!(join.host.as_str(), "local-www-1");
        assert_eq!(join.token.as_str(), "floe-join-abc");
        assert!(!format!("{join:?}").contains("abc"));
    }

    #[test]
    fn what_is_no_join_file_is_refused_without_quoting_it() {
        for bad in [
            "",
            "host = \"www\"\ntoken = \"secret\"",
            "host = \"local-a\"\ntoken = \"\"",
            "host = \"local-a\"\ntoken = \"secret\"\nrole = \"x\"",
            "host = \"local-a\"\ntoken = secret",
            &format!("host = \"local-a\"\ntoken = \"{}\"", "x".repeat(129)),
        ] {
            let error = written(bad).unwrap_err();
            assert!(!crate::telemetry::Chain(&error).to_string().contains("secret"), "{error}");
        }
    }
}
