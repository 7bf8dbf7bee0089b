//! A key, by what anybody may know of it.

use serde::Serialize;

use super::{Page, View};

/// `floe keys new`, `encrypt` and `show`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyView {
    pub(crate) file: String,
    /// Whether it takes a passphrase to use it.
    pub(crate) encrypted: bool,
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
        let kept = if self.encrypted { "with a passphrase" } else { "in the clear" };
        format!(
            "file       {file}\nkept       {kept}\nkey id     {id}\npublic     {public}\n{may_sign}"
        )
    }
}
