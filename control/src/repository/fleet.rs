//! `floe.toml`: which fleet this is, where its control plane is, and whose key signs.
//!
//! ```toml
//! fleet = "fossable.org"
//! server = "https://127.0.0.1:7443"
//!
//! [signing]
//! key = "keys/release.pem"         # relative to the repository, or absolute
//!
//! [operator]
//! credentials = ".floe/operator/admin"   # holds ca.pem, cert.pem and key.pem
//! ```

use std::path::{Path, PathBuf};

use floe_proto::id::Fleet;
use hyper::Uri;
use serde::Deserialize;

use super::error::Error;
use super::toml_file;

/// Its name.
pub const FILE: &str = "floe.toml";

/// What `floe.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetFile {
    /// The fleet that the repository describes.
    pub fleet: Fleet,
    /// The control plane: `https://HOST[:PORT]`.
    pub server: String,
    /// The release key that signs bundles; relative to the repository unless absolute.
    pub signing_key: PathBuf,
    /// The directory of the operator's certificate; likewise.
    pub credentials: PathBuf,
}

impl FleetFile {
    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&toml_file::text(path)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let raw: Raw = toml_file::parse(text, path)?;
        let mut faults = Vec::new();
        let fleet = raw.fleet.parse().map_err(|error| faults.push(format!("fleet: {error}")));
        if let Some(fault) = server_fault(&raw.server) {
            faults.push(format!("server: {fault}"));
        }
        for (name, path) in
            [("signing.key", &raw.signing.key), ("operator.credentials", &raw.operator.credentials)]
        {
            if path.as_os_str().is_empty() {
                faults.push(format!("{name}: it is empty"));
            }
        }
        match fleet {
            Ok(fleet) if faults.is_empty() => Ok(Self {
                fleet,
                server: raw.server.trim_end_matches('/').to_owned(),
                signing_key: raw.signing.key,
                credentials: raw.operator.credentials,
            }),
            Ok(_) | Err(()) => Err(toml_file::wrong(path, faults)),
        }
    }
}

/// What is wrong with the URL of a control plane, if anything is.
pub(crate) fn server_fault(url: &str) -> Option<String> {
    let sound = url.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    });
    let shown: String = url.chars().take(80).collect();
    (!sound).then(|| format!("`{shown}` is no URL of a control plane; expected https://HOST:PORT"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    fleet: String,
    server: String,
    #[serde(default)]
    signing: Signing,
    #[serde(default)]
    operator: Operator,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Signing {
    key: PathBuf,
}

impl Default for Signing {
    fn default() -> Self {
        Self { key: "keys/release.pem".into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Operator {
    credentials: PathBuf,
}

impl Default for Operator {
    fn default() -> Self {
        Self { credentials: ".floe/operator/admin".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FleetFile, String> {
        FleetFile::parse(text, Path::new("floe.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_that_must_be_said_is_fleet_and_server() {
        let file = parse("fleet = 'fossable.org'\nserver = 'https://127.0.0.1:7443/'").unwrap();
        assert_eq!(file.server, "https://127.0.0.1:7443");
        assert_eq!(file.signing_key, Path::new("keys/release.pem"));
        assert_eq!(file.credentials, Path::new(".floe/operator/admin"));
    }

    #[test]
    fn all_faults_of_values_come_at_once_with_the_name_of_the_file() {
        let error = parse("fleet = 'A B'\nserver = 'http://x'\n[signing]\nkey = ''").unwrap_err();
        assert!(error.starts_with("`floe.toml` is not right: fleet: `A B` is no fleet"), "{error}");
        assert!(error.contains("; server: `http://x` is no URL"), "{error}");
        assert!(error.ends_with("; signing.key: it is empty"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        let error = parse("fleet = 'a'\nserver = 'https://x'\nsever = 1").unwrap_err();
        assert!(error.contains("line 3: unknown field `sever`"), "{error}");
    }

    #[test]
    fn a_control_plane_is_spoken_to_by_https_only() {
        for bad in ["", "x", "http://x", "https://", "https://a@b", "https://x/path", "https://x?q"]
        {
            assert!(server_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(server_fault("https://[::1]:7443"), None);
    }
}
