//! `[rollout]` of `host.toml`: how a bundle comes to the role's hosts.
//!
//! ```toml
//! [rollout]
//! waves = "1,100%"                 # a canary, then the rest; nothing else can be chosen yet
//! ```
//!
//! The engine (`crate::rollout`) has this one way. What it cannot do is refused, so that
//! nobody relies on a setting that does nothing.

use serde::Deserialize;

use super::fault::Faults;

/// The only way there is.
const WAVES: &str = "1,100%";

/// As it is typed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRollout {
    waves: Option<String>,
}

impl RawRollout {
    pub(super) fn check(&self, faults: &mut Faults) {
        let Some(waves) = &self.waves else { return };
        let said: String = waves.chars().filter(|c| !c.is_whitespace()).collect();
        if said != WAVES {
            faults.advise(
                "rollout.waves",
                format!("rollouts cannot go by `{waves}`: they take one canary, then the rest"),
                Some(format!("write `{WAVES}`, or leave it out")),
            );
        }
    }
}
