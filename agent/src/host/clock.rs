//! The only reader of the clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use floe_proto::admit::Floors;
use floe_proto::time::Timestamp;

use crate::activation::ports::Clock;

/// The machine's clock, held up from below: a clock that was set back (or never
/// set) shows the newest time that this host has seen signed.
#[derive(Debug, Default)]
pub struct HostClock {
    newest: AtomicI64,
}

impl HostClock {
    /// A clock that never shows less than the newest time in `floors`.
    pub fn new(floors: &Floors) -> Self {
        let newest = floors.newest_signed.map_or(i64::MIN, Timestamp::as_micros);
        Self { newest: AtomicI64::new(newest) }
    }
}

impl Clock for HostClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::from(SystemTime::now()).as_micros();
        // One more than ever before, so that no two moments have one name.
        let before = self
            .newest
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |newest| {
                Some(newest.saturating_add(1).max(now))
            })
            .unwrap_or(now);
        Timestamp::from_micros(before.saturating_add(1).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_never_before_the_newest_signed_time_and_never_stands_still() {
        let end: Timestamp = "2999-01-01T00:00:00Z".parse().unwrap();
        let floors = Floors { newest_signed: Some(end), ..Floors::default() };
        let clock = HostClock::new(&floors);
        let (first, second) = (clock.now(), clock.now());
        assert!(first >= end && second > first);
        assert!(HostClock::new(&Floors::default()).now() < end);
    }
}
