//! How many refusals of one caller are written into the audit log.
//!
//! Enough to see that somebody tries, and so few that trying fills no disk. What is
//! not written is counted, and said with the next that is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floe_proto::time::Timestamp;

/// Refusals of the last minute, by caller.
#[derive(Debug, Default)]
pub(super) struct Quota {
    windows: Mutex<HashMap<String, Window>>,
}

#[derive(Debug)]
struct Window {
    begun: Timestamp,
    written: u32,
    silent: u64,
}

impl Quota {
    /// Whether one more refusal of `actor` is to be written: `Some` of how many
    /// before it were not, or `None`.
    pub(super) fn take(&self, actor: &str, now: Timestamp) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |window: &Window| now.since(window.begun) >= WINDOW;
        if windows.len() >= ACTORS && !windows.contains_key(actor) {
            windows.retain(|_, window| !is_over(window));
        }
        // Beyond any honest number of callers at once, all share one.
        let actor = if windows.len() < ACTORS || windows.contains_key(actor) { actor } else { "" };
        let fresh = || Window { begun: now, written: 0, silent: 0 };
        let window = windows.entry(actor.to_owned()).or_insert_with(fresh);
        if is_over(window) {
            *window = Window { silent: window.silent, ..fresh() };
        }
        if window.written >= MOST {
            window.silent = window.silent.saturating_add(1);
            return None;
        }
        window.written = window.written.saturating_add(1);
        Some(std::mem::take(&mut window.silent))
    }
}

/// So many of one caller, all strangers being one, are written in a minute.
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
const ACTORS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t084_who_is_refused_all_the_time_does_not_fill_the_log() {
        let quota = Quota::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let written = (0..1000).filter(|_| quota.take("", at(100)).is_some()).count();
        assert_eq!(written, usize::try_from(MOST).unwrap());
        assert_eq!(quota.take("host/local-a", at(100)), Some(0));
        assert_eq!(quota.take("", at(160)), Some(1000 - u64::from(MOST)));
        assert_eq!(quota.take("", at(160)), Some(0));
    }

    #[test]
    fn t084_no_number_of_callers_fills_our_memory() {
        let quota = Quota::default();
        for number in 0..2 * ACTORS {
            let _ = quota.take(&format!("host/local-{number}"), Timestamp::default());
        }
        assert!(quota.windows.lock().unwrap().len() <= ACTORS + 1);
    }
}
