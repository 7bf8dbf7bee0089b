//! A control plane that can be reached.

use serde::Serialize;

use super::{Page, View};
use crate::serve::{Bound, ServeConfig};

/// `floe serve`, printed once it can be reached: `{url, objects_url, credentials}`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServeView {
    /// For operators and hosts.
    pub(crate) url: String,
    /// For payloads.
    pub(crate) objects_url: String,
    /// The directory of the first operator's credentials.
    pub(crate) credentials: String,
}

impl From<&Bound> for ServeView {
    fn from(bound: &Bound) -> Self {
        Self {
            url: bound.url.clone(),
            objects_url: bound.objects_url.clone(),
            credentials: bound.operator.display().to_string(),
        }
    }
}

impl View for ServeView {
    fn text(&self, _: Page) -> String {
        let Self { url, objects_url, credentials } = self;
        format!(
            "control plane   {url}\npayloads        {objects_url}\ncredentials     {credentials}\n"
        )
    }
}

/// `floe serve --check`: `{fleet, listen, objects_listen, data}`, of what could start.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckedView {
    /// Whose control plane it would be.
    pub(crate) fleet: String,
    /// For operators and hosts.
    pub(crate) listen: String,
    /// For payloads.
    pub(crate) objects_listen: String,
    /// Where everything would be kept.
    pub(crate) data: String,
}

impl From<&ServeConfig> for CheckedView {
    fn from(config: &ServeConfig) -> Self {
        Self {
            fleet: config.fleet.to_string(),
            listen: config.listen.to_string(),
            objects_listen: config.objects_listen.to_string(),
            data: config.data.display().to_string(),
        }
    }
}

impl View for CheckedView {
    fn text(&self, _: Page) -> String {
        format!("ok: the control plane of {} could start\n", self.fleet)
    }
}
