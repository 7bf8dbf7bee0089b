//! Playbooks: which hosts a play is for, and what it brings to them.

use std::collections::{BTreeMap, BTreeSet};

use super::keyword;
use super::runs::{self, Runs};
use super::walk::{Budget, NOTIFIED, Place, Walk};
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

/// All playbooks of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Playbooks {
    /// The plays of each, with those that it imports.
    pub(in crate::import) plays: BTreeMap<String, Vec<Play>>,
    /// Those that others import, and that nobody runs by themselves.
    pub(in crate::import) imported: BTreeSet<String>,
}

/// Reads them all.
pub(in crate::import) fn playbooks(tree: &Tree, report: &mut Report) -> Result<Playbooks, Error> {
    let mut budget = Budget::default();
    let mut playbooks = Playbooks::default();
    for name in tree.names().filter(|name| is_playbook(tree, name)) {
        let imported = &mut playbooks.imported;
        let mut reader = Reader { tree, report, budget: &mut budget, imported, plays: Vec::new() };
        reader.read(name, &mut vec![name.to_owned()], &Runs::default())?;
        let plays = reader.plays;
        playbooks.plays.insert(name.to_owned(), plays);
    }
    Ok(playbooks)
}

/// Whether `name` may be a playbook, by where it lies and by what it says first.
fn is_playbook(tree: &Tree, name: &str) -> bool {
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

struct Reader<'a> {
    tree: &'a Tree,
    report: &'a mut Report,
    budget: &'a mut Budget,
    imported: &'a mut BTreeSet<String>,
    plays: Vec<Play>,
}

impl Reader<'_> {
    /// Reads the playbook `name`; `around` are those that import it, and itself.
    fn read(&mut self, name: &str, around: &mut Vec<String>, runs: &Runs) -> Result<(), Error> {
        let node = yaml::document(name, &self.tree.text(name)?)?;
        for item in node.list() {
            self.budget.step(name, item.line)?;
            let is_import = |key: &str| key.ends_with("import_playbook");
            let imported = item.map().iter().find(|(key, _)| is_import(&key.name));
            let Some((key, value)) = imported else {
                let play = self.play(name, item, runs)?;
                self.plays.push(play);
                continue;
            };
            let found = value.text().and_then(|text| tree::join(parent(name), text));
            let outcome = match found.filter(|found| self.tree.has(found)) {
                Some(found) if around.contains(&found) => {
                    Outcome::NotSupported(format!("`{found}` imports itself, and was read once"))
                }
                Some(found) => {
                    around.push(found.clone());
                    self.read(&found, around, &runs.with(item))?;
                    around.pop();
                    let outcome = Outcome::Taken(format!("see `{found}`"));
                    self.imported.insert(found);
                    outcome
                }
                None => Outcome::NotSupported("it is not in the repository".into()),
            };
            self.report.add((name, key.line), &key.name, outcome);
            let others = item.map().iter().filter(|(key, _)| !is_import(&key.name));
            for (key, node) in others.filter(|(key, _)| key.name != "name") {
                let outcome = runs::of_keyword(&key.name, node);
                let outcome = outcome.unwrap_or_else(|| keyword::of_play(&key.name));
                self.report.add((name, key.line), &key.name, outcome);
            }
        }
        Ok(())
    }

    fn play(&mut self, name: &str, play: &Node, runs: &Runs) -> Result<Play, Error> {
        let hosts = play.get("hosts").map(|node| node.words().join(",")).unwrap_or_default();
        let words = self.words(name, play, &hosts)?;
        let mut walk = Walk {
            tree: self.tree,
            report: self.report,
            budget: self.budget,
            playbook: parent(name).to_owned(),
            puts: Vec::new(),
        };
        let runs = runs.with_play(play);
        let inside = vec![name.to_owned()];
        let place = Place { file: name.to_owned(), role: None, words, runs, inside };
        // In the order in which Ansible runs them, whatever they are written in.
        for part in ["pre_tasks", "roles", "tasks", "post_tasks", "handlers"] {
            let Some(node) = play.get(part) else { continue };
            let mut place = place.clone();
            match part {
                "roles" => {
                    for role in node.list() {
                        walk.dependency(role, "role", &place)?;
                    }
                    continue;
                }
                "handlers" => place.runs.but(NOTIFIED),
                _ => {}
            }
            walk.list(node, &place)?;
        }
        let puts = walk.puts;
        for (key, node) in play.map() {
            self.keyword(name, &key.name, key.line, node);
        }
        Ok(Play { hosts, file: name.to_owned(), line: play.line, puts })
    }

    /// What is known of the play's variables.
    fn words(&self, name: &str, play: &Node, hosts: &str) -> Result<Words, Error> {
        let mut words = Words::default();
        words.set_text("playbook_dir", &format!("{ROOT}{}", parent(name)));
        words.set_text("inventory_dir", &format!("{ROOT}."));
        // For a play of one host it is known what Ansible calls it.
        if hosts.contains('.') && !hosts.contains([',', ':', '*', '[', '!', '&', '{']) {
            words.set_text("inventory_hostname", hosts);
            words.set_text("inventory_hostname_short", hosts.split('.').next().unwrap_or_default());
        }
        for file in play.get("vars_files").map(Node::words).unwrap_or_default() {
            let found = tree::join(parent(name), file).filter(|found| self.tree.has(found));
            if let Some(found) = found.filter(|found| !is_sealed(self.tree, found)) {
                words.extend(&yaml::document(&found, &self.tree.text(&found)?)?);
            }
        }
        if let Some(vars) = play.get("vars") {
            words.extend(vars);
        }
        Ok(words)
    }

    /// What becomes of a keyword of a play.
    fn keyword(&mut self, file: &str, key: &str, line: usize, node: &Node) {
        let outcome = match key {
            "name" | "pre_tasks" | "roles" | "tasks" | "post_tasks" | "handlers" => return,
            "hosts" => Outcome::Replaced("the role: every host of it gets the same bundle".into()),
            "vars" => {
                for (key, _) in node.map() {
                    let outcome = Outcome::Look(
                        "read for the paths in tasks; where a template uses it, write it into \
                         group_vars/all"
                            .into(),
                    );
                    self.report.add((file, key.line), format!("vars: {}", key.name), outcome);
                }
                return;
            }
            "vars_files" => Outcome::Look(
                "read for the paths in tasks; templates see the variables of group_vars/all: \
                 move what they need there"
                    .into(),
            ),
            "tags" => runs::of_keyword(key, node).unwrap_or_else(|| keyword::of_play(key)),
            key => keyword::of_play(key),
        };
        self.report.add((file, line), format!("play: {key}"), outcome);
    }
}

fn is_sealed(tree: &Tree, name: &str) -> bool {
    tree.bytes(name).is_some_and(crate::vault::is_sealed)
}
