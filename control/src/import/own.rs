//! The names that floe gives its own files in a role's directory, and what becomes of files that
//! are called so already: nothing wins over anything in silence.

use std::collections::BTreeMap;

use super::report::{Outcome, Report};
use super::role::RoleFile;
use super::tree::Tree;
use crate::repository::HOST_FILE;

/// The name of the file that makes the machines of `role` hosts, and whether it is still to be
/// written: where `files` have one of the usual name, either it is such a file, or ours gets
/// another name.
pub(super) fn agent(
    role: &str,
    files: &BTreeMap<String, RoleFile>,
    report: &mut Report,
) -> (String, bool) {
    let Some(theirs) = files.get(AGENT) else { return (AGENT.to_owned(), true) };
    let says_agent = str::from_utf8(&theirs.bytes).is_ok_and(|text| text.contains(OPTION));
    let names = (1..).map(|number| match number {
        1 => "floe-agent.nix".to_owned(),
        number => format!("floe-agent-{number}.nix"),
    });
    let free = names.into_iter().find(|name| !files.contains_key(name));
    let name = free.filter(|_| !says_agent).unwrap_or_else(|| AGENT.to_owned());
    let outcome = Outcome::Look(match says_agent {
        true => format!("it says {OPTION} already: hosts/{role}/{AGENT} is yours, as it is"),
        false => format!("it keeps its name, so what makes a host is hosts/{role}/{name}"),
    });
    report.add((&theirs.origin.0, None), AGENT, outcome);
    (name, !says_agent)
}

/// A file of theirs in the role's `directory` that floe writes anew.
pub(super) fn told(role: &str, directory: &str, tree: &Tree, report: &mut Report) {
    let theirs = format!("{directory}/{HOST_FILE}");
    if tree.has(&theirs) {
        let outcome = Outcome::Look(format!(
            "hosts/{role}/{HOST_FILE} is written anew, and nothing of this one was read: take over \
             what is still meant"
        ));
        report.add((&theirs, None), HOST_FILE, outcome);
    }
}

/// `files` without those that are called as floe's own: they are written by other names.
pub(super) fn renamed(
    role: &str,
    files: BTreeMap<String, RoleFile>,
    stack: Option<&String>,
    report: &mut Report,
) -> BTreeMap<String, RoleFile> {
    let is_own = |name: &str| name == HOST_FILE || stack.is_some_and(|stack| stack == name);
    let (own, mut files): (BTreeMap<_, _>, BTreeMap<_, _>) =
        files.into_iter().partition(|(name, _)| is_own(name));
    for (name, file) in own {
        let to = format!("imported-{name}");
        let text = format!(
            "`{name}` is floe's own file in the directory of a role: this was written as `{to}`; \
             say so where it is read"
        );
        // Whoever reads it by its old name would get floe's.
        let outcome = match files.contains_key(&to) {
            true => Outcome::NotSupported(format!("`{name}` and `{to}` are taken: rename it")),
            false => Outcome::Look(text),
        };
        report.add((&file.origin.0, None), format!("hosts/{role}/{name}"), outcome);
        files.entry(to).or_insert(file);
    }
    files
}

/// What the file is called.
const AGENT: &str = "floe.nix";

/// The option that such a file sets.
const OPTION: &str = "services.floe-agent";

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> RoleFile {
        let origin = ("x".to_owned(), 1);
        RoleFile { bytes: text.as_bytes().to_vec(), is_template: false, origin }
    }

    fn files(names: &[(&str, &str)]) -> BTreeMap<String, RoleFile> {
        names.iter().map(|(name, text)| ((*name).to_owned(), file(text))).collect()
    }

    #[test]
    fn a_file_called_as_the_agents_keeps_its_name() {
        let mut report = Report::default();
        let mut of = |names: &[(&str, &str)]| agent("www", &files(names), &mut report);
        assert_eq!(of(&[]), ("floe.nix".to_owned(), true));
        let two = [("floe.nix", "{ }"), ("floe-agent.nix", "{ }")];
        assert_eq!(of(&two[..1]), ("floe-agent.nix".to_owned(), true));
        assert_eq!(of(&two), ("floe-agent-2.nix".to_owned(), true));
        let ours = [("floe.nix", "{ services.floe-agent.enable = true; }")];
        assert_eq!(of(&ours), ("floe.nix".to_owned(), false));
        assert!(report.findings().iter().all(|finding| finding.outcome.word() == "look"));
    }

    #[test]
    fn a_file_called_as_floes_own_is_written_by_another_name() {
        let mut report = Report::default();
        let stack = "cloudformation.yml".to_owned();
        let theirs = files(&[("host.toml", "a"), ("cloudformation.yml", "b"), ("c.nix", "c")]);
        let names = renamed("www", theirs, Some(&stack), &mut report).into_keys();
        assert!(names.eq(["c.nix", "imported-cloudformation.yml", "imported-host.toml"]));
        assert_eq!(report.findings().len(), 2);
    }
}
