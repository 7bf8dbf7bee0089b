//! On the operator's machine: a role becomes a signed bundle, and reaches the store.
//!
//! ```text
//! hosts/<role>/ ─▶ source ─▶ build ─▶ state ─▶ sign ─▶ publish ─▶ S3, control plane
//!                    │ git      payload  manifest │ envelope  PUT by presigned URL
//!                    └ syntax                     └ crate::signing
//!
//! or:  source ─▶ nix ─▶ closure ─▶ listed ─▶ state ─▶ …        the system is built here
//!                 └ cache_key        payload
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`source`] | what goes into a bundle: files, pins, settings |
//! | [`selection`] | which of the files, and which stay out |
//! | [`flake`] | a flake's own two files, judged |
//! | [`inputs`] | whether its lock file is for its inputs, by Nix |
//! | [`git`] | which revision that is |
//! | [`syntax`] | whether Nix can read it |
//! | [`leaks`] | whether a secret stands in what is packed |
//! | [`rendered`] | its templates, in place of their files |
//! | [`build`] | the payload, the same bytes for the same tree |
//! | [`state`] | what is said about it: the manifest |
//! | [`nix`] | the system of a role, built here and put into a binary cache |
//! | [`cache_key`] | the key that signs what is in it |
//! | [`closure`] | what such a system needs, and where its NARs lie |
//! | [`listed`] | the payload of such a system: the list of that |
//! | [`pins`] | where the pins of floe.lock are taken on to |
//! | [`sign`] | the release keys; the manifest in its envelope |
//! | [`history`] | what was published before, and what of it may be said again |
//! | [`publish`] | the upload |
//! | [`check`] | the way back: a bundle in files, read and verified |

pub mod build;
pub mod cache_key;
pub mod check;
pub mod closure;
pub mod flake;
pub mod git;
pub mod history;
pub mod inputs;
pub mod leaks;
pub mod listed;
pub mod nix;
pub mod pins;
mod process;
pub mod publish;
pub mod rendered;
pub mod selection;
pub mod sign;
pub mod source;
pub mod state;
pub mod syntax;
