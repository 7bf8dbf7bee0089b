//! A clock that was ahead for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::time::sleep;

use super::*;

/// Ahead of the truth until it is set right.
#[derive(Debug)]
struct Ahead {
    ahead: Duration,
    right: AtomicBool,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The first day of the year 2999.
const YEAR_2999: Duration = Duration::from_secs(32_472_144_000);

impl TimeProvider for Ahead {
    fn current_time(&self) -> Option<UnixTime> {
        let right = self.right.load(Ordering::Relaxed);
        let now = if right { YEAR_2999 - 100 * DAY } else { YEAR_2999 + self.ahead };
        Some(UnixTime::since_unix_epoch(now))
    }
}

/// On the tenth day it asks to be renewed, and gets what is of no use to it; on the fortieth
/// it gives up.
#[tokio::test]
async fn t037_a_clock_that_was_ahead_costs_no_identity() {
    for days in [10, 40] {
        let mut world = world("www.fossable.org", vec![]).await;
        world.save("local-www-1", 2999);
        let kept = world.on_disk().unwrap();
        *world.authority.now.lock().unwrap() = YEAR_2999 - 300 * DAY;
        let clock = Arc::new(Ahead { ahead: days * DAY, right: AtomicBool::new(false) });
        world.terms.clock = Arc::clone(&clock) as Arc<dyn TimeProvider>;
        let setting_right = async {
            sleep(Duration::from_millis(200)).await;
            while days == 10 && world.renewed.lock().unwrap().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
            clock.right.store(true, Ordering::Relaxed);
        };
        let (enrolled, ()) =
            tokio::join!(in_time(obtain(&world.terms, Standing::Unknown)), setting_right);
        assert_eq!(enrolled.certificate, kept.certificate, "{days}");
        assert_eq!(world.renewed.lock().unwrap().is_empty(), days == 40);
    }
}
