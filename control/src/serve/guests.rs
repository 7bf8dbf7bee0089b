//! How many connections one caller may have, and for how long a stranger may stay.
//!
//! Enough for everything that hosts and operators do, and so little that neither a
//! stranger nor who has stolen one certificate can keep the others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_proto::spiffe::Subject;

/// For how long who shows no certificate of the fleet may stay: to enrol is one call.
pub(super) const STRANGERS_STAY: Duration = Duration::from_secs(30);

/// Who is connected, and how often. A stranger is `None`.
#[derive(Debug, Default)]
pub(super) struct Guests {
    connections: Mutex<HashMap<Option<Subject>, usize>>,
}

/// One connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    who: Option<Subject>,
}

impl Guests {
    /// Counts one more connection of `who`; `None` where these are enough.
    pub(super) fn enter(self: &Arc<Self>, who: Option<&Subject>) -> Option<Guest> {
        let who = who.cloned();
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(who.clone()).or_default();
        if *count >= most(who.as_ref()) {
            return None;
        }
        *count += 1;
        Some(Guest { guests: Arc::clone(self), who })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connections =
            self.guests.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connections.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.who);
            }
        }
    }
}

/// A host has one connection, and for a while those that it lost and we did not yet.
const fn most(who: Option<&Subject>) -> usize {
    match who {
        None => 1024,
        Some(Subject::Host(_) | Subject::Control) => 16,
        Some(Subject::Operator(_)) => 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t091_one_host_cannot_have_all_connections() {
        let guests = Arc::new(Guests::default());
        let (thief, other) =
            (Subject::Host("local-a".parse().unwrap()), Subject::Host("local-b".parse().unwrap()));
        let mut held: Vec<_> = (0..16).map(|_| guests.enter(Some(&thief)).unwrap()).collect();
        assert!(guests.enter(Some(&thief)).is_none());
        assert!(guests.enter(Some(&other)).is_some());
        assert!(guests.enter(None).is_some());
        held.pop();
        assert!(guests.enter(Some(&thief)).is_some());
        drop(held);
        assert!(guests.connections.lock().unwrap().is_empty());
    }
}
