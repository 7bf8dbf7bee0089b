//! What a host is sent now: pure, and looked at again whenever something changes.
//!
//! Level-triggered: only the newest order counts. A host is never sent what it has
//! confirmed and runs, nor anything below; and nothing twice on one stream.

use floe_proto::id::RolloutId;

use crate::rollout::state::{Assignment, Confirmed};

/// Whether `wanted` is to be sent to a host that has `confirmed` this, and that was
/// `sent` the order of that rollout last on its stream.
pub fn is_due(
    wanted: &Assignment,
    confirmed: Option<&Confirmed>,
    sent: Option<&RolloutId>,
) -> bool {
    let above = confirmed.is_none_or(|last| {
        let (order, wanted) = ((last.epoch, last.serial), wanted.release.order());
        order < wanted || (order == wanted && last.reverted)
    });
    wanted.pending && above && sent != Some(&wanted.rollout)
}

#[cfg(test)]
mod tests {
    use floe_proto::digest::Digest;
    use floe_proto::id::Epoch;

    use super::*;
    use crate::rollout::state::Release;

    fn wanted(pending: bool) -> Assignment {
        let release = Release {
            role: "www".parse().unwrap(),
            epoch: Epoch::new(1),
            serial: 5.try_into().unwrap(),
            manifest: Digest::of(b"5"),
            payload: Digest::of(b"payload"),
        };
        Assignment { rollout: "r-3".parse().unwrap(), release, pending }
    }

    fn confirmed(epoch: u32, serial: u64) -> Confirmed {
        let (epoch, serial) = (Epoch::new(epoch), serial.try_into().unwrap());
        Confirmed { epoch, serial, manifest: Digest::of(b"x"), reverted: false }
    }

    #[test]
    fn a_host_is_sent_what_is_above_what_it_confirmed() {
        assert!(is_due(&wanted(true), None, None));
        assert!(is_due(&wanted(true), Some(&confirmed(1, 4)), None));
        assert!(is_due(&wanted(true), Some(&confirmed(0, 9)), None));
    }

    #[test]
    fn never_what_it_confirmed_and_never_below() {
        for last in [confirmed(1, 5), confirmed(1, 6), confirmed(2, 1)] {
            assert!(!is_due(&wanted(true), Some(&last), None), "{last:?}");
        }
    }

    #[test]
    fn what_was_reverted_by_hand_is_sent_again() {
        let reverted = |serial| Confirmed { reverted: true, ..confirmed(1, serial) };
        assert!(is_due(&wanted(true), Some(&reverted(5)), None));
        assert!(!is_due(&wanted(true), Some(&reverted(6)), None), "never below");
    }

    #[test]
    fn nothing_twice_on_a_stream_but_again_for_a_newer_rollout() {
        assert!(!is_due(&wanted(true), None, Some(&"r-3".parse().unwrap())));
        assert!(is_due(&wanted(true), None, Some(&"r-2".parse().unwrap())));
    }

    #[test]
    fn nothing_that_is_settled() {
        assert!(!is_due(&wanted(false), None, None));
    }
}
