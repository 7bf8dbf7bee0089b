//! The world that floe is tested in.
//!
//! A story reads like the operator's day:
//!
//! ```no_run
//! # async fn story() {
//! use floe_tests::world::World;
//!
//! let world = World::of(&[("www.fossable.org", 2)]).await;
//! world.push("www.fossable.org").await.succeeded();
//! # }
//! ```
//!
//! Everything in it is real but EC2 and NixOS itself: the operator's `floe`, the
//! `floe serve` and every `floe-agent` are the built binaries, hosts are
//! systemd-nspawn containers that boot systemd, and what they build is built by
//! Nix. `tests/world/` has the scripts and the stand-in for nixpkgs, and says what
//! each copies from where.
//!
//! | file | plays |
//! | --- | --- |
//! | [`world`] | a fleet from nothing; gone when dropped |
//! | [`repository`] | the fleet's repository, and what its owner changes in it |
//! | [`operator`] | the real `floe`, typed at |
//! | [`builder`] | the operator's machine, where it has Nix |
//! | [`control_plane`] | the real `floe serve` |
//! | [`hosted`] | the same on a machine of its own, by its NixOS module |
//! | [`host`] | a machine with the real `floe-agent` |
//! | [`aws`] | the metadata service and EC2's API, where a story wants them |
//! | [`attacker`] | who owns the control plane, or the bucket |
//!
//! [`chaos`] kills at moments that a seed chooses. [`guards`] is the list of what the tests stand for; `make guards` proves it.
//! [`catalogue`] says which case of `docs/trust.md` has which test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a story that cannot go on should stop, and it starts programs as a user does"
)]

pub mod attacker;
pub mod aws;
pub mod builder;
pub mod catalogue;
pub mod chaos;
pub mod control_plane;
pub mod guards;
pub mod host;
pub mod hosted;
pub mod nix_files;
pub mod operator;
pub mod repository;
pub mod script;
pub mod world;
