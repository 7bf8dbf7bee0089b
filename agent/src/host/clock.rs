//! The only reader of the clock.

use std::time::{Duration, SystemTime};

use floe_proto::admit::Floors;
use floe_proto::time::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use super::system;
use crate::activation::ports::Clock;
use crate::activation::state::Uptime;

/// The machine's clock, held up from below: a clock that was set back (or never
/// set) shows the newest time that this host has seen signed, and what has passed since
/// the boot. A clock that is ahead is believed, and forgotten once it is set right:
/// only signed times are remembered.
#[derive(Clone, Debug, Default)]
pub struct HostClock {
    newest_signed: Option<Timestamp>,
}

impl HostClock {
    /// A clock that never shows less than the newest time in `floors`.
    pub fn new(floors: &Floors) -> Self {
        Self { newest_signed: floors.newest_signed }
    }
}

impl Clock for HostClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port that reads the clock")]
    fn now(&self) -> Timestamp {
        held_up(SystemTime::now().into(), self.newest_signed, system::uptime())
    }
}

/// For TLS: a clock that was never set must not keep a host from its control plane.
impl TimeProvider for HostClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.now().as_micros().div_euclid(1_000_000)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn held_up(clock: Timestamp, newest_signed: Option<Timestamp>, uptime: Uptime) -> Timestamp {
    match newest_signed {
        // It goes on, so that no two moments have one name.
        Some(newest) if clock < newest => newest.after(uptime.0),
        Some(_) | None => clock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn t036_time_is_never_before_the_newest_signed_time_and_never_stands_still() {
        let (clock, signed) = (at("1970-01-01T00:00:07Z"), at("2026-11-22T20:28:00Z"));
        let minute = |minutes: u64| Uptime(Duration::from_secs(minutes * 60));
        assert_eq!(held_up(clock, Some(signed), minute(1)), at("2026-11-22T20:29:00Z"));
        assert_eq!(held_up(clock, Some(signed), minute(2)), at("2026-11-22T20:30:00Z"));
        assert_eq!(held_up(clock, None, minute(2)), clock);
        let never_set = HostClock { newest_signed: Some(at("2099-01-01T00:00:00Z")) };
        assert!(never_set.current_time().unwrap().as_secs() > 4_070_000_000);
        let end = Floors { newest_signed: Some(at("2999-01-01T00:00:00Z")), ..Floors::default() };
        assert!(HostClock::new(&end).now() > at("2999-01-01T00:00:00Z"));
    }

    #[test]
    fn t037_a_clock_that_was_ahead_and_is_set_right_is_believed_at_once() {
        let (ahead, right) = (at("2099-01-01T00:00:00Z"), at("2026-11-22T20:28:00Z"));
        let clock = HostClock::new(&Floors::default());
        for now in [ahead, right] {
            assert_eq!(held_up(now, clock.newest_signed, Uptime::default()), now);
        }
    }
}
