//! The agent's processes that spoke for one host lately: whether they are of one machine.
//!
//! A restarted agent is a new process, so that one machine's never speaks again once
//! another took over. Two machines take turns; who takes over under one name after the
//! other, so that the host's own is forgotten meanwhile, is seen by how many they are.

use std::collections::VecDeque;
use std::time::Duration;

use floe_proto::time::Timestamp;

/// The processes of one host, the one that speaks at the end, each with when the next one
/// took over.
#[derive(Debug, Default)]
pub(super) struct Processes {
    spoke: VecDeque<(Timestamp, String)>,
}

/// By what two machines with one identity are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A process speaks again that was taken over from.
    Turns,
    /// More processes than one machine starts.
    Crowd,
}

impl Sign {
    /// For people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Turns => "two machines take turns with this identity",
            Self::Crowd => "more processes speak for this host than one machine starts",
        }
    }
}

impl Processes {
    /// `process` speaks now. Not to say which is a name as well: who has a copy of the
    /// identity would leave it out.
    pub(super) fn hear(&mut self, process: String, now: Timestamp) -> Option<Sign> {
        if let Some((until, speaking)) = self.spoke.back_mut() {
            if *speaking == process {
                return None;
            }
            *until = now;
        }
        self.spoke.retain(|(until, _)| now.since(*until) < REMEMBERED);
        let before = self.spoke.len();
        self.spoke.retain(|(_, earlier)| *earlier != process);
        let came_back = self.spoke.len() != before;
        self.spoke.push_back((now, process));
        if came_back {
            Some(Sign::Turns)
        } else if self.spoke.len() > MOST {
            self.spoke.pop_front();
            Some(Sign::Crowd)
        } else {
            None
        }
    }
}

/// A host that was taken over from comes back within half a minute.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// An agent that fails as soon as it has said hello is no second machine for a while.
const MOST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn t134_a_burst_of_names_does_not_hide_who_takes_turns() {
        let mut processes = Processes::default();
        assert_eq!(processes.hear("host".into(), at(0)), None);
        for number in 0..100 {
            assert_eq!(processes.hear(number.to_string(), at(1)), None);
        }
        assert_eq!(processes.hear("host".into(), at(2)), Some(Sign::Turns));
    }

    #[test]
    fn t134_more_names_than_are_remembered_are_a_sign_themselves() {
        let mut processes = Processes::default();
        let heard = |number: usize| processes.hear(number.to_string(), at(1));
        let signs: Vec<_> = (0..=2 * MOST).filter_map(heard).collect();
        assert_eq!(signs.len(), MOST + 1);
        assert!(signs.iter().all(|sign| *sign == Sign::Crowd));
        assert_eq!(processes.spoke.len(), MOST);
    }

    #[test]
    fn t134_who_was_taken_over_from_is_remembered_from_then_on() {
        let mut processes = Processes::default();
        assert_eq!(processes.hear("host".into(), at(0)), None);
        // After a stream of a day.
        assert_eq!(processes.hear("thief".into(), at(86_400)), None);
        assert_eq!(processes.hear("host".into(), at(86_430)), Some(Sign::Turns));
        // And forgotten in the end.
        let mut processes = Processes::default();
        for (name, seconds) in [("host", 0), ("next", 1), ("third", 3601), ("host", 3602)] {
            assert_eq!(processes.hear(name.into(), at(seconds)), None);
        }
    }
}
