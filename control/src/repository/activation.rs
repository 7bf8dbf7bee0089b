//! `[activation]` of `host.toml`: how hosts are switched, and when they reboot.
//!
//! ```toml
//! [activation]
//! probation = "90s"                # from the switch to the verdict; then the host goes back
//! ignore_units = []
//! reboot = "if-needed"             # never (the default), if-needed, always
//! reboot_window = "02:00-04:30"    # UTC; at any time where it is not said
//! ```

use floe_proto::manifest::{self, Activation, Mode};
use floe_proto::reboot::{Policy, Reboot};
use serde::Deserialize;

use super::duration::SpanText;
use super::fault::Faults;
use super::health::seconds;
use super::suggest::did_you_mean;

/// As it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawActivation {
    probation: SpanText,
    ignore_units: Vec<String>,
    reboot: Option<String>,
    reboot_window: Option<String>,
}

impl Default for RawActivation {
    fn default() -> Self {
        Self {
            probation: SpanText("90s".into()),
            ignore_units: Vec::new(),
            reboot: None,
            reboot_window: None,
        }
    }
}

impl RawActivation {
    pub(super) fn checked(self, faults: &mut Faults) -> Activation {
        let deadline_seconds = seconds("activation.probation", &self.probation.0, 86_400, faults);
        for (at, unit) in self.ignore_units.iter().enumerate() {
            if !manifest::is_unit(unit) {
                unit_fault(&format!("activation.ignore_units #{}", at + 1), unit, faults);
            }
        }
        let reboot = self.reboot(faults);
        let ignore_units = self.ignore_units;
        Activation { mode: Mode::TestThenCommit, deadline_seconds, ignore_units, reboot }
    }

    fn reboot(&self, faults: &mut Faults) -> Reboot {
        let policy = self.reboot.as_ref().map(|text| {
            text.parse::<Policy>().map_err(|error| {
                let guess = did_you_mean(text, ["never", "if-needed", "always"]);
                faults.advise("activation.reboot", error.to_string(), guess);
            })
        });
        let unknown = matches!(policy, Some(Err(())));
        let policy = policy.and_then(Result::ok).unwrap_or_default();
        let window = self.reboot_window.as_ref().map(|text| text.parse());
        let window = window.and_then(|window| faults.take("activation.reboot_window", window));
        if policy == Policy::Never && self.reboot_window.is_some() && !unknown {
            let fault = "hosts of this role never reboot; say `reboot = \"if-needed\"` as well";
            faults.add("activation.reboot_window", fault.into());
        }
        Reboot { policy, window }
    }
}

/// That `unit` names none. What has no ending is most often a service.
pub(super) fn unit_fault(name: &str, unit: &str, faults: &mut Faults) {
    let service = format!("{unit}.service");
    let meant = !unit.contains('.') && manifest::is_unit(&service);
    let guess = meant.then(|| format!("did you mean `{service}`?"));
    faults.advise(name, format!("`{unit}` is no unit such as `nginx.service`"), guess);
}
