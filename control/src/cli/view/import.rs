//! A repository that was imported: what was written, and what became of every line.

use std::fmt::Write as _;
use std::path::Path;

use floe_proto::id::Fleet;
use serde::Serialize;

use super::{Page, View, printable};
use crate::import::{Finding, Plan, Planned};

/// `floe import`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImportView {
    pub(crate) fleet: String,
    pub(crate) directory: String,
    /// Whether nothing was written.
    pub(crate) dry_run: bool,
    /// The roles, with the Nix systems of their hosts.
    pub(crate) roles: Vec<RoleView>,
    /// Files that were written, or would be, relative to the directory.
    pub(crate) created: Vec<String>,
    /// Files that were there and left as they are.
    pub(crate) kept: Vec<String>,
    /// Those of them that say something else than the import would have written.
    pub(crate) different: Vec<String>,
    /// The id of the key that signs; `null` where nothing was written.
    pub(crate) key_id: Option<String>,
    /// In the order of files and lines.
    pub(crate) findings: Vec<FindingView>,
    pub(crate) counts: CountsView,
    /// What to do next, in order.
    pub(crate) next: Vec<String>,
}

/// A role that was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoleView {
    pub(crate) role: String,
    pub(crate) system: String,
}

/// What became of one option, task or file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FindingView {
    /// Relative to what was imported.
    pub(crate) file: String,
    /// `null` for the file itself.
    pub(crate) line: Option<usize>,
    pub(crate) what: String,
    /// `taken over`, `replaced`, `not needed`, `not supported` or `look`.
    pub(crate) outcome: &'static str,
    /// Where to, by what, why, or what to look at.
    pub(crate) text: String,
}

/// How many there are of each.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct CountsView {
    pub(crate) taken_over: usize,
    pub(crate) replaced: usize,
    pub(crate) not_needed: usize,
    pub(crate) not_supported: usize,
    pub(crate) look: usize,
}

impl ImportView {
    /// Before anything is written.
    pub(crate) fn new(fleet: &Fleet, directory: &Path, plan: &Plan, next: Vec<String>) -> Self {
        let finding = |finding: &Finding| FindingView {
            file: finding.file.clone(),
            line: finding.line,
            what: finding.what.clone(),
            outcome: finding.outcome.word(),
            text: finding.outcome.text().to_owned(),
        };
        let role = |it: &Planned| RoleView { role: it.role.to_string(), system: it.system.clone() };
        let findings: Vec<FindingView> = plan.report.findings().iter().map(finding).collect();
        let count = |word| findings.iter().filter(|finding| finding.outcome == word).count();
        Self {
            fleet: fleet.to_string(),
            directory: directory.display().to_string(),
            dry_run: false,
            roles: plan.roles.iter().map(role).collect(),
            created: Vec::new(),
            kept: Vec::new(),
            different: Vec::new(),
            key_id: None,
            counts: CountsView {
                taken_over: count("taken over"),
                replaced: count("replaced"),
                not_needed: count("not needed"),
                not_supported: count("not supported"),
                look: count("look"),
            },
            findings,
            next,
        }
    }

    /// The report, as it lies in the repository.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("# What became of {}\n\n{}\n", self.fleet, self.counted());
        let mut file = None;
        for finding in &self.findings {
            if file != Some(&finding.file) {
                let name = in_cell(&finding.file);
                let _ = write!(
                    text,
                    "\n## {name}\n\n| line | what | became | |\n| --- | --- | --- | --- |\n"
                );
                file = Some(&finding.file);
            }
            let line = finding.line.map(|line| line.to_string()).unwrap_or_default();
            let (what, why) = (in_cell(&finding.what), in_cell(&finding.text));
            let _ = writeln!(text, "| {line} | {what} | **{}** | {why} |", finding.outcome);
        }
        text += "\n## Next\n\n";
        for (number, step) in (1..).zip(&self.next) {
            let _ = writeln!(text, "{number}. {}", in_cell(step));
        }
        text
    }

    fn counted(&self) -> String {
        let CountsView { taken_over, replaced, not_needed, not_supported, look } = &self.counts;
        format!(
            "{taken_over} taken over, {replaced} replaced, {not_needed} not needed, \
             {not_supported} not supported, {look} to look at"
        )
    }
}

/// What is between the bars of a table, and no markup.
fn in_cell(text: &str) -> String {
    let mut out = String::new();
    for char in printable(text).chars() {
        if matches!(char, '|' | '<' | '*' | '_' | '\\' | '[') {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

impl View for ImportView {
    fn text(&self, _: Page) -> String {
        let mut text = format!("fleet {} in {}\n", self.fleet, self.directory);
        for RoleView { role, system } in &self.roles {
            let _ = writeln!(text, "  role   {role} ({system})");
        }
        let wrote = if self.dry_run { "would write" } else { "wrote" };
        for file in &self.created {
            let _ = writeln!(text, "  {wrote}  {}", printable(file));
        }
        for file in &self.kept {
            let is_different = self.different.contains(file);
            let note = if is_different { ", which says something else: compare" } else { "" };
            let _ = writeln!(text, "  kept   {}{note}", printable(file));
        }
        let mut file = None;
        for finding in &self.findings {
            if file != Some(&finding.file) {
                let _ = writeln!(text, "\n{}", printable(&finding.file));
                file = Some(&finding.file);
            }
            let line = finding.line.map(|line| line.to_string()).unwrap_or_default();
            let (what, why) = (printable(&finding.what), printable(&finding.text));
            let _ = writeln!(text, "{line:>5}  {:<13}  {what}: {why}", finding.outcome);
        }
        let _ = writeln!(text, "\n{}\n\nnext:", self.counted());
        for (number, step) in (1..).zip(&self.next) {
            let _ = writeln!(text, "  {number}. {step}");
        }
        text
    }
}
