//! A system that was built here, and what of it had to be sent.

use serde::Serialize;

use super::bytes;

/// The closure of a bundle.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClosureView {
    /// What hosts will run.
    pub(crate) toplevel: String,
    /// How many store paths it needs, itself included.
    pub(crate) paths: usize,
    /// All its compressed NARs.
    pub(crate) bytes: u64,
    /// What the object store did not have; `null` where nothing was sent anywhere.
    pub(crate) sent: Option<SentView>,
}

/// NARs that had to be sent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SentView {
    pub(crate) nars: usize,
    pub(crate) bytes: u64,
}

impl ClosureView {
    /// One line.
    pub(crate) fn text(&self) -> String {
        let sent = self.sent.as_ref().map_or_else(String::new, |sent| match sent.nars {
            0 => ", all there already".into(),
            nars => format!(", {nars} NARs sent ({})", bytes(sent.bytes)),
        });
        format!("{}: {} store paths, {}{sent}\n", self.toplevel, self.paths, bytes(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_said() {
        let mut view =
            ClosureView { toplevel: "/nix/store/x".into(), paths: 7, bytes: 2048, sent: None };
        assert_eq!(view.text(), "/nix/store/x: 7 store paths, 2.0 KiB\n");
        view.sent = Some(SentView::default());
        assert!(view.text().ends_with(", all there already\n"));
        view.sent = Some(SentView { nars: 2, bytes: 1024 });
        assert!(view.text().ends_with(", 2 NARs sent (1.0 KiB)\n"));
    }
}
