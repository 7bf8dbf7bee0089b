//! Has the machine proved itself? Pure: what was seen, and when, becomes a verdict.
//!
//! A unit that newly failed decides at once. A check that does not hold is waited
//! for until the deadline, since services need their time to start; once all held,
//! one that breaks twice in a row decides at once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::state::{Fault, Uptime};
use super::verdict;

/// What one look at the machine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Units that have failed or crash-loop now.
    pub failed: BTreeSet<String>,
    /// Checks that did not hold, each with what was found instead.
    pub red: Vec<String>,
    /// Whether this agent has reached the control plane, as far as that is asked for.
    pub connected: bool,
}

/// What follows from what was seen so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Look again, at the latest after this.
    LookAgain(Duration),
    /// It held for the soak time.
    Proven,
    /// It does not work.
    Failed(Fault),
}

/// One machine under watch.
#[derive(Clone, Debug)]
pub struct Watch<'a> {
    forgiven: BTreeSet<&'a str>,
    soak: Duration,
    until: Uptime,
    /// Since when everything holds.
    green: Option<Uptime>,
    /// Whether everything held once, and what broke then.
    broke: Option<String>,
    was_green: bool,
}

/// How long to wait between two looks.
const PACE: Duration = Duration::from_millis(500);

/// How soon to look again where something does not hold.
const HURRY: Duration = Duration::from_millis(200);

impl<'a> Watch<'a> {
    /// A watch over a machine that has until `until` to hold for `soak`.
    pub fn new(forgiven: BTreeSet<&'a str>, soak: Duration, until: Uptime) -> Self {
        Self { forgiven, soak, until, green: None, broke: None, was_green: false }
    }

    /// What follows from one more look, that began at `began` and ended at `now`.
    pub fn saw(&mut self, look: Look, began: Uptime, now: Uptime) -> Opinion {
        if let Some(fault) = verdict::news(&look.failed, &self.forgiven) {
            return Opinion::Failed(fault);
        }
        let Some(missing) = missing(look) else {
            self.was_green = true;
            self.broke = None;
            let since = *self.green.get_or_insert(began);
            let left = began.until(since.after(self.soak));
            return if left.is_zero() { Opinion::Proven } else { self.again(left.min(PACE), now) };
        };
        self.green = None;
        if self.was_green && self.broke.is_some() {
            return Opinion::Failed(Fault::new(format!("{missing}, after it had held")));
        }
        let opinion = self.again(HURRY, now);
        let opinion = match opinion {
            Opinion::Failed(_) => {
                Opinion::Failed(Fault::new(format!("no proof in time: {missing}")))
            }
            Opinion::LookAgain(_) | Opinion::Proven => opinion,
        };
        self.broke = self.was_green.then_some(missing);
        opinion
    }

    fn again(&self, wait: Duration, now: Uptime) -> Opinion {
        let left = now.until(self.until);
        if left.is_zero() {
            return Opinion::Failed(Fault::new("it did not hold for the soak time in time"));
        }
        Opinion::LookAgain(wait.min(left))
    }
}

/// What does not hold, in words; `None` if everything does.
fn missing(look: Look) -> Option<String> {
    let mut missing = look.red;
    if !look.connected {
        missing.push("the new system's agent did not reach the control plane".to_owned());
    }
    if missing.is_empty() { None } else { Some(missing.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Uptime {
        Uptime(Duration::from_millis(millis))
    }

    fn green() -> Look {
        Look { failed: BTreeSet::new(), red: vec![], connected: true }
    }

    fn red() -> Look {
        Look { red: vec!["tcp 127.0.0.1:22: refused".into()], ..green() }
    }

    fn watch() -> Watch<'static> {
        Watch::new(["old.service"].into(), Duration::from_secs(10), at(60_000))
    }

    fn see(watch: &mut Watch<'_>, look: Look, now: u64) -> Opinion {
        watch.saw(look, at(now), at(now))
    }

    #[test]
    fn it_is_proven_when_everything_held_for_the_soak_time() {
        let mut watch = watch();
        assert_eq!(see(&mut watch, red(), 0), Opinion::LookAgain(HURRY));
        assert_eq!(see(&mut watch, green(), 1_000), Opinion::LookAgain(PACE));
        assert_eq!(see(&mut watch, green(), 10_900), Opinion::LookAgain(at(100).0));
        assert_eq!(see(&mut watch, green(), 11_000), Opinion::Proven);
    }

    #[test]
    fn without_a_soak_time_one_look_is_enough() {
        let mut watch = Watch::new(BTreeSet::new(), Duration::ZERO, at(60_000));
        assert_eq!(see(&mut watch, green(), 0), Opinion::Proven);
    }

    #[test]
    fn a_unit_that_newly_failed_decides_at_once() {
        let mut watch = watch();
        let old = Look { failed: ["old.service".to_owned()].into(), ..green() };
        assert!(matches!(see(&mut watch, old, 0), Opinion::LookAgain(_)));
        let new = Look { failed: ["nginx.service".to_owned()].into(), ..green() };
        let Opinion::Failed(why) = see(&mut watch, new, 1) else { panic!() };
        assert_eq!(why.as_str(), "unit `nginx.service` failed");
    }

    #[test]
    fn what_breaks_in_mid_soak_is_looked_at_twice_and_then_decides() {
        let mut watch = watch();
        assert!(matches!(see(&mut watch, green(), 0), Opinion::LookAgain(_)));
        assert_eq!(see(&mut watch, red(), 500), Opinion::LookAgain(HURRY));
        let Opinion::Failed(why) = see(&mut watch, red(), 700) else { panic!() };
        assert!(why.as_str().contains("127.0.0.1:22"), "{why}");
    }

    #[test]
    fn one_bad_look_begins_the_soak_time_anew() {
        let mut watch = watch();
        assert!(matches!(see(&mut watch, green(), 0), Opinion::LookAgain(_)));
        assert!(matches!(see(&mut watch, red(), 9_000), Opinion::LookAgain(_)));
        assert!(matches!(see(&mut watch, green(), 9_200), Opinion::LookAgain(_)));
        assert!(matches!(see(&mut watch, green(), 19_000), Opinion::LookAgain(_)));
        assert_eq!(see(&mut watch, green(), 19_200), Opinion::Proven);
    }

    #[test]
    fn at_the_deadline_what_is_missing_is_said() {
        let mut watch = watch();
        assert!(matches!(see(&mut watch, red(), 59_000), Opinion::LookAgain(_)));
        let lonely = Look { connected: false, ..green() };
        let Opinion::Failed(why) = see(&mut watch, lonely, 60_000) else { panic!() };
        assert!(why.as_str().contains("control plane"), "{why}");
    }
}
