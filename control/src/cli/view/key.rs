//! A key, by what anybody may know of it.

use serde::Serialize;

use super::{Page, View};

/// `floe keys new` and `show`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyView {
    pub(crate) file: String,
    /// SHA-256 of the public key.
    pub(crate) id: String,
    /// Base64 of the public key's 32 bytes.
    pub(crate) public: String,
    /// What the trust root lets it sign, of `root` and `release`; `null` outside of a
    /// fleet repository.
    pub(crate) may_sign: Option<Vec<&'static str>>,
}

impl View for KeyView {
    fn text(&self, _: Page) -> String {
        let may_sign = match self.may_sign.as_deref() {
            None => String::new(),
            Some([]) => "may sign   nothing: trust.json does not list it\n".into(),
            Some(roles) => format!("may sign   {}\n", roles.join(", ")),
        };
        let Self { file, id, public, .. } = self;
        format!("file       {file}\nkey id     {id}\npublic     {public}\n{may_sign}")
    }
}
