//! Is what was tried here before tried again? Pure.
//!
//! A bundle that was reverted on this host is not, by no rollout, unless an operator asks
//! for it (`--retry`). One that merely failed, so that nothing was touched, is tried again
//! for another rollout: the network may be back. Who asks is not signed, so that attempts
//! are counted in any case, manifest by manifest.

use floe_proto::report::Outcome;

use super::state::{Fault, Named, Order, Report, Reverted, Settled, State};

/// How often a manifest is tried that does not come to be confirmed.
pub const MAX_ATTEMPTS: u32 = 3;

/// What becomes of an order that was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It is carried out.
    Try,
    /// The same rollout asked before: this is what came of it.
    Known(Box<Report>),
    /// It is not tried, because of this.
    Refused(Fault),
}

impl State {
    /// What becomes of `order`, by what is remembered of those before it.
    pub(super) fn again(&self, order: &Order) -> Again {
        let known = || self.settled.iter().chain(&self.earlier);
        let same = known().find(|settled| settled.report.manifest == Some(order.named()));
        if let Some(same) = same
            && same.report.outcome != Outcome::Confirmed
        {
            if same.rollout == order.rollout {
                return Again::Known(Box::new(same.report.clone()));
            }
            if same.attempts >= MAX_ATTEMPTS {
                return Again::Refused(same.used_up(order));
            }
        }
        let mut poisoned = known().filter(|settled| settled.is_of(order));
        match poisoned
            .find_map(|settled| Some((settled.report.manifest, settled.reverted.as_ref()?)))
        {
            Some((before, reverted)) if !order.retry => {
                let left = MAX_ATTEMPTS.saturating_sub(same.map_or(0, |same| same.attempts));
                Again::Refused(reverted.poisons(order, before, left))
            }
            Some(_) | None => Again::Try,
        }
    }
}

impl Settled {
    /// Whether it is about the same bundle, under whatever serial.
    fn is_of(&self, order: &Order) -> bool {
        self.report.manifest == Some(order.named())
            || self.payload == Some(order.manifest.payload.sha256)
    }

    fn used_up(&self, order: &Order) -> Fault {
        let Report { outcome, reason, .. } = &self.report;
        let (serial, again) = (order.manifest.serial, self.asking());
        Fault::new(format!(
            "serial {serial} was tried {MAX_ATTEMPTS} times on this host without success; {again} signs it anew; at last it {}: {reason}",
            ended(*outcome)
        ))
    }

    /// What an operator types to have it tried under a serial of its own.
    fn asking(&self) -> &'static str {
        if self.reverted.is_some() { "`floe push --retry`" } else { "`floe push`" }
    }
}

impl Reverted {
    /// Why `order` is not tried, which was left here as `before`; it may be tried `left` times.
    fn poisons(&self, order: &Order, before: Option<Named>, left: u32) -> Fault {
        let serial = order.manifest.serial;
        let under = match before.map(|before| before.serial) {
            Some(before) if before != serial => format!(" as serial {before}"),
            Some(_) | None => String::new(),
        };
        let attempts = if left == 1 { "attempt" } else { "attempts" };
        Fault::new(format!(
            "reverted here before{under}, at {}; `floe push --retry` tries it again ({left} {attempts} left for serial {serial}); because {}",
            self.at, self.why
        ))
    }
}

/// Why the last attempt was none that succeeded.
fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Confirmed => "was confirmed",
        Outcome::Failed => "failed",
        Outcome::RolledBack => "was reverted",
        Outcome::Superseded => "was overtaken by somebody else's switch",
        Outcome::Quarantined => "could neither be kept nor left",
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::digest::Digest;
    use floe_proto::time::Timestamp;

    use super::super::event::Event;
    use super::super::played::{assigned, order, toplevel, trial};
    use super::super::state::{BootId, Phase, Seen, Uptime};
    use super::*;

    fn seen() -> Seen {
        let (running, profile) = (Some(toplevel("old")), Some(toplevel("old")));
        Seen { running, profile, boot: BootId("1".into()), at: Uptime::default() }
    }

    fn now() -> Timestamp {
        Timestamp::default()
    }

    /// What `state` makes of serial `serial` for the rollout `rollout`.
    fn asked(state: State, serial: u64, rollout: &str, retry: bool) -> State {
        let order = Order { rollout: rollout.into(), retry, ..order(serial) };
        state.on(assigned(order, seen()), now())
    }

    fn reverted(state: State) -> State {
        let Phase::Fetching(order) = &state.phase else { panic!("{:?}", state.phase) };
        let trial = Box::new(super::super::state::Trial { order: *order.clone(), ..*trial() });
        let state = State { phase: Phase::Probation(trial), ..state };
        let back = state.on(Event::Failed(Fault::new("sick")), now());
        back.on(Event::Reverted(toplevel("old")), now()).on(Event::Reported, now())
    }

    fn failed(state: State) -> State {
        let state = state.on(Event::Failed(Fault::new("no network")), now());
        state.on(Event::Reported, now())
    }

    fn refusal(state: &State) -> &str {
        let Phase::Reporting(report) = &state.phase else { panic!("{:?}", state.phase) };
        assert_eq!(report.outcome, Outcome::Failed, "nothing was touched");
        assert!(report.manifest.is_some());
        &report.reason
    }

    fn is_tried(state: &State) -> bool {
        matches!(state.phase, Phase::Fetching(_))
    }

    #[test]
    fn what_was_reverted_is_not_tried_again_by_another_rollout_unless_asked() {
        let state = reverted(asked(State::default(), 7, "r-1", false));
        let refused = asked(state.clone(), 7, "r-2", false);
        let why = refusal(&refused);
        assert!(why.contains("reverted here before") && why.contains("because sick"), "{why}");
        assert!(why.contains("--retry") && why.contains("2 attempts left"), "{why}");
        assert_eq!(refused.settled, state.settled, "a refusal is no attempt");
        assert!(is_tried(&asked(state, 7, "r-2", true)));
    }

    #[test]
    fn the_same_payload_under_another_serial_is_the_same_bundle() {
        let state = reverted(asked(State::default(), 7, "r-1", false));
        let why = asked(state.clone(), 8, "r-2", false);
        assert!(refusal(&why).contains("as serial 7"), "{}", refusal(&why));
        assert!(is_tried(&asked(state.clone(), 8, "r-2", true)));
        let mut other = order(8);
        other.manifest.payload.sha256 = Digest::of(b"mended");
        assert!(is_tried(&state.on(assigned(other, seen()), now())));
    }

    #[test]
    fn it_stays_reverted_where_a_later_attempt_merely_fails() {
        let state = reverted(asked(State::default(), 7, "r-1", false));
        let state = failed(asked(state, 7, "r-2", true));
        assert!(refusal(&asked(state, 7, "r-3", false)).contains("1 attempt left"));
    }

    #[test]
    fn whoever_asks_no_manifest_is_tried_more_than_thrice() {
        let mut state = State::default();
        for rollout in ["r-1", "r-2", "r-3"] {
            state = reverted(asked(state, 7, rollout, true));
        }
        let why = asked(state.clone(), 7, "r-4", true);
        assert!(refusal(&why).contains("3 times"), "{}", refusal(&why));
        assert!(is_tried(&asked(state, 8, "r-4", true)), "signed anew");
    }

    #[test]
    fn the_same_rollout_is_answered_as_before() {
        let state = reverted(asked(State::default(), 7, "r-1", true));
        let known = asked(state, 7, "r-1", true);
        let Phase::Reporting(report) = &known.phase else { panic!("{:?}", known.phase) };
        assert_eq!((report.outcome, report.reason.as_str()), (Outcome::RolledBack, "sick"));
    }

    #[test]
    fn what_is_confirmed_after_all_is_poisoned_no_more() {
        let state = reverted(asked(State::default(), 7, "r-1", false));
        let order = Order { rollout: "r-2".into(), retry: true, ..order(8) };
        let trial = Box::new(super::super::state::Trial { order, ..*trial() });
        let state = State { phase: Phase::Committing(trial), ..state };
        let state = state.on(Event::Committed, now()).on(Event::Reported, now());
        assert!(is_tried(&asked(state, 9, "r-3", false)), "it does not run now, and is built");
    }
}
