//! What a state is as text: in the journal, and on a terminal.

use super::*;
use crate::activation::event::Event;
use crate::activation::played::{toplevel, trial};

#[test]
fn a_journal_is_read_that_an_agent_wrote_which_knew_less() {
    let state = State { phase: Phase::Probation(trial()), ..State::default() };
    let now = Timestamp::default();
    let state = state.on(Event::Failed(Fault::new("sick")), now);
    let state = state.on(Event::Reverted(toplevel("old")), now);
    let mut json = serde_json::to_value(&state).unwrap();
    json.as_object_mut().unwrap().remove("unsent").unwrap();
    for newer in ["payload", "reverted"] {
        json["settled"].as_object_mut().unwrap().remove(newer).unwrap();
    }
    let read: State = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read.phase, state.phase);
    // And the other way round: what is not known is passed over.
    json["unheard_of"] = true.into();
    json["settled"]["unheard_of"] = true.into();
    assert_eq!(serde_json::from_value::<State>(json).unwrap(), read);
}

#[test]
fn why_something_failed_does_nothing_to_a_terminal() {
    assert_eq!(Fault::new("a\u{1b}[2Jb\r\nc").as_str(), "a [2Jb \nc");
}
