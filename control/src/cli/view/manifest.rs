//! Manifests: who signed one, and which are published.

use std::path::Path;

use floe_proto::envelope::Envelope;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::bundle::TallyView;
use super::{Page, View, ago, short, table};
use crate::bundle::history::Entry;
use crate::bundle::sign::{self, Tally};

/// `floe bundle sign` and `merge`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SignedView {
    pub(crate) manifest: String,
    /// SHA-256 of the signed bytes.
    pub(crate) manifest_digest: String,
    pub(crate) signatures: TallyView,
}

impl SignedView {
    pub(crate) fn new(path: &Path, envelope: &Envelope, tally: &Tally) -> Self {
        Self {
            manifest: path.display().to_string(),
            manifest_digest: sign::digest(envelope).to_string(),
            signatures: TallyView::new(tally),
        }
    }
}

impl View for SignedView {
    fn text(&self, _: Page) -> String {
        self.signatures.text(&self.manifest)
    }
}

/// `floe bundle list`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ManifestsView {
    /// Newest first.
    pub(crate) manifests: Vec<ManifestView>,
}

/// A manifest that was published.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ManifestView {
    pub(crate) epoch: u32,
    pub(crate) serial: u64,
    pub(crate) floor: u64,
    /// SHA-256 of the signed manifest.
    pub(crate) manifest_digest: String,
    /// SHA-256 of the payload.
    pub(crate) digest: String,
    pub(crate) length: u64,
    pub(crate) published: Timestamp,
    /// The operator who handed it in, as the control plane says.
    pub(crate) publisher: String,
    pub(crate) expires: Timestamp,
    pub(crate) revision: Option<String>,
    pub(crate) dirty: bool,
    pub(crate) built_by: String,
    /// Why hosts would refuse it also before it expires; `null` where they would not.
    pub(crate) objection: Option<String>,
}

impl ManifestsView {
    /// Adds the next older one.
    pub(crate) fn push(&mut self, entry: Entry, publisher: String, published: Timestamp) {
        let Entry { manifest, objection } = entry;
        let source = manifest.source.clone();
        self.manifests.push(ManifestView {
            epoch: manifest.epoch.get(),
            serial: manifest.serial.get(),
            floor: manifest.floor.get(),
            manifest_digest: manifest.digest().to_string(),
            digest: manifest.payload.sha256.to_string(),
            length: manifest.payload.length.get(),
            published,
            publisher,
            expires: manifest.expires,
            revision: source.revision,
            dirty: source.dirty,
            built_by: source.built_by,
            objection,
        });
    }
}

impl View for ManifestsView {
    fn text(&self, page: Page) -> String {
        if self.manifests.is_empty() {
            return "nothing is published\n".into();
        }
        let rows = self.manifests.iter().map(|manifest| {
            let revision = manifest.revision.as_deref().map_or("unknown", short);
            let dirty = if manifest.dirty { "+" } else { "" };
            let state = match &manifest.objection {
                Some(why) => why.clone(),
                None if manifest.expires <= page.now => "expired".into(),
                None => String::new(),
            };
            [
                manifest.serial.to_string(),
                short(&manifest.digest).to_owned(),
                ago(page.now, Some(manifest.published)),
                manifest.publisher.clone(),
                format!("{revision}{dirty}"),
                state,
            ]
        });
        let header = ["SERIAL", "PAYLOAD", "PUBLISHED", "BY", "REVISION", ""];
        table(page, header, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(serial: u64, objection: Option<&str>) -> ManifestView {
        ManifestView {
            epoch: 0,
            serial,
            floor: 1,
            manifest_digest: "b".repeat(64),
            digest: "a".repeat(64),
            length: 2048,
            published: "2026-11-22T20:28:00Z".parse().unwrap(),
            publisher: "ada".into(),
            expires: "2027-02-20T20:28:00Z".parse().unwrap(),
            revision: Some("0123456789abcdef".into()),
            dirty: serial == 1,
            built_by: "ada@laptop".into(),
            objection: objection.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_published_and_what_of_it_counts_no_more() {
        let manifests = vec![manifest(2, None), manifest(1, Some("too few signed this"))];
        let view = ManifestsView { manifests };
        let now = "2026-11-23T20:28:00Z".parse().unwrap();
        insta::assert_snapshot!(view.text(Page::endless(now)));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
        assert_eq!(ManifestsView::default().text(Page::endless(now)), "nothing is published\n");
    }

    #[test]
    fn who_signed_and_what_is_next() {
        let mut view = SignedView {
            manifest: "www-7.manifest.json".into(),
            manifest_digest: "b".repeat(64),
            signatures: TallyView {
                signed: vec!["1".repeat(64)],
                missing: vec!["2".repeat(64), "3".repeat(64)],
                needed: 2,
                enough: false,
            },
        };
        insta::assert_snapshot!(view.text(Page::endless(Timestamp::default())));
        view.signatures.signed.push(view.signatures.missing.remove(0));
        view.signatures.enough = true;
        insta::assert_snapshot!(view.text(Page::endless(Timestamp::default())));
    }
}
