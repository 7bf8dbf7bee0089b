//! The machine: one real implementation of each of the activation's ports.
//!
//! ```text
//! machine (task ─▶ file)
//!    ├─ fetch      payload, by presigned URL, hashed while it comes
//!    ├─ whole      the same payload, hashed again while it is unpacked
//!    ├─ build      nixos-rebuild build, in a transient unit; then roots, preflight
//!    ├─ timer      the dead man's timer ╌╌▶ guard   (a process of its own)
//!    ├─ switch     switch-to-configuration ╌╌▶ trial (a process of its own, in a transient unit)
//!    ├─ checks     probes, units, connection
//!    └─ commit     profile and boot entry
//! ```
//!
//! `journal` has what survives a crash (in `record`s); where it did not survive,
//! `salvage` asks the machine itself.
//!
//! `process` is the only file that starts programs, `clock` the only one that reads
//! the clock, and [`paths::Paths`] has every path.

pub mod build;
pub mod checks;
pub mod clock;
pub mod commit;
pub mod fetch;
pub mod guard;
pub mod journal;
pub mod machine;
pub mod output;
pub mod paths;
pub mod preflight;
pub mod process;
pub mod record;
pub mod roots;
pub mod salvage;
pub mod switch;
pub mod system;
pub mod timer;
pub mod trial;
pub mod unit;
pub mod whole;
