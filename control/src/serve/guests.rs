//! How many connections one caller may have, and for how long a stranger may stay.
//!
//! Enough for everything that hosts and operators do, and so little that neither a
//! stranger nor who has stolen one certificate can keep the others out. Nor whose it was:
//! each key has its own share of what its holder's name may have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::spiffe::Subject;

use super::auth::Speaker;

/// For how long who shows no certificate of the fleet may stay: to enrol is one call.
pub(super) const STRANGERS_STAY: Duration = Duration::from_secs(30);

/// Who is connected, by which key, and how often. A stranger is `None`.
#[derive(Debug, Default)]
pub(super) struct Guests {
    connections: Mutex<HashMap<Option<Subject>, Keys>>,
}

type Keys = HashMap<Option<Digest>, usize>;

/// One connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    who: Option<Subject>,
    key: Option<Digest>,
}

impl Guests {
    /// Counts one more connection of `who`; `None` where these are enough.
    pub(super) fn enter(self: &Arc<Self>, who: Option<&Speaker>) -> Option<Guest> {
        let (who, key) = (who.map(|who| who.subject.clone()), who.map(|who| who.key));
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = connections.entry(who.clone()).or_default();
        let (all, of_key) = most(who.as_ref());
        let held = keys.get(&key).copied().unwrap_or_default();
        if held >= of_key || keys.values().sum::<usize>() >= all {
            return None;
        }
        keys.insert(key, held + 1);
        Some(Guest { guests: Arc::clone(self), who, key })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connections =
            self.guests.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keys) = connections.get_mut(&self.who) else { return };
        if let Some(count) = keys.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                keys.remove(&self.key);
            }
        }
        if keys.is_empty() {
            connections.remove(&self.who);
        }
    }
}

/// By all keys, and by one. A host has one connection, and for a while those that it lost
/// and we did not yet.
const fn most(who: Option<&Subject>) -> (usize, usize) {
    match who {
        None => (1024, 1024),
        Some(Subject::Host(_) | Subject::Control) => (32, 8),
        Some(Subject::Operator(_)) => (512, 128),
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::time::Timestamp;

    use super::*;

    fn host(id: &str, key: &[u8]) -> Speaker {
        let (subject, key) = (Subject::Host(id.parse().unwrap()), Digest::of(key));
        Speaker { subject, key, expires: Timestamp::default() }
    }

    #[test]
    fn t091_one_host_cannot_have_all_connections() {
        let guests = Arc::new(Guests::default());
        let (thief, other) = (host("local-a", b"1"), host("local-b", b"2"));
        let mut held: Vec<_> = (0..8).map(|_| guests.enter(Some(&thief)).unwrap()).collect();
        assert!(guests.enter(Some(&thief)).is_none());
        assert!(guests.enter(Some(&other)).is_some());
        assert!(guests.enter(None).is_some());
        held.pop();
        assert!(guests.enter(Some(&thief)).is_some());
        drop(held);
        assert!(guests.connections.lock().unwrap().is_empty());
    }

    #[test]
    fn t091_who_has_a_hosts_old_keys_cannot_keep_the_host_out() {
        let guests = Arc::new(Guests::default());
        let mut held = Vec::new();
        for key in [b"1", b"2"] {
            let thief = host("local-a", key);
            held.extend(std::iter::from_fn(|| guests.enter(Some(&thief))));
        }
        assert!(guests.enter(Some(&host("local-a", b"3"))).is_some());
        // However many keys there are.
        for key in 4..=255_u8 {
            held.extend(guests.enter(Some(&host("local-a", &[key]))));
        }
        assert_eq!(held.len(), 32);
        assert!(guests.enter(Some(&host("local-b", b"1"))).is_some());
    }
}
