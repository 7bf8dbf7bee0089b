//! Playbooks: which hosts a play is for, and what it brings to them.

use super::keyword;
use super::task::{Place, Tasks};
use super::words::{ROOT, Words};
use crate::import::error::Error;
use crate::import::report::{Outcome, Report};
use crate::import::role::Put;
use crate::import::tree::{self, Tree, base, parent};
use crate::import::yaml::{self, Node};

/// One play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Play {
    /// The pattern of hosts, as it is written.
    pub(in crate::import) hosts: String,
    /// The playbook that it stands in.
    pub(in crate::import) file: String,
    pub(in crate::import) line: usize,
    /// What it brings to the machine, in order.
    pub(in crate::import) puts: Vec<Put>,
}

/// Whether `name` may be a playbook, by where it lies and by what it says first.
pub(in crate::import) fn is_playbook(tree: &Tree, name: &str) -> bool {
    let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
    let elsewhere = [
        "roles",
        "group_vars",
        "host_vars",
        "tasks",
        "handlers",
        "vars",
        "defaults",
        "meta",
        "templates",
        "files",
        ".github",
        "inventory",
        "inventories",
        "molecule",
    ];
    let is_elsewhere = parent(name).split('/').any(|part| elsewhere.contains(&part));
    if !is_yaml || is_elsewhere {
        return false;
    }
    // Whoever calls it so means it, even where it cannot be read.
    if matches!(base(name).trim_end_matches(".yaml").trim_end_matches(".yml"), "playbook" | "site")
    {
        return true;
    }
    let Ok(text) = tree.text(name) else { return false };
    let Ok(node) = yaml::document(name, &text) else { return false };
    let first = node.list().first();
    first.is_some_and(|play| play.get("hosts").is_some() || is_import(play))
}

fn is_import(play: &Node) -> bool {
    ["import_playbook", "ansible.builtin.import_playbook"].iter().any(|key| play.get(key).is_some())
}

/// The plays of the playbook `name`, with those that it imports.
pub(in crate::import) fn plays(
    tree: &Tree,
    name: &str,
    report: &mut Report,
) -> Result<Vec<Play>, Error> {
    let mut plays = Vec::new();
    read(tree, name, report, 0, &mut plays)?;
    Ok(plays)
}

fn read(
    tree: &Tree,
    name: &str,
    report: &mut Report,
    depth: usize,
    plays: &mut Vec<Play>,
) -> Result<(), Error> {
    let node = yaml::document(name, &tree.text(name)?)?;
    for item in node.list() {
        let imported = item.map().iter().find(|(key, _)| key.name.ends_with("import_playbook"));
        let Some((key, value)) = imported else {
            plays.push(play(tree, name, item, report)?);
            continue;
        };
        let found = value.text().and_then(|text| tree::join(parent(name), text));
        let outcome = match found.filter(|found| tree.has(found) && depth < 16) {
            Some(found) => {
                read(tree, &found, report, depth + 1, plays)?;
                Outcome::Taken(format!("see `{found}`"))
            }
            None => Outcome::NotSupported("it is not in the repository".into()),
        };
        report.add((name, key.line), &key.name, outcome);
    }
    Ok(())
}

fn play(tree: &Tree, name: &str, play: &Node, report: &mut Report) -> Result<Play, Error> {
    let hosts = play.get("hosts").map(|node| node.words().join(",")).unwrap_or_default();
    let mut words = Words::default();
    words.set_text("playbook_dir", &format!("{ROOT}{}", parent(name)));
    words.set_text("inventory_dir", &format!("{ROOT}."));
    // For a play of one host it is known what Ansible calls it.
    if hosts.contains('.') && !hosts.contains([',', ':', '*', '[', '!', '&', '{']) {
        words.set_text("inventory_hostname", &hosts);
        words.set_text("inventory_hostname_short", hosts.split('.').next().unwrap_or_default());
    }
    for file in play.get("vars_files").map(Node::words).unwrap_or_default() {
        let found = tree::join(parent(name), file).filter(|found| tree.has(found));
        if let Some(found) = found.filter(|found| !is_sealed(tree, found)) {
            words.extend(&yaml::document(&found, &tree.text(&found)?)?);
        }
    }
    if let Some(vars) = play.get("vars") {
        words.extend(vars);
    }
    let mut tasks =
        Tasks { tree, report, playbook: parent(name).to_owned(), puts: Vec::new(), count: 0 };
    let place = Place { file: name.to_owned(), role: None, words, depth: 0 };
    // In the order in which Ansible runs them, whatever they are written in.
    for part in ["pre_tasks", "roles", "tasks", "post_tasks", "handlers"] {
        let Some(node) = play.get(part) else { continue };
        if part == "roles" {
            for role in node.list() {
                tasks.dependency(role, "role", &place)?;
            }
        } else {
            tasks.list(node, &place)?;
        }
    }
    let puts = tasks.puts;
    for (key, node) in play.map() {
        let here = (name, key.line);
        let outcome = match key.name.as_str() {
            "name" | "pre_tasks" | "roles" | "tasks" | "post_tasks" | "handlers" => continue,
            "hosts" => Outcome::Replaced("the role: every host of it gets the same bundle".into()),
            "vars" => {
                for (key, _) in node.map() {
                    let outcome = Outcome::Look(
                        "read for the paths in tasks; where a template uses it, write it into \
                         group_vars/all"
                            .into(),
                    );
                    report.add((name, key.line), format!("vars: {}", key.name), outcome);
                }
                continue;
            }
            "vars_files" => Outcome::Look(
                "read for the paths in tasks; templates see the variables of group_vars/all: \
                 move what they need there"
                    .into(),
            ),
            key => keyword::of_play(key),
        };
        report.add(here, format!("play: {}", key.name), outcome);
    }
    Ok(Play { hosts, file: name.to_owned(), line: play.line, puts })
}

fn is_sealed(tree: &Tree, name: &str) -> bool {
    tree.bytes(name).is_some_and(crate::vault::is_sealed)
}
