//! The preview: a manifest that is to be looked at, and not run.
//!
//! It says what a manifest says, and is signed as another kind of document: so that a host may
//! build what release keys vouch for, and nobody can have it switch to that.

use std::ops::Deref;

use crate::manifest::Manifest;

/// The payload type of a preview's envelope.
pub const TYPE: &str = "application/vnd.floe.preview.v1+json";

/// What would be said about a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview(Manifest);

impl Preview {
    /// `manifest`, to be looked at.
    pub fn of(manifest: Manifest) -> Self {
        Self(manifest)
    }
}

impl Deref for Preview {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.0
    }
}
