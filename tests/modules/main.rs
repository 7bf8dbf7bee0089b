//! The NixOS modules, as Nix evaluates and builds what an operator writes. Nothing is
//! booted, and no root is needed: that the units do what they say is told in the stories.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop, and it starts programs as a user does"
)]

mod options;
mod refused;
mod store;
mod written;
