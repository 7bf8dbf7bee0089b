//! `[serve]` of floe.toml: where the machine that runs `floe serve` keeps things, and how it
//! is reached. What is typed goes before it.
//!
//! ```toml
//! [serve]
//! data = "/var/lib/floe-control"   # relative to the repository, or absolute
//! listen = "0.0.0.0:7443"
//! public_url = "https://floe.fossable.org:7443"
//! objects_listen = "0.0.0.0:7444"
//! objects_url = "https://floe.fossable.org:7444"
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// What it says; what it does not say is left to `floe serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeFile {
    /// The directory of everything that is kept.
    pub data: Option<PathBuf>,
    /// Where operators and hosts are listened for.
    pub listen: Option<SocketAddr>,
    /// How they reach it.
    pub public_url: Option<String>,
    /// Where the bucket is served.
    pub objects_listen: Option<SocketAddr>,
    /// How it is reached.
    pub objects_url: Option<String>,
}
