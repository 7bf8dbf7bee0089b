//! Who tries too often: so many attempts that came to nothing a minute, and so many at
//! once, by whoever makes them.
//!
//! An attempt is counted while it is under way, so that a thousand at once are no way
//! around the limit; what succeeds is given back, so that a fleet behind one address can
//! enrol at once. In memory and bounded: when too many are remembered, the oldest windows
//! go first.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_proto::time::Timestamp;

/// Where somebody calls from. Of IPv6 the /64 counts, as one machine has all of its
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Of this address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()
            }
            IpAddr::V4(address) => address.into(),
        })
    }
}

/// How often is too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many that count in a minute are enough.
    pub counted: u32,
    /// So many may be under way.
    pub at_once: u32,
}

/// The attempts of the last minute, by who makes them.
#[derive(Debug)]
pub struct Attempts<K> {
    limit: Limit,
    windows: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Timestamp,
    counted: u32,
    under_way: u32,
}

/// One attempt, under way until this is dropped.
#[derive(Debug)]
pub struct Attempt<'a, K: Clone + Eq + Hash> {
    attempts: &'a Attempts<K>,
    who: K,
}

impl<K: Clone + Eq + Hash> Attempts<K> {
    /// Nobody tried yet.
    pub fn new(limit: Limit) -> Self {
        Self { limit, windows: Mutex::default() }
    }

    /// `who` tries; `None` where they have to wait.
    pub fn begin(&self, who: K, now: Timestamp) -> Option<Attempt<'_, K>> {
        let mut windows = self.windows();
        if windows.len() >= REMEMBERED && !windows.contains_key(&who) {
            make_room(&mut windows, now)?;
        }
        let fresh = Window { begun: now, counted: 0, under_way: 0 };
        let window = windows.entry(who.clone()).or_insert(fresh);
        if window.is_over(now) {
            *window = Window { under_way: window.under_way, ..fresh };
        }
        if window.counted >= self.limit.counted || window.under_way >= self.limit.at_once {
            return None;
        }
        window.under_way = window.under_way.saturating_add(1);
        Some(Attempt { attempts: self, who })
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<K, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Attempt<'_, K> {
    /// It came to nothing, or is one of those that are counted anyway.
    pub fn counts(&self) {
        if let Some(window) = self.attempts.windows().get_mut(&self.who) {
            window.counted = window.counted.saturating_add(1);
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Attempt<'_, K> {
    fn drop(&mut self) {
        if let Some(window) = self.attempts.windows().get_mut(&self.who) {
            window.under_way = window.under_way.saturating_sub(1);
        }
    }
}

impl Window {
    /// A clock that was ahead and is set right keeps nobody out.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.begun || now.since(self.begun) >= WINDOW
    }
}

/// Forgets who is not trying now; `None` where all are.
fn make_room<K: Clone + Eq + Hash>(windows: &mut HashMap<K, Window>, now: Timestamp) -> Option<()> {
    windows.retain(|_, window| window.under_way > 0 || !window.is_over(now));
    if windows.len() >= REMEMBERED {
        let idle = windows.iter().filter(|(_, window)| window.under_way == 0);
        let oldest = idle.min_by_key(|(_, window)| window.begun).map(|(who, _)| who.clone())?;
        windows.remove(&oldest);
    }
    Some(())
}

const WINDOW: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts() -> Attempts<Source> {
        Attempts::new(Limit { counted: 5, at_once: 2 })
    }

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn t084_five_wrong_tries_a_minute_are_enough() {
        let attempts = attempts();
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        for _ in 0..100 {
            assert!(attempts.begin(one, at(100)).is_some(), "what succeeds is given back");
        }
        for _ in 0..5 {
            attempts.begin(one, at(100)).unwrap().counts();
        }
        assert!(attempts.begin(one, at(159)).is_none());
        assert!(attempts.begin(other, at(159)).is_some());
        assert!(attempts.begin(one, at(160)).is_some());
        // Nor does a clock that was ahead.
        for _ in 0..5 {
            attempts.begin(one, at(9000)).unwrap().counts();
        }
        assert!(attempts.begin(one, at(9000)).is_none());
        assert!(attempts.begin(one, at(200)).is_some());
    }

    #[test]
    fn t084_many_tries_at_once_are_no_way_around_the_limit() {
        let attempts = attempts();
        let one = source("192.0.2.1");
        let under_way: Vec<_> = (0..100).filter_map(|_| attempts.begin(one, at(100))).collect();
        assert_eq!(under_way.len(), 2);
        // However long they take.
        assert!(attempts.begin(one, at(200)).is_none());
        assert!(attempts.begin(source("192.0.2.2"), at(100)).is_some());
        drop(under_way);
        assert!(attempts.begin(one, at(200)).is_some());
    }

    #[test]
    fn t084_the_memory_of_addresses_is_bounded() {
        let attempts = attempts();
        let from = |number: u32| Source::of(std::net::Ipv4Addr::from(number).into());
        let held = attempts.begin(from(0), at(1)).unwrap();
        for number in 1..10_000 {
            attempts.begin(from(number), at(1)).unwrap().counts();
        }
        assert!(attempts.windows().len() <= REMEMBERED);
        assert_eq!(attempts.windows()[&from(0)].under_way, 1, "who tries is not forgotten");
        drop(held);
    }

    #[test]
    fn t084_the_addresses_of_one_machine_are_one_source() {
        let attempts = attempts();
        for number in 0..5 {
            attempts.begin(source(&format!("2001:db8::{number}")), at(1)).unwrap().counts();
        }
        assert!(attempts.begin(source("2001:db8::ffff"), at(1)).is_none());
        assert!(attempts.begin(source("2001:db8:0:1::1"), at(1)).is_some());
    }
}
