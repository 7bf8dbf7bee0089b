//! One rollout: a published manifest comes to its role's hosts, or stops.
//!
//! ```text
//! start ─▶ Running ─▶ canary ─▶ the rest ─▶ Done        a newer rollout of the role ─▶ Superseded
//!             └─────────┴──────────┴─▶ Stopped          a host failed or went back: the rest is untouched
//! ```
//!
//! What a host says is an event; the event changes the rollout; [`step`] says what
//! follows; [`drive`] stores both in one transaction, and only then tells hosts and
//! watchers. After a restart the stored rollout is stepped again: there is no second
//! way to go on.
//!
//! | file | holds | imports |
//! | --- | --- | --- |
//! | [`state`] | where a rollout and its hosts can stand (plain data) | – |
//! | [`step`] | what follows, who is next, and why nobody is (pure) | state, sentences |
//! | `sentences` | why it stands where it does, in words (pure) | state |
//! | [`ports`] | what is needed of the world (traits) | state |
//! | [`handle`] | what others can ask and say: [`Rollouts`] | ports |
//! | `draft` | what will be so once it is stored | ports, handle, step |
//! | [`drive`] | the one task that owns all running rollouts | all |
//!
//! Promise, held by property tests in `step.rs`: never more than one host is touched
//! before it has confirmed, and nobody new is after a stop.

mod draft;
pub mod drive;
pub mod handle;
pub mod ports;
#[cfg(test)]
mod pure_tests;
mod sentences;
pub mod state;
pub mod step;

pub use drive::Drive;
pub use handle::Rollouts;
