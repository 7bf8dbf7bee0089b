//! A clock that was ahead for a while.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::time::Instant;

use super::*;

/// Ahead of the truth for a second.
#[derive(Debug)]
struct Ahead {
    begun: Instant,
    ahead: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The first day of the year 2999.
const YEAR_2999: Duration = Duration::from_secs(32_472_144_000);

impl TimeProvider for Ahead {
    fn current_time(&self) -> Option<UnixTime> {
        let truth = YEAR_2999 - 100 * DAY;
        let now = if self.begun.elapsed() < DAY / 86_400 { YEAR_2999 + self.ahead } else { truth };
        Some(UnixTime::since_unix_epoch(now))
    }
}

/// On the tenth day it renews, and gets what has expired for it as well; on the fortieth it
/// gives up.
#[tokio::test]
async fn t037_a_clock_that_was_ahead_costs_no_identity() {
    for days in [10, 40] {
        let mut world = world("www.fossable.org", vec![]).await;
        world.save("local-www-1", 2999);
        let kept = world.on_disk().unwrap();
        let (begun, ahead) = (Instant::now(), days * DAY);
        world.terms.clock = Arc::new(Ahead { begun, ahead });
        let enrolled = in_time(obtain(&world.terms, Standing::Unknown)).await;
        assert_eq!(enrolled.certificate, kept.certificate, "{days}");
        assert_eq!(world.renewed.lock().unwrap().is_empty(), days == 40);
    }
}
