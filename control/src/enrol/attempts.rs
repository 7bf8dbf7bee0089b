//! Who tried too often: five refused enrolments a minute from one address. Of IPv6
//! the /64 counts, as one machine has all of its addresses.
//!
//! In memory and bounded: when too many addresses are remembered, the oldest
//! windows go first. Successes count nothing, so a fleet behind one address can
//! enrol at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floe_proto::time::Timestamp;

/// Refused attempts of the last minute, by address.
#[derive(Debug, Default)]
pub struct Attempts {
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Timestamp,
    refused: u32,
}

impl Attempts {
    /// Whether `address` may try now.
    pub fn may_try(&self, address: IpAddr, now: Timestamp) -> bool {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows
            .get(&source(address))
            .is_none_or(|window| window.refused < LIMIT || now.since(window.begun) >= WINDOW)
    }

    /// Remembers that `address` was refused.
    pub fn refused(&self, address: IpAddr, now: Timestamp) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= ADDRESSES {
            windows.retain(|_, window| now.since(window.begun) < WINDOW);
        }
        if windows.len() >= ADDRESSES {
            let oldest = windows.iter().min_by_key(|(_, window)| window.begun);
            if let Some(address) = oldest.map(|(address, _)| *address) {
                windows.remove(&address);
            }
        }
        let window = windows.entry(source(address)).or_insert(Window { begun: now, refused: 0 });
        if now.since(window.begun) >= WINDOW {
            *window = Window { begun: now, refused: 0 };
        }
        window.refused = window.refused.saturating_add(1);
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        IpAddr::V4(address) => address.into(),
    }
}

const LIMIT: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
const ADDRESSES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t084_five_wrong_tries_a_minute_are_enough() {
        let attempts = Attempts::default();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for _ in 0..5 {
            assert!(attempts.may_try(one, at(100)));
            attempts.refused(one, at(100));
        }
        assert!(!attempts.may_try(one, at(159)));
        assert!(attempts.may_try(other, at(159)));
        assert!(attempts.may_try(one, at(160)));
        attempts.refused(one, at(160));
        assert!(attempts.may_try(one, at(160)));
    }

    #[test]
    fn t084_the_memory_of_addresses_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..10_000_u32 {
            attempts.refused(std::net::Ipv4Addr::from(number).into(), Timestamp::from_micros(1));
        }
        assert!(attempts.windows.lock().unwrap().len() <= ADDRESSES);
    }

    #[test]
    fn t084_the_addresses_of_one_machine_are_one_source() {
        let attempts = Attempts::default();
        let at = Timestamp::from_micros(1);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for number in 0..5 {
            attempts.refused(address(&format!("2001:db8::{number}")), at);
        }
        assert!(!attempts.may_try(address("2001:db8::ffff"), at));
        assert!(attempts.may_try(address("2001:db8:0:1::1"), at));
    }
}
