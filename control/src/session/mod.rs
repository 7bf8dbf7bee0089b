//! The agents that are connected now: who, since when, and what they should be told.
//!
//! ```text
//! serve/api/session ─▶ registry ─▶ rollout (who is here)
//!        ▲ director        │
//!        └── order ◀───────┘ ◀── rollout (what each should run)
//!                     keep ─▶ store, many hosts at once
//! ```
//!
//! | file | holds | imports |
//! | --- | --- | --- |
//! | [`registry`] | live streams, one a host: [`Sessions`] | presence, processes |
//! | [`presence`] | what each host said last | – |
//! | [`processes`] | whether those that spoke for a host are of one machine (pure) | – |
//! | [`keep`] | the task that writes it down | registry, presence |
//! | [`director`] | what a host is sent now (pure) | – |
//! | [`preview`] | a question to one host, and its answers |
//! | [`sealed`] | secrets on their way to hosts | – |
//! | [`text`] | words of hosts, made harmless (pure) | – |

pub mod director;
pub mod keep;
pub mod presence;
pub mod preview;
pub mod processes;
pub mod registry;
pub mod sealed;
pub mod text;

pub use preview::Question;
pub use registry::{Seat, Sessions};
pub use sealed::Sealed;
