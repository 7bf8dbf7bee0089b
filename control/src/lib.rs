//! The map of `floe`: operator → bundle → rollout → session, and back.
//!
//! ```text
//! operator ─ cli ─▶ bundle ─▶ objects (S3) ─▶ rollout ─▶ session ═══▶ agent
//!              │    build,                    decides     tells        │
//!              │    sign                         ▲                     │
//!              └─▶ repository                    └───── session ◀══ report
//! ```
//!
//! * [`cli`]: what can be typed; [`repository`]: the operator's files; [`check`]: what is wrong
//!   with them; [`signing`]: keys and what has them; [`bundle`]: a role becomes signed bytes;
//!   [`secrets`]: what hosts get beside; [`vault`]: what ansible-vault sealed;
//!   [`template`]: text with variables of it.
//! * [`serve`]: the control plane's edge; [`store`], [`objects`], [`enrol`]: what it keeps;
//!   [`operator`]: who may change it; [`trust`]: whose signatures count.
//! * [`import`]: a repository of Packer and Ansible becomes a fleet repository.
//! * `supervisor`: what systemd is told of a control plane.
//! * [`rollout`]: which host gets what, when; [`session`]: live agents.

pub mod aws;
mod bounded;
pub mod bundle;
pub mod check;
pub mod cli;
pub mod clock;
mod durable;
pub mod enrol;
pub mod import;
pub mod objects;
pub mod operator;
mod program;
pub mod repository;
pub mod rollout;
pub mod secrets;
pub mod serve;
pub mod session;
pub mod signing;
pub mod store;
mod supervisor;
pub mod telemetry;
pub mod template;
pub mod trust;
pub mod vault;
