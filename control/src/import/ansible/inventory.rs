//! The inventory: which hosts and groups there are. How they are reached does not matter
//! any more, since they connect by themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::error::Error;
use crate::import::report::{Outcome, Report};
use crate::import::tree::{Tree, base, parent};
use crate::import::yaml::{self, Node};

/// Hosts, and the groups that they are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Inventory {
    pub(in crate::import) hosts: BTreeSet<String>,
    pub(in crate::import) groups: BTreeMap<String, BTreeSet<String>>,
}

/// Reads every inventory of the repository.
pub(in crate::import) fn inventory(tree: &Tree, report: &mut Report) -> Result<Inventory, Error> {
    let mut inventory = Inventory::default();
    let mut children = Vec::new();
    for name in tree.names().filter(|name| is_inventory(name)) {
        let text = tree.text(name)?;
        if crate::vault::is_sealed(text.as_bytes()) {
            report.add(
                (name, None),
                "inventory",
                Outcome::Look("it is sealed, and was not read".into()),
            );
            continue;
        }
        let is_yaml = name.ends_with(".yml")
            || name.ends_with(".yaml")
            || (!name.contains('.') && text.trim_start().starts_with("---"));
        if is_yaml {
            let node = yaml::document(name, &text)?;
            for (key, group) in node.map() {
                of_group(&mut inventory, &mut children, &key.name, group, name, report);
            }
        } else {
            of_ini(&mut inventory, &mut children, name, &text, report);
        }
        let outcome = Outcome::Replaced(
            "the directories below hosts/, and `floe hosts`: hosts are those that enrolled".into(),
        );
        report.add((name, None), "inventory", outcome);
    }
    // Groups of groups; a circle adds nothing after as many rounds as there are.
    for _ in 0..children.len().min(64) {
        for (parent, child) in &children {
            let hosts = inventory.groups.get(child).cloned().unwrap_or_default();
            inventory.groups.entry(parent.clone()).or_default().extend(hosts);
        }
    }
    Ok(inventory)
}

fn is_inventory(name: &str) -> bool {
    let stem = base(name).split('.').next().unwrap_or_default();
    let end = base(name).rsplit_once('.').map_or("", |(_, end)| end);
    let is_named = matches!(stem, "inventory" | "hosts" | "production" | "staging")
        && matches!(end, "" | "yml" | "yaml" | "ini" | "cfg" | "inventory");
    let place = parent(name);
    let is_at_root = place.is_empty() && is_named;
    let is_inside = place.split('/').any(|part| matches!(part, "inventory" | "inventories"))
        && !place.contains("_vars")
        && matches!(end, "" | "yml" | "yaml" | "ini");
    is_at_root || is_inside
}

type Children = Vec<(String, String)>;

fn of_group(
    inventory: &mut Inventory,
    children: &mut Children,
    group: &str,
    node: &Node,
    file: &str,
    report: &mut Report,
) {
    inventory.groups.entry(group.to_owned()).or_default();
    for (key, node) in node.map() {
        match key.name.as_str() {
            "hosts" => {
                for (host, vars) in node.map() {
                    add_host(inventory, group, &host.name);
                    told_host(file, host.line, &host.name, report);
                    for (key, _) in vars.map() {
                        variable(file, key.line, &host.name, &key.name, report);
                    }
                }
            }
            "children" => {
                for (child, node) in node.map() {
                    children.push((group.to_owned(), child.name.clone()));
                    of_group(inventory, children, &child.name, node, file, report);
                }
            }
            "vars" => {
                for (key, _) in node.map() {
                    variable(file, key.line, group, &key.name, report);
                }
            }
            other => {
                let outcome = Outcome::NotSupported("floe does not know this key".into());
                report.add((file, key.line), other, outcome);
            }
        }
    }
}

fn of_ini(
    inventory: &mut Inventory,
    children: &mut Children,
    file: &str,
    text: &str,
    report: &mut Report,
) {
    let (mut group, mut kind) = ("ungrouped".to_owned(), String::new());
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split(" #").next().unwrap_or_default().trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let (name, after) = section.split_once(':').unwrap_or((section, ""));
            (group, kind) = (name.to_owned(), after.to_owned());
            inventory.groups.entry(group.clone()).or_default();
            continue;
        }
        let mut words = text.split_whitespace();
        let Some(first) = words.next() else { continue };
        match kind.as_str() {
            "vars" => {
                let name = text.split('=').next().unwrap_or_default().trim();
                variable(file, line, &group, name, report);
            }
            "children" => children.push((group.clone(), first.to_owned())),
            _ => {
                add_host(inventory, &group, first);
                told_host(file, line, first, report);
                for word in words {
                    let name = word.split('=').next().unwrap_or_default();
                    variable(file, line, first, name, report);
                }
            }
        }
    }
}

fn add_host(inventory: &mut Inventory, group: &str, host: &str) {
    inventory.hosts.insert(host.to_owned());
    inventory.groups.entry(group.to_owned()).or_default().insert(host.to_owned());
}

fn told_host(file: &str, line: usize, host: &str, report: &mut Report) {
    let outcome = Outcome::Replaced("`floe hosts`: it is there once it has enrolled".into());
    report.add((file, line), format!("host {host}"), outcome);
}

fn variable(file: &str, line: usize, of: &str, name: &str, report: &mut Report) {
    let outcome = if name.starts_with("ansible_") {
        Outcome::NotNeeded("nothing connects to a host".into())
    } else {
        Outcome::NotSupported(
            "where a template uses it, write it into group_vars/all; what differs between hosts \
             is a role of its own"
                .into(),
        )
    };
    report.add((file, line), format!("{of}: {name}"), outcome);
}

/// What becomes of ansible.cfg, option by option.
pub(in crate::import) fn configuration(tree: &Tree, report: &mut Report) {
    for name in tree.names().filter(|name| base(name) == "ansible.cfg") {
        let text = tree.text(name).unwrap_or_default();
        report.add((name, None), "ansible.cfg", Outcome::NotNeeded("Ansible is not run".into()));
        for (line, text) in (1..).zip(text.lines()) {
            let Some((key, _)) = text.split_once('=') else { continue };
            let key = key.trim();
            if key.starts_with(['#', ';', '[']) {
                continue;
            }
            let outcome = match key {
                "vault_password_file" | "vault_identity_list" => {
                    Outcome::Replaced("`--vault-password-file`, or a prompt".into())
                }
                "inventory" => Outcome::Replaced("the directories below hosts/".into()),
                _ => Outcome::NotNeeded("Ansible is not run".into()),
            };
            report.add((name, line), key, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_say_the_same() {
        let ini = "[web]\nwww.a.org ansible_host=1.2.3.4 port=80\n[all:vars]\nansible_user=root\n\
                   [every:children]\nweb\n";
        let yml = "web:\n  hosts:\n    www.a.org: {ansible_host: 1.2.3.4, port: 80}\n\
                   every:\n  children:\n    web: {}\n";
        for (name, text) in [("inventory.ini", ini), ("inventory.yml", yml)] {
            let mut report = Report::default();
            let inventory = inventory(&Tree::of("x", &[(name, text)]), &mut report).unwrap();
            assert!(inventory.groups["every"].contains("www.a.org"), "{name}");
            let words: Vec<&str> =
                report.findings().iter().map(|finding| finding.outcome.word()).collect();
            assert!(words.contains(&"not needed") && words.contains(&"not supported"), "{name}");
        }
    }
}
