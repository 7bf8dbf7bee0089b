//! The only reader of the clock.

use std::time::{Duration, SystemTime};

use floe_proto::admit::Floors;
use floe_proto::time::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::time::{sleep, timeout};

use super::system;
use crate::activation::ports::Clock;
use crate::activation::state::Uptime;

/// 2026-11-01T00:00:00Z, which was before this version was made; moved forward with
/// releases. A clock that shows less was never set, or was set back.
const MADE: Timestamp = Timestamp::from_micros(1_793_491_200_000_000);

/// The machine's clock, held up from below: a clock that was set back (or never
/// set) shows the newest time that this host has seen signed, and what has passed since
/// this process began. A clock that is ahead is believed, and forgotten once it is set
/// right: only signed times are remembered, and none that no clock has reached.
#[derive(Clone, Debug, Default)]
pub struct HostClock {
    newest_signed: Option<Timestamp>,
    began: Uptime,
}

impl HostClock {
    /// A clock that never shows less than the newest time in `floors`.
    pub fn new(floors: &Floors) -> Self {
        Self { newest_signed: floors.newest_signed, began: system::uptime() }
    }

    fn passed(&self) -> Duration {
        self.began.until(system::uptime())
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        held_up(machine(), self.newest_signed, self.passed())
    }
}

/// By which certificates are judged. A clock that was never set must not keep a host from
/// its control plane, and neither must whoever signs manifests: see [`for_tls`].
#[derive(Clone, Debug)]
pub struct TlsClock {
    clock: HostClock,
    issued: Option<Timestamp>,
}

impl TlsClock {
    /// `issued` is when the certificate that this host has was made, by its CA.
    pub fn new(clock: HostClock, issued: Option<Timestamp>) -> Self {
        Self { clock, issued }
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let Self { clock, issued } = self;
        let now = for_tls(machine(), clock.newest_signed, *issued, clock.passed());
        let seconds = u64::try_from(now.as_micros().div_euclid(1_000_000)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// How long a clock that was not set yet is waited for: about as long as NTP takes to come up
/// after a boot (docs/trust.md 2.7).
const PATIENCE: Duration = Duration::from_secs(120);

/// By how much no two clocks agree, as where a manifest is judged (docs/trust.md 2.5).
const SKEW: Duration = Duration::from_secs(300);

/// Waits while the machine's clock shows less than `signed`, a time that has been; not for
/// ever, since the update that is held up may be what mends the clock. Whether it is set.
pub async fn is_set(signed: Timestamp) -> bool {
    settles(|| machine().after(SKEW) >= signed).await
}

async fn settles(is_right: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !is_right() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.is_ok()
}

#[expect(clippy::disallowed_methods, reason = "this is the port that reads the clock")]
fn machine() -> Timestamp {
    SystemTime::now().into()
}

fn held_up(clock: Timestamp, proven: Option<Timestamp>, passed: Duration) -> Timestamp {
    match proven {
        // It goes on, so that no two moments have one name.
        Some(proven) if clock < proven => proven.after(passed),
        Some(_) | None => clock,
    }
}

/// What the fleet's CA has issued to this host proves a time. What a release key has signed
/// does so only for a clock that cannot be right: otherwise a manifest of the far future
/// would cut the host off from everybody who could mend that.
fn for_tls(
    clock: Timestamp,
    newest_signed: Option<Timestamp>,
    issued: Option<Timestamp>,
    passed: Duration,
) -> Timestamp {
    let signed = newest_signed.filter(|_| clock < MADE);
    held_up(clock, signed.max(issued), passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn t036_a_clock_that_is_set_late_is_waited_for_and_one_that_never_is_holds_nothing_up() {
        let begun = tokio::time::Instant::now();
        assert!(settles(|| begun.elapsed() > minutes(1)).await);
        assert!(begun.elapsed() < PATIENCE);
        assert!(!settles(|| false).await);
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn t036_time_is_never_before_the_newest_signed_time_and_never_stands_still() {
        let (clock, signed) = (at("1970-01-01T00:00:07Z"), at("2026-11-22T20:28:00Z"));
        for (passed, shown) in [(1, "2026-11-22T20:29:00Z"), (2, "2026-11-22T20:30:00Z")] {
            assert_eq!(held_up(clock, Some(signed), minutes(passed)), at(shown));
            assert_eq!(for_tls(clock, Some(signed), None, minutes(passed)), at(shown));
        }
        assert_eq!(held_up(clock, None, minutes(2)), clock);
        assert_eq!(for_tls(clock, None, None, minutes(2)), clock);
        let end = Floors { newest_signed: Some(at("2999-01-01T00:00:00Z")), ..Floors::default() };
        assert!(HostClock::new(&end).now() >= at("2999-01-01T00:00:00Z"));
    }

    /// By the time since the boot it would jump by months, and with each start again.
    #[test]
    fn t036_what_is_held_up_goes_on_by_what_this_process_has_seen_pass() {
        let signed = at("2999-01-01T00:00:00Z");
        let floors = Floors { newest_signed: Some(signed), ..Floors::default() };
        let clock = HostClock::new(&floors);
        assert!(clock.now().since(signed) <= system::uptime().0 / 2, "{:?}", clock.now());
    }

    #[test]
    fn t036_a_host_without_a_clock_reaches_who_gave_it_its_certificate() {
        let (never_set, issued) = (at("1970-01-01T00:00:07Z"), at("2026-11-22T20:28:00Z"));
        let older = at("2026-11-20T00:00:00Z");
        for signed in [None, Some(older)] {
            let now = for_tls(never_set, signed, Some(issued), minutes(1));
            assert_eq!(now, at("2026-11-22T20:29:00Z"));
        }
        // A clock that runs behind, by less than what shows.
        assert_eq!(for_tls(older, None, Some(issued), minutes(0)), issued);
    }

    #[test]
    fn t037_a_clock_that_was_ahead_and_is_set_right_is_believed_at_once() {
        let (ahead, right) = (at("2099-01-01T00:00:00Z"), at("2026-11-22T20:28:00Z"));
        let clock = HostClock::new(&Floors::default());
        for now in [ahead, right] {
            assert_eq!(held_up(now, clock.newest_signed, minutes(0)), now);
        }
    }

    #[test]
    fn t037_no_manifest_cuts_a_host_off_from_its_control_plane() {
        let (right, signed) = (at("2026-11-22T20:28:00Z"), at("2099-01-01T00:00:00Z"));
        assert_eq!(for_tls(right, Some(signed), None, minutes(1)), right);
        assert_eq!(for_tls(right, Some(signed), Some(MADE), minutes(1)), right);
        assert_eq!(MADE, at("2026-11-01T00:00:00Z"));
    }
}
