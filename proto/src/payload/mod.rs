//! Payloads: a role's files as one `tar.zst`, and back into a directory, or nothing.
//!
//! ```text
//! directories, files ─▶ pack ─▶ entry (headers) ─▶ frame (zstd) ─▶ bytes, digest
//!                                                                    │ signed, stored, fetched, verified
//! a new directory  ◀─ unpack ◀─ entry (headers) ◀─ frame (zstd) ◀────┘
//!
//! inside:   floe.lock          where every pin comes from          (lock)
//!           role/…             the files of hosts/<role>/
//!           pins/<name>/…      the trees of path pins
//!
//! or:       role/…             the flake, with flake.nix and flake.lock   (flake)
//! ```
//!
//! There is exactly one archive for a tree and exactly one tree for an archive:
//! [`pack`] is deterministic, and [`unpack`] refuses whatever `pack` would not have
//! written, down to single header bytes. So an archive has one interpretation, and
//! there is no room in it to hide anything.
//!
//! | file | holds |
//! | --- | --- |
//! | [`limits`] | how large anything may become, and which attack each bound stops |
//! | `entry` | one entry ⇄ its 512-byte header; the rules for names and links |
//! | `frame` | the one zstd frame around the archive, both ways |
//! | [`pack`] | trees and files → `tar.zst` |
//! | [`unpack`] | `tar.zst` → a directory, or nothing |
//! | [`lock`] | `floe.lock` |
//! | [`pin`] | what may stand in it |
//! | [`flake`] | `flake.lock` |

mod entry;
pub mod flake;
mod frame;
#[cfg(test)]
mod hostile;
pub mod limits;
pub mod lock;
pub mod pack;
pub mod pin;
#[cfg(test)]
mod round_trip;
pub mod unpack;

/// Directory of a payload that holds the files of `hosts/<role>/`, or of the role's flake.
pub const ROLE: &str = "role";

/// Directory of a payload that holds the trees of path pins, by their names.
pub const PINS: &str = "pins";
