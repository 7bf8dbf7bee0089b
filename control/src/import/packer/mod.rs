//! What Packer's templates say: which image a role boots from, and what is brought to it.
//!
//! ```text
//! *.pkr.hcl, *.pkr.json, *.json ─▶ block | json ─▶ evaluate ─▶ source ─▶ Image
//!                               functions, weigh ┘       └──▶ build ──▶ Step
//! ```
//!
//! The files of one directory are read together, as `packer build DIRECTORY` does.

mod block;
mod build;
mod evaluate;
mod functions;
mod json;
mod options;
mod source;
mod template;
mod typed;
mod weigh;

pub(super) use build::Step;
pub(super) use source::{Image, Search, Source};
pub(super) use template::{Template, templates};
