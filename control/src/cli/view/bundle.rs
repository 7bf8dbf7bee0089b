//! Bundles: built, looked at, verified.

use std::fmt::Write as _;

use floe_proto::key::KeyId;
use floe_proto::manifest::{Kind, Manifest};
use serde::Serialize;

use super::closure::ClosureView;
use super::{Page, View, bytes, table};
use crate::bundle::check::{Claim, Files, Item};
use crate::bundle::sign::Tally;

/// `floe bundle build`: where the files are, and what they are.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BuiltView {
    pub(crate) role: String,
    pub(crate) serial: u64,
    /// The two files.
    pub(crate) payload: String,
    pub(crate) manifest: String,
    /// SHA-256 of the payload: the same for the same tree.
    pub(crate) digest: String,
    pub(crate) length: u64,
    pub(crate) files: u64,
    /// SHA-256 of the signed manifest, which names the bundle.
    pub(crate) manifest_digest: String,
    pub(crate) signatures: TallyView,
    /// `null` where hosts build.
    pub(crate) closure: Option<ClosureView>,
    /// Whether Nix read the role's files; `false` where there is no Nix.
    pub(crate) parsed: bool,
}

/// Who of the release keys signed, and how many must.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TallyView {
    /// Ids of release keys of the trust root, which were verified.
    pub(crate) signed: Vec<String>,
    /// Ids of those that did not sign.
    pub(crate) missing: Vec<String>,
    pub(crate) needed: u32,
    /// Whether hosts will take it.
    pub(crate) enough: bool,
}

impl TallyView {
    pub(crate) fn new(tally: &Tally) -> Self {
        let ids = |ids: &[KeyId]| ids.iter().map(KeyId::to_string).collect();
        Self {
            signed: ids(&tally.signed),
            missing: ids(&tally.missing),
            needed: tally.needed,
            enough: tally.is_enough(),
        }
    }

    /// Who signed, and what is next for the bundle whose manifest is `manifest`.
    pub(crate) fn text(&self, manifest: &str) -> String {
        let mut text = String::new();
        for id in &self.signed {
            let _ = writeln!(text, "signed by {id}");
        }
        let (have, needed) = (self.signed.len(), self.needed);
        let _ = if self.enough {
            writeln!(text, "{have} of {needed} signatures: floe bundle publish {manifest}")
        } else {
            writeln!(
                text,
                "{have} of {needed} signatures: let others sign both files, with\n  \
                 floe bundle sign {manifest}"
            )
        };
        text
    }
}

/// `floe bundle inspect` and `verify`: what the manifest says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BundleView {
    /// Whether it was verified as a host would: signatures, digest, unpacking.
    pub(crate) verified: bool,
    pub(crate) manifest_digest: String,
    /// Ids of the keys that the signatures say they are of.
    pub(crate) signatures: Vec<String>,
    /// What was signed, field by field as in the manifest.
    pub(crate) manifest: Manifest,
    /// The system that hosts will run; `null` where they build it.
    pub(crate) closure: Option<ClosureView>,
    /// What the payload holds; `null` where it was not asked for.
    pub(crate) files: Option<Vec<FileView>>,
}

/// A file of a payload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileView {
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

impl BundleView {
    pub(crate) fn new(
        claim: Claim,
        verified: bool,
        files: Option<Vec<Item>>,
        closure: Option<ClosureView>,
    ) -> Self {
        let file = |item: Item| FileView { path: item.path, bytes: item.bytes };
        Self {
            verified,
            manifest_digest: claim.digest.to_string(),
            signatures: claim.key_ids,
            manifest: claim.manifest,
            closure,
            files: files.map(|items| items.into_iter().map(file).collect()),
        }
    }
}

impl BuiltView {
    /// Paths as people type them.
    pub(crate) fn paths(files: &Files) -> (String, String) {
        (files.payload.display().to_string(), files.manifest.display().to_string())
    }
}

impl View for BuiltView {
    fn text(&self, _: Page) -> String {
        let Self { role, serial, payload, manifest, digest, length, files, .. } = self;
        format!(
            "{role} serial {serial}: {} in {files} files and directories\n\
             payload   {payload}\n\
             manifest  {manifest}\n\
             digest    {digest}\n\
             {}{}",
            bytes(*length),
            self.closure.as_ref().map(|it| format!("closure   {}", it.text())).unwrap_or_default(),
            self.signatures.text(manifest),
        )
    }
}

impl View for BundleView {
    fn text(&self, page: Page) -> String {
        let manifest = &self.manifest;
        let source = &manifest.source;
        let revision = match (&source.revision, source.dirty) {
            (Some(revision), true) => format!("{revision}, with changes"),
            (Some(revision), false) => revision.clone(),
            (None, _) => "unknown".into(),
        };
        let expired = if manifest.expires <= page.now { " (expired)" } else { "" };
        let facts = [
            ("verified", if self.verified { "yes" } else { "not tried" }.to_owned()),
            ("fleet", manifest.fleet.to_string()),
            ("role", manifest.role.to_string()),
            ("serial", format!("{} (epoch {})", manifest.serial, manifest.epoch)),
            ("floor", manifest.floor.to_string()),
            (
                "kind",
                match manifest.kind {
                    Kind::Configuration => "configuration: hosts build",
                    Kind::Closure => "closure: hosts fetch, and evaluate nothing",
                }
                .to_owned(),
            ),
            ("system", manifest.system.clone()),
            ("entry", manifest.entry.to_string()),
            (
                "payload",
                format!("{} {}", manifest.payload.sha256, bytes(manifest.payload.length.get())),
            ),
            ("manifest", self.manifest_digest.clone()),
            ("created", manifest.created.to_string()),
            ("expires", format!("{}{expired}", manifest.expires)),
            ("agent", format!("{} or newer", manifest.min_agent)),
            ("probation", format!("{}s", manifest.activation.deadline_seconds)),
            ("soak", format!("{}s", manifest.health.soak_seconds)),
            ("revision", revision),
            ("built by", source.built_by.clone()),
        ];
        let mut text = String::new();
        for (name, fact) in facts {
            let _ = writeln!(text, "{name:<11}{fact}");
        }
        if let Some(closure) = &self.closure {
            let _ = write!(text, "{:<11}{}", "closure", closure.text());
        }
        for check in &manifest.health.checks {
            let _ = writeln!(text, "{:<11}{} ({}s)", "check", check.probe, check.timeout_seconds);
        }
        for id in &self.signatures {
            let _ = writeln!(text, "{:<11}{id}", "signed by");
        }
        if let Some(files) = &self.files {
            let rows = files.iter().map(|file| [file.bytes.to_string(), file.path.clone()]);
            text.push('\n');
            text.push_str(&table(page, ["BYTES", "FILE"], rows));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{"schema":1,"fleet":"fossable.org","role":"www","epoch":0,
        "serial":42,"floor":1,"payload":{"sha256":
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","length":2048},
        "created":"2026-11-22T20:28:00Z","expires":"2027-02-20T20:28:00Z",
        "kind":"configuration","system":"aarch64-linux","min_agent":"0.1.0",
        "entry":"role/configuration.nix","activation":{"mode":"test-then-commit",
        "deadline_seconds":90,"ignore_units":[]},"health":{"soak_seconds":10,"checks":[
        {"probe":{"unit":{"name":"nginx.service"}},"timeout_seconds":5}]},
        "source":{"revision":"abc","dirty":true,"built_by":"ada@laptop"}}"#;

    fn view() -> BundleView {
        let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
        let claim = Claim {
            digest: floe_proto::digest::Digest::of(b"manifest"),
            manifest,
            key_ids: vec!["0123".into()],
        };
        let files = vec![Item { path: "role/configuration.nix".into(), bytes: 7 }];
        BundleView::new(claim, false, Some(files), None)
    }

    #[test]
    fn what_a_manifest_says() {
        insta::assert_snapshot!(
            view().text(Page::endless("2026-12-01T00:00:00Z".parse().unwrap()))
        );
    }

    #[test]
    fn the_json_of_a_bundle() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&view()).unwrap());
    }
}
