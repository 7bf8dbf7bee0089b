//! Walks through the tasks of a play: blocks, includes and roles are followed where their names
//! are written out, each task once in every place where it runs, and no circle is gone round.

use super::keyword;
use super::module;
use super::runs::{self, Runs};
use super::task::Task;
use super::words::{ROOT, Words};
use crate::import::error::Error;
use crate::import::report::{Outcome, Report};
use crate::import::role::Put;
use crate::import::tree::{self, Tree, parent};
use crate::import::yaml::{self, Node};

/// Deeper than includes and roles go.
const DEEPEST: usize = 16;

/// More tasks, elements of loops, includes and roles than all playbooks have together, each
/// counted as often as it is included.
const MOST_STEPS: usize = 20_000;

/// How much is left to be done: includes multiply.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST_STEPS)
    }
}

impl Budget {
    /// One step more, taken by what stands on `line` of `file`.
    pub(super) fn step(&mut self, file: &str, line: usize) -> Result<(), Error> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| {
            let what = format!("what is included up to `{file}` line {line}");
            Error::too_much(what, MOST_STEPS, "tasks")
        })?;
        Ok(())
    }
}

/// Walks through the tasks of one play.
pub(super) struct Walk<'a> {
    pub(super) tree: &'a Tree,
    pub(super) report: &'a mut Report,
    pub(super) budget: &'a mut Budget,
    /// Where the playbook lies.
    pub(super) playbook: String,
    /// What was collected.
    pub(super) puts: Vec<Put>,
}

/// Where a task stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: String,
    /// The directory of the Ansible role, in one.
    pub(super) role: Option<String>,
    pub(super) words: Words,
    pub(super) runs: Runs,
    /// The files and roles around it.
    pub(super) inside: Vec<String>,
}

impl Walk<'_> {
    pub(super) fn list(&mut self, node: &Node, place: &Place) -> Result<(), Error> {
        for task in node.list() {
            self.task(task, place)?;
        }
        Ok(())
    }

    fn task(&mut self, task: &Node, place: &Place) -> Result<(), Error> {
        self.budget.step(&place.file, task.line)?;
        let mut place = place.clone();
        place.runs = place.runs.with(task);
        if let Some(vars) = task.get("vars") {
            place.words.extend(vars);
            let outcome = Outcome::Taken("where the task's own texts name them".into());
            self.report.add((&place.file, vars.line), "vars", outcome);
        }
        let items = self.items(task, &place);
        let name = task.get("name").and_then(Node::text).unwrap_or_default();
        let mut is_anything = false;
        for (key, node) in task.map() {
            let here = (place.file.as_str(), key.line);
            match module::short(&key.name) {
                "name" | "vars" | "args" => {}
                "block" | "rescue" | "always" => is_anything = true,
                with if with == "loop" || with.starts_with("with_") => {
                    let is_read =
                        task.map().iter().any(|(key, _)| module::is_read(module::short(&key.name)));
                    let outcome = match items {
                        Some(_) if is_read => {
                            Outcome::Taken("each of its elements was read".into())
                        }
                        Some(_) => Outcome::NotNeeded("the task is told of as a whole".into()),
                        None => Outcome::NotSupported(
                            "what it goes through is only known when it runs; write the tasks out"
                                .into(),
                        ),
                    };
                    self.report.add(here, &key.name, outcome);
                }
                short => {
                    let keyword = runs::of_keyword(short, node).or_else(|| keyword::of_task(short));
                    if let Some(outcome) = keyword {
                        is_anything |= short == "local_action";
                        self.report.add(here, &key.name, outcome);
                        continue;
                    }
                    is_anything = true;
                    let what = match name {
                        "" => key.name.clone(),
                        name => format!("{} ({name})", key.name),
                    };
                    let task = Task { module: short, what: &what, line: key.line, node, task };
                    self.module(&task, &place, items.as_deref())?;
                }
            }
        }
        if !is_anything {
            let outcome = Outcome::NotNeeded("it does nothing".into());
            self.report.add((&place.file, task.line), "task", outcome);
        }
        self.block(task, &place)
    }

    /// The parts of a block, in the order in which Ansible runs them, whatever they are written
    /// in. What stands in `always` runs in every case, like the block itself.
    fn block(&mut self, task: &Node, place: &Place) -> Result<(), Error> {
        for part in ["block", "rescue", "always"] {
            let Some((key, node)) = task.map().iter().find(|(key, _)| key.name == part) else {
                continue;
            };
            let here = (place.file.as_str(), key.line);
            let mut place = place.clone();
            match part {
                "rescue" => {
                    let outcome = Outcome::Replaced(
                        "going back: a host that fails is on the system before; each task below"
                            .into(),
                    );
                    self.report.add(here, part, outcome);
                    place.runs.but("where a task of its block fails (`rescue`)");
                }
                "always" => {
                    let outcome = Outcome::Taken("after the block; each task below".into());
                    self.report.add(here, part, outcome);
                }
                _ => {}
            }
            self.list(node, &place)?;
        }
        Ok(())
    }

    pub(super) fn include(
        &mut self,
        name: &str,
        what: &str,
        line: usize,
        place: &Place,
    ) -> Result<(), Error> {
        let here = (place.file.as_str(), line);
        let filled = place.words.filled(name).unwrap_or_default();
        let role = place.role.iter().map(|role| format!("{role}/tasks"));
        let around = [parent(&place.file).to_owned(), self.playbook.clone()];
        let inside = filled.strip_prefix(ROOT).and_then(|inside| tree::join("", inside));
        let around = role.chain(around).filter_map(|directory| tree::join(&directory, &filled));
        let mut candidates = inside.into_iter().chain(around);
        let Some(found) = candidates.find(|name| self.tree.has(name)) else {
            let outcome = Outcome::NotSupported(format!("there is no `{name}` in the repository"));
            self.report.add(here, what, outcome);
            return Ok(());
        };
        if let Some(outcome) = circle(&found, place) {
            self.report.add(here, what, outcome);
            return Ok(());
        }
        self.report.add(here, what, Outcome::Taken(format!("see `{found}`")));
        self.file(&found, place)
    }

    /// The tasks of a file.
    fn file(&mut self, name: &str, place: &Place) -> Result<(), Error> {
        self.budget.step(name, 1)?;
        let node = yaml::document(name, &self.tree.text(name)?)?;
        let mut place = Place { file: name.to_owned(), ..place.clone() };
        place.inside.push(name.to_owned());
        self.list(&node, &place)
    }

    /// A role of Ansible: its defaults, variables, dependencies, the tasks in the file `from`, and
    /// handlers.
    pub(super) fn role(
        &mut self,
        name: &str,
        from: &str,
        what: &str,
        line: usize,
        place: &Place,
    ) -> Result<(), Error> {
        self.budget.step(&place.file, line)?;
        let here = (place.file.as_str(), line);
        let filled = place.words.filled(name).unwrap_or_default();
        let around = [self.playbook.as_str(), ""].map(|directory| tree::join(directory, "roles"));
        let mut candidates = around.into_iter().flatten().filter_map(|it| tree::join(&it, &filled));
        let found = candidates
            .find(|directory| !filled.is_empty() && self.tree.below(directory).next().is_some());
        let Some(directory) = found else {
            let outcome = Outcome::NotSupported(format!(
                "the role `{name}` is not in the repository; write what it should achieve in \
                 configuration.nix"
            ));
            self.report.add(here, what, outcome);
            return Ok(());
        };
        let own = format!("{directory}/tasks/{from}");
        if let Some(outcome) = circle(&own, place) {
            self.report.add(here, what, outcome);
            return Ok(());
        }
        let outcome = Outcome::Taken(format!("each of its tasks: `{directory}/`"));
        self.report.add((&place.file, line), what, outcome);
        let mut place = Place { role: Some(directory.clone()), ..place.clone() };
        place.inside.push(own);
        place.words.set_text("role_path", &format!("{ROOT}{directory}"));
        for part in ["defaults", "vars"] {
            if let Some(file) = self.main(&directory, part, "main") {
                let said = yaml::document(&file, &self.tree.text(&file)?)?;
                place.words.extend_as(part, &said);
                let outcome = Outcome::Look(
                    "read for the paths in tasks; what templates use belongs in group_vars/all"
                        .into(),
                );
                self.report.add((&file, None), part, outcome);
            }
        }
        if let Some(file) = self.main(&directory, "meta", "main") {
            let node = yaml::document(&file, &self.tree.text(&file)?)?;
            let inside = Place { file: file.clone(), ..place.clone() };
            for dependency in node.get("dependencies").map(Node::list).unwrap_or_default() {
                self.dependency(dependency, "dependency", &inside)?;
            }
            let outcome = Outcome::NotNeeded("besides dependencies it says nothing to do".into());
            self.report.add((&file, None), "meta", outcome);
        }
        match self.main(&directory, "tasks", from) {
            Some(file) => self.file(&file, &place)?,
            // A role of variables or handlers alone has none.
            None if from == "main" => {}
            None => {
                let outcome =
                    Outcome::NotSupported(format!("there is no `{directory}/tasks/{from}.yml`"));
                self.report.add(here, what, outcome);
            }
        }
        if let Some(file) = self.main(&directory, "handlers", "main") {
            place.runs.but(NOTIFIED);
            self.file(&file, &place)?;
        }
        Ok(())
    }

    /// An element of `roles:` or `dependencies:`.
    pub(super) fn dependency(
        &mut self,
        node: &Node,
        what: &str,
        place: &Place,
    ) -> Result<(), Error> {
        let name = node.get("role").or_else(|| node.get("name")).or(Some(node));
        let name = name.and_then(Node::text).unwrap_or_default().to_owned();
        let mut place = place.clone();
        place.runs = place.runs.with(node);
        for (key, node) in node.map() {
            let outcome = runs::of_keyword(&key.name, node).or_else(|| keyword::of_task(&key.name));
            match (key.name.as_str(), outcome) {
                ("role" | "name", _) => {}
                ("vars", _) => place.words.extend(node),
                (_, Some(outcome)) => self.report.add((&place.file, key.line), &key.name, outcome),
                (name, None) => place.words.set(name, node),
            }
        }
        self.role(&name, "main", &format!("{what}: {name}"), node.line, &place)
    }
}

/// Why handlers do not run always.
pub(super) const NOTIFIED: &str = "where a task notified it";

/// What becomes of an include of `found` that would not end.
fn circle(found: &str, place: &Place) -> Option<Outcome> {
    if place.inside.iter().any(|around| around == found) {
        return Some(Outcome::NotSupported(format!(
            "`{found}` includes itself, and was read once; write out what each round does"
        )));
    }
    let is_too_deep = place.inside.len() >= DEEPEST;
    is_too_deep.then(|| {
        Outcome::NotSupported(format!(
            "`{found}` is included by more than {DEEPEST} files around it, and was not read"
        ))
    })
}
