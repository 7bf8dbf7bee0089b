//! What a push published, and where its rollout stands.

use serde::Serialize;

use super::closure::ClosureView;
use super::rollout::RolloutView;
use super::secrets::SealedView;
use super::{Page, View, bytes, short};

/// `floe push`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PushView {
    pub(crate) role: String,
    pub(crate) epoch: u64,
    pub(crate) serial: u64,
    /// The older serial whose payload it is; `null` where it was built.
    pub(crate) again: Option<u64>,
    /// No host that has seen it may go below this serial again.
    pub(crate) floor: u64,
    /// SHA-256 of the signed manifest.
    pub(crate) manifest_digest: String,
    /// SHA-256 of the payload.
    pub(crate) digest: String,
    pub(crate) length: u64,
    /// Whether the payload is that of the serial before.
    pub(crate) unchanged: bool,
    /// Nothing was sent anywhere.
    pub(crate) dry_run: bool,
    /// Whether the payload had to be sent; not where the store had it already.
    pub(crate) uploaded: bool,
    /// `null` where the role has none, or they were left alone.
    pub(crate) secrets: Option<SealedView>,
    /// `null` where hosts build.
    pub(crate) closure: Option<ClosureView>,
    /// `null` with `--no-rollout` and `--dry-run`.
    pub(crate) rollout: Option<RolloutView>,
}

impl View for PushView {
    fn text(&self, page: Page) -> String {
        let Self { role, serial, length, .. } = self;
        let (digest, size) = (short(&self.digest), bytes(*length));
        let same = match (self.again, self.unchanged) {
            (Some(older), _) => format!(", that of serial {older} again"),
            (None, true) => ", the same as before".into(),
            (None, false) => String::new(),
        };
        let secrets = self.secrets.as_ref().map(|secrets| secrets.text(page)).unwrap_or_default();
        let closure = self.closure.as_ref().map(ClosureView::text).unwrap_or_default();
        if self.dry_run {
            return format!(
                "{secrets}would publish {role} serial {serial}: payload {digest}, {size}{same}\n{closure}"
            );
        }
        let published = format!(
            "{secrets}published {role} serial {serial}: payload {digest}, {size}{same}\n{closure}"
        );
        match &self.rollout {
            None => format!(
                "{published}no host changes until you say: floe rollout start {role} {serial}\n"
            ),
            Some(rollout) if rollout.state.is_open() => format!(
                "{published}{}\nto look at it: floe rollout watch {}\n",
                rollout.headline(),
                rollout.id
            ),
            Some(rollout) => format!("{published}{}", rollout.text(page)),
        }
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::time::Timestamp;

    use super::*;

    #[test]
    fn what_is_published_and_what_is_next() {
        let mut view = PushView {
            role: "www".into(),
            epoch: 0,
            serial: 7,
            again: None,
            floor: 1,
            manifest_digest: "b".repeat(64),
            digest: "a".repeat(64),
            length: 2048,
            unchanged: true,
            dry_run: false,
            uploaded: false,
            secrets: None,
            closure: None,
            rollout: None,
        };
        insta::assert_snapshot!(view.text(Page::endless(Timestamp::default())));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
        (view.dry_run, view.unchanged) = (true, false);
        insta::assert_snapshot!(view.text(Page::endless(Timestamp::default())));
        view.again = Some(5);
        let text = view.text(Page::endless(Timestamp::default()));
        assert!(text.ends_with(", that of serial 5 again\n"), "{text}");
    }
}
