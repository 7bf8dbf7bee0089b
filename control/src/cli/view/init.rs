//! A fleet repository that was begun.

use serde::Serialize;

use super::{Page, View};

/// `floe init`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InitView {
    pub(crate) fleet: String,
    pub(crate) directory: String,
    /// Files that were written, relative to the directory.
    pub(crate) created: Vec<String>,
    /// Files that were there and left as they are.
    pub(crate) kept: Vec<String>,
    /// The id of the key that signs.
    pub(crate) key_id: String,
    /// What to do next, in order.
    pub(crate) next: Vec<String>,
}

impl View for InitView {
    fn text(&self, _: Page) -> String {
        let mut text = format!("fleet {} in {}\n", self.fleet, self.directory);
        for file in &self.created {
            text += &format!("  wrote  {file}\n");
        }
        for file in &self.kept {
            text += &format!("  kept   {file}\n");
        }
        text += &format!("its trust root believes the key {}\n\nnext:\n", self.key_id);
        for (number, step) in (1..).zip(&self.next) {
            text += &format!("  {number}. {step}\n");
        }
        text
    }
}
