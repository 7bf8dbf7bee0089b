//! How long to wait before trying again: exponential, with full jitter.
//!
//! Full jitter (anything from nothing to the ceiling) and not a wait with a little
//! noise: after a control plane restarted, ten thousand agents must not come back in
//! step. Nothing here sleeps or reads a clock.

use std::time::Duration;

/// The waits of one series of tries.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    tries: u32,
}

impl Backoff {
    /// The first wait is at most `base`; the ceiling doubles up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, tries: 0 }
    }

    /// How long to wait now.
    pub fn next_wait(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.tries = self.tries.saturating_add(1);
        // Without randomness the longest wait is the harmless one.
        getrandom::u64().map_or(ceiling, |random| jittered(ceiling, random))
    }

    /// What was tried has worked; the next series begins small.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

fn jittered(ceiling: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.checked_rem(nanos.saturating_add(1)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t094_a_wait_is_anything_from_nothing_to_the_ceiling() {
        let second = Duration::from_secs(1);
        assert_eq!(jittered(second, 0), Duration::ZERO);
        assert_eq!(jittered(second, 1_000_000_000), second);
        assert_eq!(jittered(second, 1_000_000_001), Duration::ZERO);
        assert_eq!(jittered(Duration::ZERO, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_begins_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let ceilings: Vec<_> = (0..100)
            .map(|_| {
                let ceiling = backoff.ceiling();
                assert!(backoff.next_wait() <= ceiling);
                ceiling.as_millis()
            })
            .collect();
        assert_eq!(ceilings[..9], [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(ceilings[99], 30_000);
        backoff.reset();
        assert_eq!(backoff.ceiling(), Duration::from_millis(250));
    }
}
