//! Did the switch do what it was to do? Pure.
//!
//! Judged by the machine, not by the number that the switch ended with: 2 is two
//! things, 4 may be somebody else's unit, 100 may have moved nothing at all.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::state::{Fault, Toplevel};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows: it was gone, and had left no word.
    Vanished,
}

/// What the machine looks like after a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// How `switch-to-configuration` ended.
    pub ended: Ended,
    /// `/run/current-system`.
    pub running: Option<Toplevel>,
    /// Whether `/etc/static` is the `etc` of the system that was switched to.
    pub etc_is_new: bool,
    /// Units that have failed or crash-loop now.
    pub failed: BTreeSet<String>,
}

/// Whether the machine runs `to`, and no unit failed that is not `forgiven`.
///
/// # Errors
///
/// What is wrong, in the order in which it explains most.
pub fn of_trial(after: &After, to: &Toplevel, forgiven: &BTreeSet<&str>) -> Result<(), Fault> {
    // switch-to-configuration's own numbers; docs/nixos.md and nixpkgs' main.rs.
    match after.ended {
        Ended::Exit(0 | 4) => {}
        Ended::Exit(2) => return Err(Fault::new("the activation script failed (status 2)")),
        Ended::Exit(11) => {
            return Err(Fault::new("another switch-to-configuration holds the lock (status 11)"));
        }
        Ended::Exit(100) => {
            return Err(Fault::new(
                "the new system needs a reboot: its init interface is another one (status 100)",
            ));
        }
        Ended::Exit(status) => {
            return Err(Fault::new(format!("switch-to-configuration failed (status {status})")));
        }
        Ended::Signal(signal) => {
            return Err(Fault::new(format!(
                "switch-to-configuration was killed (signal {signal})"
            )));
        }
        Ended::Vanished => {
            return Err(Fault::new("switch-to-configuration was interrupted and left no outcome"));
        }
    }
    is_running(after, to)?;
    match news(&after.failed, forgiven) {
        None => Ok(()),
        Some(fault) => Err(fault),
    }
}

/// Whether the machine runs `back` again. Units that fail in it are no reason to
/// try again: this is the system that ran with or without them.
///
/// # Errors
///
/// What is wrong.
pub fn of_rollback(after: &After, back: &Toplevel) -> Result<(), Fault> {
    match after.ended {
        // 2: a snippet of the old system failed, as it may have done all along.
        Ended::Exit(0 | 2 | 4) => is_running(after, back),
        Ended::Exit(status) => Err(Fault::new(format!("switching back failed (status {status})"))),
        Ended::Signal(signal) => {
            Err(Fault::new(format!("switching back was killed (signal {signal})")))
        }
        Ended::Vanished => Err(Fault::new("switching back was interrupted")),
    }
}

/// Which units failed that are not `forgiven`; `None` if there is none.
pub fn news(failed: &BTreeSet<String>, forgiven: &BTreeSet<&str>) -> Option<Fault> {
    let units: Vec<&str> =
        failed.iter().map(String::as_str).filter(|unit| !forgiven.contains(unit)).collect();
    match units.as_slice() {
        [] => None,
        [unit] => Some(Fault::new(format!("unit `{unit}` failed"))),
        units => Some(Fault::new(format!("units failed: {}", units.join(", ")))),
    }
}

fn is_running(after: &After, wanted: &Toplevel) -> Result<(), Fault> {
    if after.running.as_ref() != Some(wanted) {
        return Err(match &after.running {
            Some(other) => Fault::new(format!("the machine runs `{other}` after the switch")),
            None => Fault::new("the machine has no /run/current-system after the switch"),
        });
    }
    if !after.etc_is_new {
        return Err(Fault::new("/etc is not that of the system that was switched to"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toplevel(name: &str) -> Toplevel {
        format!("/nix/store/{name}").parse().unwrap()
    }

    fn after(ended: Ended) -> After {
        let failed = ["old.service".to_owned()].into();
        After { ended, running: Some(toplevel("new")), etc_is_new: true, failed }
    }

    fn judge(after: &After) -> Result<(), String> {
        let forgiven = ["old.service", "ignored.service"].into();
        of_trial(after, &toplevel("new"), &forgiven).map_err(|fault| fault.to_string())
    }

    #[test]
    fn t107_what_had_failed_before_does_not_count() {
        assert_eq!(judge(&after(Ended::Exit(0))), Ok(()));
        assert_eq!(judge(&after(Ended::Exit(4))), Ok(()));
    }

    #[test]
    fn t107_a_unit_that_newly_failed_is_named_even_where_the_status_is_zero() {
        let mut after = after(Ended::Exit(0));
        after.failed.insert("nginx.service".into());
        assert_eq!(judge(&after).unwrap_err(), "unit `nginx.service` failed");
        after.failed.insert("a.mount".into());
        assert_eq!(judge(&after).unwrap_err(), "units failed: a.mount, nginx.service");
    }

    #[test]
    fn t107_a_status_of_zero_is_not_believed_against_the_machine() {
        let mut elsewhere = after(Ended::Exit(0));
        elsewhere.running = Some(toplevel("old"));
        assert!(judge(&elsewhere).is_err());
        let mut half = after(Ended::Exit(0));
        half.etc_is_new = false;
        assert!(judge(&half).is_err());
    }

    #[test]
    fn t107_every_other_end_is_a_failure() {
        for ended in [
            Ended::Exit(1),
            Ended::Exit(2),
            Ended::Exit(11),
            Ended::Exit(17),
            Ended::Exit(100),
            Ended::Exit(101),
            Ended::Signal(9),
            Ended::Vanished,
        ] {
            assert!(judge(&after(ended)).is_err(), "{ended:?}");
        }
    }

    #[test]
    fn going_back_is_judged_by_what_runs() {
        for status in [0, 2, 4] {
            assert!(of_rollback(&after(Ended::Exit(status)), &toplevel("new")).is_ok());
            assert!(of_rollback(&after(Ended::Exit(status)), &toplevel("old")).is_err());
        }
        assert!(of_rollback(&after(Ended::Exit(11)), &toplevel("new")).is_err());
    }
}
