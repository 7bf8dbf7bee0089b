//! The inventory: which hosts and groups there are. How they are reached does not matter
//! any more, since they connect by themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::error::Error;
use crate::import::line;
use crate::import::report::{Outcome, Report, SENSITIVE};
use crate::import::tree::{Tree, base, parent};
use crate::import::yaml::{self, Node};

/// Deeper than groups of groups go.
const MOST_LEVELS: usize = 64;

/// More than fleets have, each host counted in each of its groups.
const MOST_MEMBERS: usize = 100_000;

/// More than a range of names has.
const MOST_OF_A_RANGE: u32 = 1_000;

/// Hosts, and the groups that they are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Inventory {
    pub(in crate::import) hosts: BTreeSet<String>,
    pub(in crate::import) groups: BTreeMap<String, BTreeSet<String>>,
    /// How many there are, each in each place where it is said.
    members: usize,
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
    // Groups of groups; a circle adds nothing after as many rounds as there are levels.
    for _ in 0..MOST_LEVELS {
        let before: usize = inventory.groups.values().map(BTreeSet::len).sum();
        for (parent, child) in &children {
            let hosts = inventory.groups.get(child).cloned().unwrap_or_default();
            inventory.groups.entry(parent.clone()).or_default().extend(hosts);
        }
        let now: usize = inventory.groups.values().map(BTreeSet::len).sum();
        if now.max(inventory.members) > MOST_MEMBERS {
            return Err(Error::too_much("the inventory", MOST_MEMBERS, "hosts in groups"));
        }
        if now == before {
            return Ok(inventory);
        }
    }
    Err(Error::too_much("the inventory", MOST_LEVELS, "levels of groups"))
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
    for (number, text) in (1..).zip(text.lines()) {
        let text = line::without_comment(text).trim();
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        if let Some(section) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let (name, after) = section.split_once(':').unwrap_or((section, ""));
            (group, kind) = (name.to_owned(), after.to_owned());
            inventory.groups.entry(group.clone()).or_default();
            continue;
        }
        // Values may have spaces, in quotes, and those are nobody's business.
        let mut words = line::words(text).into_iter();
        let Some(first) = words.next() else { continue };
        match kind.as_str() {
            "vars" => {
                let name = text.split('=').next().unwrap_or_default().trim();
                variable(file, number, &group, name, report);
            }
            "children" => children.push((group.clone(), first)),
            _ => {
                add_host(inventory, &group, &first);
                told_host(file, number, &first, report);
                for word in words {
                    match word.split_once('=') {
                        Some((name, _)) => variable(file, number, &first, name, report),
                        None => {
                            let outcome = Outcome::NotSupported(
                                "a word that is no `name=value`: a value with spaces stands in \
                                 quotes"
                                    .into(),
                            );
                            let what = format!("{first}: {SENSITIVE}");
                            report.add((file, number), what, outcome);
                        }
                    }
                }
            }
        }
    }
}

fn add_host(inventory: &mut Inventory, group: &str, pattern: &str) {
    let hosts = range(pattern);
    inventory.members = inventory.members.saturating_add(hosts.len());
    // There is an error once everything was read.
    let hosts = hosts.into_iter().filter(|_| inventory.members <= MOST_MEMBERS);
    for host in hosts.collect::<Vec<_>>() {
        inventory.hosts.insert(host.clone());
        inventory.groups.entry(group.to_owned()).or_default().insert(host);
    }
}

/// The hosts of `web-[01:12].a.org`; anything else is one host (Ansible's page "How to build your
/// inventory", section "Adding ranges of hosts").
fn range(pattern: &str) -> Vec<String> {
    let parts = || {
        let (before, rest) = pattern.split_once('[')?;
        let (inside, after) = rest.split_once(']')?;
        let (from, to) = inside.split_once(':')?;
        let (first, last) = (from.parse::<u32>().ok()?, to.parse::<u32>().ok()?);
        let is_short = last.checked_sub(first)? < MOST_OF_A_RANGE;
        let host = |number: u32| format!("{before}{number:0width$}{after}", width = from.len());
        is_short.then(|| (first..=last).map(host).collect())
    };
    parts().unwrap_or_else(|| vec![pattern.to_owned()])
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
    fn values_with_spaces_and_quotes_are_one_value_and_not_shown() {
        let ini = "[web]\nwww ansible_ssh_pass=\"hunter2 is # mine\" note='a b' # why\n\
                   db ansible_password=hunter2 is mine\n[web:vars]\nmotd = hunter2 or so\n";
        let mut report = Report::default();
        inventory(&Tree::of("x", &[("inventory.ini", ini)]), &mut report).unwrap();
        let what: Vec<&str> = report.findings().iter().map(|it| it.what.as_str()).collect();
        let expected = [
            "host www",
            "www: ansible_ssh_pass",
            "www: note",
            "host db",
            "db: ansible_password",
            "db: (sensitive)",
            "web: motd",
            "inventory",
        ];
        assert_eq!(what, expected);
    }

    #[test]
    fn a_range_is_all_of_its_hosts() {
        assert_eq!(range("db-[09:11].a"), ["db-09.a", "db-10.a", "db-11.a"]);
        for one in ["db", "db-[a:c]", "db-[1:99999999]", "db-[2:1]"] {
            assert_eq!(range(one), [one]);
        }
        let many = "[a]\n".to_owned() + &"x[1:1000]\n".repeat(200);
        let found = inventory(&Tree::of("x", &[("inventory.ini", &many)]), &mut Report::default());
        assert!(found.unwrap_err().to_string().contains("hosts in groups"));
    }

    #[test]
    fn groups_that_are_each_others_end() {
        let ini = "[a]\nwww\n[a:children]\nb\n[b:children]\na\n";
        let found = inventory(&Tree::of("x", &[("inventory.ini", ini)]), &mut Report::default());
        assert!(found.unwrap().groups["b"].contains("www"));
        let deep: String =
            (0..100).map(|n| format!("[g{n}:children]\ng{}\n", n + 1)).rev().collect();
        let deep = format!("{deep}[g100]\nwww\n");
        let found = inventory(&Tree::of("x", &[("inventory.ini", &deep)]), &mut Report::default());
        assert!(found.is_ok() || found.unwrap_err().to_string().contains("levels"));
    }

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
