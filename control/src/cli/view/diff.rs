//! What a push would change on one host.

use std::fmt::Write as _;

use floe_proto::pb;
use serde::Serialize;

use super::packages::{PackageView, packages};
use super::{Page, View, bytes};

/// `floe diff`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DiffView {
    pub(crate) role: String,
    pub(crate) host: String,
    /// Whether the host runs exactly this already.
    pub(crate) unchanged: bool,
    pub(crate) running: String,
    pub(crate) built: String,
    pub(crate) build_ms: u64,
    pub(crate) fetch: FetchView,
    pub(crate) units: UnitsView,
    /// Why it would only run whole after a reboot; empty where it needs none.
    pub(crate) reboot: Vec<String>,
    /// Whether a push would reboot it, by the role's policy.
    pub(crate) reboots: bool,
    /// Why the host would refuse to switch to it; `null` where it would not.
    pub(crate) refused: Option<String>,
    /// Below /etc.
    pub(crate) files: Vec<FileView>,
    /// Why the host does not know which files differ; `null` where it does.
    pub(crate) files_unknown: Option<String>,
    pub(crate) packages: Vec<PackageView>,
    /// Entries that the host left out, since they were too many.
    pub(crate) left_out: u32,
}

/// What the host had to get.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FetchView {
    pub(crate) paths: u32,
    pub(crate) download_bytes: u64,
    pub(crate) unpacked_bytes: u64,
    pub(crate) built_derivations: u32,
}

/// What would become of units.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UnitsView {
    pub(crate) stop: Vec<String>,
    pub(crate) start: Vec<String>,
    pub(crate) restart: Vec<String>,
    pub(crate) reload: Vec<String>,
    /// Changed, and not touched.
    pub(crate) left_alone: Vec<String>,
    /// What else the new system says that it would do.
    pub(crate) other: Vec<String>,
    /// Why the host does not know; `null` where it does.
    pub(crate) unknown: Option<String>,
}

/// What would become of a file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileView {
    pub(crate) path: String,
    pub(crate) change: ChangeView,
}

/// What would become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChangeView {
    Added,
    Removed,
    Changed,
}

impl DiffView {
    /// What `host` said.
    pub(crate) fn of(role: String, host: String, found: pb::Difference) -> Self {
        let effort = found.effort.unwrap_or_default();
        let units = found.units.unwrap_or_default();
        let text = |text: String| (!text.is_empty()).then_some(text);
        let file = |file: pb::FileChange| {
            let change = match file.change() {
                pb::Change::Added => ChangeView::Added,
                pb::Change::Removed => ChangeView::Removed,
                pb::Change::Changed | pb::Change::Unspecified => ChangeView::Changed,
            };
            FileView { path: file.path, change }
        };
        Self {
            role,
            host,
            unchanged: found.running == found.built,
            fetch: FetchView {
                paths: effort.fetched_paths,
                download_bytes: effort.download_bytes,
                unpacked_bytes: effort.unpacked_bytes,
                built_derivations: effort.built_derivations,
            },
            units: UnitsView {
                stop: units.stop,
                start: units.start,
                restart: units.restart,
                reload: units.reload,
                left_alone: units.left_alone,
                other: units.other,
                unknown: text(units.unknown),
            },
            reboot: found.reboot,
            reboots: found.reboots,
            refused: text(found.refused),
            files_unknown: text(found.files_unknown),
            packages: packages(&found.added, &found.removed),
            files: found.files.into_iter().map(file).collect(),
            build_ms: found.build_ms,
            left_out: found.left_out,
            running: found.running,
            built: found.built,
        }
    }
}

impl View for DiffView {
    fn text(&self, _: Page) -> String {
        let Self { role, host, running, built, .. } = self;
        if self.unchanged {
            return format!("{host} runs exactly this {role} already\n");
        }
        let mut text = format!("{role} on {host}\n  now   {running}\n  then  {built}\n");
        self.units.write(&mut text);
        self.write_reboot(&mut text);
        if let Some(why) = &self.refused {
            let _ = write!(text, "\na push would be REFUSED by this host: {why}\n");
        }
        if let Some(why) = &self.files_unknown {
            let _ = write!(text, "\nfiles below /etc: not known, since {why}\n");
        }
        if !self.files.is_empty() {
            text.push_str("\nfiles below /etc\n");
            for FileView { path, change } in &self.files {
                let _ = writeln!(text, "  {} {path}", change.mark());
            }
        }
        self.write_packages(&mut text);
        self.fetch.write(&mut text);
        if self.left_out > 0 {
            let _ = write!(text, "\nand {} entries more, which the host left out\n", self.left_out);
        }
        text
    }
}

impl DiffView {
    /// Whether all is known of what a push would do, and the host would go along.
    pub(crate) fn is_whole(&self) -> bool {
        let is_known = self.units.unknown.is_none() && self.files_unknown.is_none();
        is_known && self.refused.is_none() && self.left_out == 0
    }

    fn write_reboot(&self, text: &mut String) {
        let reasons = self.reboot.join(", ");
        let _ = match (self.reboots, self.reboot.is_empty()) {
            (true, true) => write!(text, "\nREBOOTS, as the role's policy has it\n"),
            (true, false) => write!(text, "\nREBOOTS, because of: {reasons}\n"),
            (false, true) => Ok(()),
            (false, false) => write!(
                text,
                "\nruns whole only after a reboot, which a push would not do: {reasons}\n"
            ),
        };
    }

    fn write_packages(&self, text: &mut String) {
        let (rebuilt, changed): (Vec<_>, Vec<_>) =
            self.packages.iter().partition(|package| package.is_rebuilt());
        if !changed.is_empty() {
            text.push_str("\npackages\n");
        }
        for package in changed {
            let PackageView { name, before, after, bytes: more } = package;
            let (before, after) = (versions(before), versions(after));
            let (mark, versions) = match (before, after) {
                (None, after) => ('+', after.unwrap_or_default()),
                (before, None) => ('-', before.unwrap_or_default()),
                (Some(before), Some(after)) => ('~', format!("{before} to {after}")),
            };
            let sign = if *more < 0 { '-' } else { '+' };
            let size = bytes(more.unsigned_abs());
            let gap = if versions.is_empty() { "" } else { " " };
            let _ = writeln!(text, "  {mark} {name}{gap}{versions}, {sign}{size}");
        }
        if !rebuilt.is_empty() {
            let count = rebuilt.len();
            let _ = write!(text, "\n{count} built anew in the same version\n");
        }
    }
}

/// `None` where there is none. A package that has no version has an empty one.
fn versions(versions: &[String]) -> Option<String> {
    let named = |version: &String| if version.is_empty() { "-".into() } else { version.clone() };
    let named: Vec<String> = versions.iter().map(named).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

impl ChangeView {
    fn mark(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }
}

impl UnitsView {
    fn write(&self, text: &mut String) {
        if let Some(why) = &self.unknown {
            let _ = write!(text, "\nunits: not known, since {why}\n");
            return;
        }
        let lists = [
            ("stop", &self.stop),
            ("start", &self.start),
            ("restart", &self.restart),
            ("reload", &self.reload),
            ("left alone", &self.left_alone),
            ("also", &self.other),
        ];
        if lists.iter().all(|(_, names)| names.is_empty()) {
            text.push_str("\nno unit would be touched\n");
            return;
        }
        text.push_str("\nunits\n");
        for (what, names) in lists {
            for name in names {
                let _ = writeln!(text, "  {what:<10}  {name}");
            }
        }
    }
}

impl FetchView {
    fn write(&self, text: &mut String) {
        let Self { paths, download_bytes, unpacked_bytes, built_derivations } = self;
        let (download, unpacked) = (bytes(*download_bytes), bytes(*unpacked_bytes));
        let _ = match (paths, built_derivations) {
            (0, 0) => write!(text, "\nnothing had to be fetched or built for it\n"),
            (0, built) => write!(text, "\nnothing was fetched; built on the host: {built}\n"),
            (paths, built) => write!(
                text,
                "\nfetched {paths} store paths: {download}, {unpacked} unpacked; built on the host: {built}\n"
            ),
        };
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::time::Timestamp;

    use super::*;

    fn object(name: &str, bytes: u64) -> pb::StoreObject {
        pb::StoreObject { name: format!("{}-{name}", "a".repeat(32)), bytes }
    }

    fn found() -> pb::Difference {
        pb::Difference {
            running: "/nix/store/old-nixos-system-www-24.11".into(),
            built: "/nix/store/new-nixos-system-www-24.11".into(),
            build_ms: 1234,
            effort: Some(pb::Effort {
                fetched_paths: 12,
                download_bytes: 3 << 20,
                unpacked_bytes: 10 << 20,
                built_derivations: 2,
            }),
            units: Some(pb::Units {
                stop: vec!["old.service".into()],
                restart: vec!["nginx.service".into(), "sshd.service".into()],
                other: vec!["restart systemd".into()],
                ..pb::Units::default()
            }),
            reboot: vec!["kernel".into(), "initrd".into()],
            files: vec![
                pb::FileChange { path: "motd".into(), change: pb::Change::Changed.into() },
                pb::FileChange { path: "fstab".into(), change: pb::Change::Removed.into() },
                pb::FileChange { path: "hosts".into(), change: pb::Change::Added.into() },
            ],
            added: vec![object("nginx-1.26.2", 3 << 20), object("curl-8.1", 5), object("etc", 1)],
            removed: vec![object("nginx-1.24.0", 1 << 20), object("vim-9", 7), object("etc", 1)],
            left_out: 3,
            reboots: true,
            ..pb::Difference::default()
        }
    }

    fn text(found: pb::Difference) -> String {
        let view = DiffView::of("www".into(), "local-www-1".into(), found);
        view.text(Page::endless(Timestamp::default()))
    }

    #[test]
    fn what_would_change_is_shown() {
        insta::assert_snapshot!(text(found()));
        let view = DiffView::of("www".into(), "local-www-1".into(), found());
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }

    #[test]
    fn what_does_not_change_and_what_is_not_known_is_said() {
        let (running, built) = (found().built, found().built);
        assert!(text(pb::Difference { running, ..found() }).contains("already"));
        let optional = text(pb::Difference { reboots: false, ..found() });
        assert!(optional.contains("which a push would not do: kernel, initrd"), "{optional}");
        let refused = text(pb::Difference { refused: "no agent".into(), ..found() });
        assert!(refused.contains("REFUSED by this host: no agent"), "{refused}");
        let unknown = pb::Units { unknown: "somebody switches it".into(), ..pb::Units::default() };
        let shown = text(pb::Difference { units: Some(unknown), ..found() });
        assert!(shown.contains("not known, since somebody switches it"), "{shown}");
        let little =
            pb::Difference { running: "/nix/store/old".into(), built, ..pb::Difference::default() };
        let shown = text(little);
        assert!(shown.contains("no unit would be touched"), "{shown}");
        assert!(shown.contains("nothing had to be fetched"), "{shown}");
    }
}
