//! What became of a host's identity.

use floe_proto::time::Timestamp;
use serde::Serialize;

use super::{Page, View};

/// `floe hosts revoke`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RevokedView {
    pub(crate) host: String,
    /// Since when; in the past where it was revoked already.
    pub(crate) revoked: Timestamp,
}

/// `floe hosts resolve`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ResolvedView {
    pub(crate) host: String,
}

impl View for RevokedView {
    fn text(&self, _: Page) -> String {
        let Self { host, revoked } = self;
        format!(
            "{host} is revoked since {revoked}\n\
             `floe hosts token ROLE --host {host}` lets the machine join anew\n"
        )
    }
}

impl View for ResolvedView {
    fn text(&self, _: Page) -> String {
        format!("{} is one machine again, and is told what to run\n", self.host)
    }
}
