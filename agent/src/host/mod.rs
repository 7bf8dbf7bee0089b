//! The machine: one real implementation of each of the activation's ports.
//!
//! ```text
//! machine (task ─▶ file)
//!    ├─ fetch      payload, by presigned URL, hashed while it comes
//!    ├─ whole      the same payload, hashed again while it is unpacked
//!    ├─ build      nixos-rebuild build, in a transient unit; then roots, preflight
//!    ├─ flake      or, of a flake, `nix build`, in the same unit
//!    ├─ closure    or, of what was built elsewhere, `nix copy` from a `cache` of what is missing
//!    ├─ timer      the dead man's timer ╌╌▶ guard   (a process of its own)
//!    ├─ switch     switch-to-configuration ╌╌▶ trial (a process of its own, in a transient unit)
//!    ├─ checks     probes (a `command` as nobody), units, connection (and `ways` out where that is away)
//!    ├─ loader     one boot of a system that is not the default (by the `menu`, which `grub` understands)
//!    ├─ commit     profile and boot entry
//!    └─ revert     the way back, by a switch or by a reboot
//!
//! preview ─▶ build, then `etc` and `requisites` of both systems      (nothing is switched)
//! by_hand ─▶ revert, or switch and commit      (a process of its own: `floe-agent revert`)
//! gc ─▶ generations, the menu, nix-store --gc  (a process of its own: `floe-agent gc`)
//! ```
//!
//! `journal` has what survives a crash (in `record`s, on a `disk`); where it did not survive,
//! `salvage` asks the machine itself. `history` and `suspension` are files beside it.
//!
//! `process` is the only file that starts programs, `clock` the only one that reads
//! the clock, and [`paths::Paths`] has every path.

mod answer;
pub mod build;
pub mod by_hand;
pub mod cache;
pub mod checks;
pub mod clock;
pub mod closure;
pub mod closure_error;
pub mod command;
pub mod commit;
#[cfg(test)]
mod crash_points;
pub mod disk;
#[cfg(test)]
mod doom;
pub mod etc;
pub mod fetch;
pub mod flake;
pub mod gc;
pub mod generations;
pub mod grub;
pub mod guard;
pub mod history;
pub mod journal;
pub mod loader;
#[cfg(test)]
mod lossy;
pub mod machine;
pub mod menu;
pub mod output;
pub mod paths;
#[cfg(test)]
mod power_cut_tests;
#[cfg(test)]
mod power_cut_world;
pub mod preflight;
pub mod preview;
pub mod process;
pub mod record;
pub mod requisites;
pub mod revert;
pub mod roots;
pub mod salvage;
pub mod suspension;
pub mod switch;
pub mod system;
pub mod timer;
pub mod trial;
pub mod unit;
pub mod ways;
pub mod whole;
