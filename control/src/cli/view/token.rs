//! A join token, shown this once.

use floe_proto::time::Timestamp;
use serde::Serialize;

use super::{Page, View};

/// `floe hosts token`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TokenView {
    pub(crate) role: String,
    /// The only host that may use it; `null` for any.
    pub(crate) host: Option<String>,
    /// `floe-join-…`; `null` where it was written to a file instead.
    pub(crate) token: Option<String>,
    /// The file that it was written to.
    pub(crate) file: Option<String>,
    pub(crate) expires: Timestamp,
}

impl View for TokenView {
    fn text(&self, _: Page) -> String {
        let shown = self.token.as_ref().or(self.file.as_ref());
        let whom = self.host.as_deref().unwrap_or("any one host");
        format!(
            "{}\nfor {whom} of role {}, once, until {}\n",
            shown.map_or("", String::as_str),
            self.role,
            self.expires
        )
    }
}
