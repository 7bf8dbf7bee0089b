//! Whether a host ended where it says: pure.

use super::plan::Change;
use crate::host::State;

/// What is there to see after a round.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// What was pushed.
    pub change: Change,
    /// What the host ran, kept and would have booted before.
    pub before: &'a State,
    /// What it does now.
    pub now: &'a State,
    /// What one boot from now would bring.
    pub boots_next: &'a str,
    /// What the control plane has on record as the outcome.
    pub outcome: &'a str,
    /// What the control plane has on record as running.
    pub on_record: &'a str,
}

/// Nothing, or in which way the host is stranded or wrongly reported.
///
/// # Errors
///
/// What is wrong, for people.
pub fn judge(seen: &Seen<'_>) -> Result<(), String> {
    let Seen { change, before, now, boots_next, outcome, on_record } = seen;
    if !now.is_settled() || now.running != *boots_next {
        return Err(format!("stranded: between two systems, and boots {boots_next}: {now:?}"));
    }
    if now.running != *on_record {
        let running = &now.running;
        return Err(format!("misreported: it runs {running}, on record is {on_record}"));
    }
    let is_back = *now == *before;
    match (*outcome, is_back) {
        ("confirmed", false) if change.is_good() => Ok(()),
        ("rolled_back" | "failed", true) => Ok(()),
        ("confirmed", false) => Err(format!("stranded: it keeps {change}")),
        ("quarantined", _) => Err("stranded: it gave up".to_owned()),
        (_, true) => Err(format!("misreported: {outcome}, and it runs what it ran before")),
        (_, false) => Err(format!("misreported: {outcome}, and it runs something new")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(running: &str, profile: &str, boot_default: &str) -> State {
        let [running, profile, boot_default] = [running, profile, boot_default].map(str::to_owned);
        State { running, profile, boot_default }
    }

    fn verdict(change: Change, now: &State, outcome: &str) -> Result<(), String> {
        let seen = Seen {
            change,
            before: &state("old", "old", "old"),
            now,
            boots_next: &now.boot_default,
            outcome,
            on_record: &now.running,
        };
        judge(&seen)
    }

    #[test]
    fn a_host_ends_on_one_system_and_says_which() {
        let (old, new) = (state("old", "old", "old"), state("new", "new", "new"));
        for (change, now, outcome, good) in [
            (Change::Good, &new, "confirmed", true),
            (Change::Good, &old, "rolled_back", true),
            (Change::Broken, &old, "failed", true),
            (Change::Sick, &new, "confirmed", false),
            (Change::Good, &old, "confirmed", false),
            (Change::Good, &new, "rolled_back", false),
            (Change::Good, &old, "superseded", false),
            (Change::Good, &old, "quarantined", false),
            (Change::Good, &state("new", "new", "old"), "confirmed", false),
            (Change::Good, &state("old", "new", "old"), "rolled_back", false),
        ] {
            let verdict = verdict(change, now, outcome);
            assert_eq!(verdict.is_ok(), good, "{change:?} {now:?} {outcome}: {verdict:?}");
        }
    }

    #[test]
    fn a_record_of_another_system_is_a_wrong_report() {
        let now = state("old", "old", "old");
        let seen = Seen {
            change: Change::Good,
            before: &now,
            now: &now,
            boots_next: "old",
            outcome: "rolled_back",
            on_record: "new",
        };
        assert!(judge(&seen).unwrap_err().starts_with("misreported"));
        let seen = Seen { on_record: "old", boots_next: "new", ..seen };
        assert!(judge(&seen).unwrap_err().starts_with("stranded"));
    }
}
