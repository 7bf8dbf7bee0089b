//! How many connections one caller may have, and for how long a stranger may stay.
//!
//! Enough for everything that hosts and operators do, and so little that neither a
//! stranger nor who has stolen one certificate can keep the others out. Nor whose it was:
//! each key has its own share of what its holder's name may have, and each address of what
//! all strangers may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::spiffe::Subject;

use super::auth::Peer;
use crate::enrol::attempts::Source;

/// For how long who shows no certificate of the fleet may stay: to enrol is one call.
pub(super) const STRANGERS_STAY: Duration = Duration::from_secs(30);

/// Who is connected, by what, and how often. A stranger is `None`.
#[derive(Debug, Default)]
pub(super) struct Guests {
    connections: Mutex<HashMap<Option<Subject>, HashMap<Means, usize>>>,
}

/// What one caller has as many of as they like, each of which has its own share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Means {
    /// Who shows a certificate: the key.
    Key(Digest),
    /// A stranger: where they come from.
    Source(Source),
}

/// One connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    who: Option<Subject>,
    means: Means,
}

impl Guests {
    /// Counts one more connection of `peer`; `None` where these are enough.
    pub(super) fn enter(self: &Arc<Self>, peer: &Peer) -> Option<Guest> {
        let (who, means) = match peer.spoke() {
            Some(speaker) => (Some(speaker.subject.clone()), Means::Key(speaker.key)),
            None => (None, Means::Source(Source::of(peer.address()))),
        };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = connections.entry(who.clone()).or_default();
        let (all, of_one) = most(who.as_ref());
        let held = theirs.get(&means).copied().unwrap_or_default();
        if held >= of_one || theirs.values().sum::<usize>() >= all {
            return None;
        }
        theirs.insert(means, held + 1);
        Some(Guest { guests: Arc::clone(self), who, means })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connections =
            self.guests.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(theirs) = connections.get_mut(&self.who) else { return };
        if let Some(count) = theirs.get_mut(&self.means) {
            *count -= 1;
            if *count == 0 {
                theirs.remove(&self.means);
            }
        }
        if theirs.is_empty() {
            connections.remove(&self.who);
        }
    }
}

/// By all means, and by one. A host has one connection, and for a while those that it lost
/// and we did not yet; a stranger has one call to make, but may be a whole fleet's gateway.
const fn most(who: Option<&Subject>) -> (usize, usize) {
    match who {
        None => (1024, 64),
        Some(Subject::Host(_) | Subject::Control) => (32, 8),
        Some(Subject::Operator(_)) => (512, 128),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use floe_proto::time::Timestamp;

    use super::*;
    use crate::serve::auth::Speaker;

    fn host(id: &str, key: &[u8]) -> Peer {
        let (subject, key) = (Subject::Host(id.parse().unwrap()), Digest::of(key));
        let speaker = Speaker { subject, key, expires: Timestamp::default() };
        Peer::played([127, 0, 0, 1].into(), Some(speaker))
    }

    fn stranger(address: &str) -> Peer {
        Peer::played(address.parse::<IpAddr>().unwrap(), None)
    }

    #[test]
    fn t091_one_host_cannot_have_all_connections() {
        let guests = Arc::new(Guests::default());
        let (thief, other) = (host("local-a", b"1"), host("local-b", b"2"));
        let mut held: Vec<_> = (0..8).map(|_| guests.enter(&thief).unwrap()).collect();
        assert!(guests.enter(&thief).is_none());
        assert!(guests.enter(&other).is_some());
        assert!(guests.enter(&stranger("127.0.0.1")).is_some());
        held.pop();
        assert!(guests.enter(&thief).is_some());
        drop(held);
        assert!(guests.connections.lock().unwrap().is_empty());
    }

    #[test]
    fn t091_who_has_a_hosts_old_keys_cannot_keep_the_host_out() {
        let guests = Arc::new(Guests::default());
        let mut held = Vec::new();
        for key in [b"1", b"2"] {
            let thief = host("local-a", key);
            held.extend(std::iter::from_fn(|| guests.enter(&thief)));
        }
        assert!(guests.enter(&host("local-a", b"3")).is_some());
        // However many keys there are.
        for key in 4..=255_u8 {
            held.extend(guests.enter(&host("local-a", &[key])));
        }
        assert_eq!(held.len(), 32);
        assert!(guests.enter(&host("local-b", b"1")).is_some());
    }

    #[test]
    fn t091_one_address_cannot_have_the_places_of_all_strangers() {
        let guests = Arc::new(Guests::default());
        let mut held: Vec<_> =
            (0..2000).filter_map(|_| guests.enter(&stranger("192.0.2.1"))).collect();
        assert_eq!(held.len(), 64);
        assert!(guests.enter(&stranger("192.0.2.2")).is_some());
        // Of IPv6 one machine has as many as it likes.
        for number in 0..2000 {
            held.extend(guests.enter(&stranger(&format!("2001:db8::{number:x}"))));
        }
        assert_eq!(held.len(), 128);
        assert!(guests.enter(&stranger("2001:db8:0:1::1")).is_some());
        // However many addresses there are.
        for number in 0..2000_u32 {
            let address = std::net::Ipv4Addr::from(number);
            held.extend(guests.enter(&stranger(&address.to_string())));
        }
        assert_eq!(held.len(), 1024);
        assert!(guests.enter(&host("local-a", b"1")).is_some());
    }
}
