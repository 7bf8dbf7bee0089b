//! One activation: a host comes to run a bundle, or stays as it was.
//!
//! ```text
//! Idle ─▶ Fetching ─▶ Unpacking ─▶ Building ─▶ Arming ─▶ Trying ══▶ Probation ─▶ Disarming ─▶ Committing ─▶ Reporting ─▶ Idle
//!            └────────────┴────────────┤          └─────────┴───────────┴────────────┴────────────┴▶ RollingBack ══▶ ┤
//!                      Failed          └─────────────────────────────────────────────────────────────────────────────┤
//!                                                      Disarming, Committing, RollingBack ─▶ Disarming (Superseded) ─┘
//!
//! By a reboot: Building ─▶ (Waiting ─▶ Building ─▶) Staging ─▶ Rebooting ≡≡▶ Arming ─▶ Probation ─▶ as above
//! ```
//!
//! A phase is *what is being done*: it is written to the journal, then its one
//! effect is performed, and what came of it is the event that leads on. After a
//! crash the phase is read back and its effect performed again, so every effect is
//! idempotent. That is the whole mechanism. At `══▶` the process ends, and systemd
//! starts the agent of the system that runs now; at `≡≡▶` the machine boots the new system,
//! once: until it is committed, each boot after that one is the old system's.
//!
//! | file | holds | imports |
//! | --- | --- | --- |
//! | [`state`] | where an activation can stand (plain data) | – |
//! | [`event`] | what can happen, and what can be asked for | state |
//! | [`phase`], [`step`], [`settle`] | what follows from an event (pure) | state, event |
//! | [`again`] | is what was tried here before tried again? (pure) | state |
//! | [`by_hand`] | somebody on the machine asks to go back (pure) | state |
//! | [`verdict`], [`probation`] | is the machine well? (pure) | state |
//! | [`reboot`] | does a system need a reboot, and may it have one? (pure) | state |
//! | [`ways`] | have we lost the network, or is the control plane away? (pure) | state |
//! | [`door`] | bytes of an assignment become an order, or a refusal | state |
//! | [`ports`] | what is needed of the world (traits) | state, event |
//! | [`drive`] | the loop around all of them | all |
//!
//! Promise, held by a property test in `property.rs`: killed at any point, any
//! number of times, with the timer firing and the power failing whenever they like,
//! the host ends on the system that it reports, and it is never switched without an
//! armed timer that would undo it.

pub mod again;
pub mod by_hand;
pub mod door;
pub mod drive;
pub mod event;
pub mod phase;
#[cfg(test)]
pub(crate) mod played;
pub mod ports;
pub mod probation;
#[cfg(test)]
mod property;
pub mod reboot;
#[cfg(test)]
mod sentences;
pub mod settle;
pub mod state;
pub mod step;
pub mod verdict;
pub mod ways;
