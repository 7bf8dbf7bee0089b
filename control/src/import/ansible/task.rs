//! Tasks: what they bring to `/etc/nixos` is collected, what they do besides is told of.
//! Includes, roles and blocks are followed where their names are written out.

use super::arguments::Arguments;
use super::keyword;
use super::module;
use super::words::{ROOT, Words};
use crate::import::error::Error;
use crate::import::report::{Outcome, Report};
use crate::import::role::{self, From, Put};
use crate::import::tree::{self, Tree, parent};
use crate::import::yaml::{self, Node};

/// Deeper than includes go that are no circle.
const DEEPEST: usize = 16;

/// More tasks than people write; includes may come in circles.
const MOST_TASKS: usize = 5_000;

/// Walks through the tasks of one play.
pub(super) struct Tasks<'a> {
    pub(super) tree: &'a Tree,
    pub(super) report: &'a mut Report,
    /// Where the playbook lies.
    pub(super) playbook: String,
    /// What was collected.
    pub(super) puts: Vec<Put>,
    /// How many tasks were read.
    pub(super) count: usize,
}

/// Where a task stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: String,
    /// The directory of the Ansible role, in one.
    pub(super) role: Option<String>,
    pub(super) words: Words,
    pub(super) depth: usize,
}

/// What a task says to do.
#[derive(Clone, Copy)]
struct Task<'a> {
    /// By its short name.
    module: &'a str,
    /// For the report.
    what: &'a str,
    line: usize,
    /// The module's value, and the task with everything in it.
    node: &'a Node,
    task: &'a Node,
}

impl Tasks<'_> {
    pub(super) fn list(&mut self, node: &Node, place: &Place) -> Result<(), Error> {
        for task in node.list() {
            self.task(task, place)?;
        }
        Ok(())
    }

    fn task(&mut self, task: &Node, place: &Place) -> Result<(), Error> {
        self.count += 1;
        if place.depth > DEEPEST || self.count > MOST_TASKS {
            let outcome = Outcome::NotSupported("includes that do not end".into());
            self.report.add((&place.file, task.line), "task", outcome);
            return Ok(());
        }
        let mut place = place.clone();
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
                "block" => self.list(node, &place)?,
                "rescue" | "always" => {
                    let outcome = Outcome::Replaced(
                        "going back: a host that fails is on the system before".into(),
                    );
                    self.report.add(here, &key.name, outcome);
                }
                "loop" | "until_loop" => self.told_loop(&key.name, key.line, &place, &items),
                with if with.starts_with("with_") => {
                    self.told_loop(&key.name, key.line, &place, &items);
                }
                short => {
                    if let Some(outcome) = keyword::of_task(short) {
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
        if !is_anything && task.get("block").is_none() {
            let outcome = Outcome::NotNeeded("it does nothing".into());
            self.report.add((&place.file, task.line), "task", outcome);
        }
        Ok(())
    }

    fn told_loop(&mut self, key: &str, line: usize, place: &Place, items: &Option<Vec<Words>>) {
        let outcome = match items {
            Some(_) => Outcome::Taken("each of its elements was read".into()),
            None => Outcome::NotSupported(
                "what it goes through is only known when it runs; write the tasks out".into(),
            ),
        };
        self.report.add((&place.file, line), key, outcome);
    }

    fn module(
        &mut self,
        task: &Task<'_>,
        place: &Place,
        items: Option<&[Words]>,
    ) -> Result<(), Error> {
        let Task { module, what, line, .. } = *task;
        let here = (place.file.as_str(), line);
        let arguments = Arguments::of(module, task.node, task.task.get("args"));
        match module {
            "include_tasks" | "import_tasks" | "include" => {
                let named = arguments.get("file").or(arguments.free.as_deref());
                self.include(named.unwrap_or_default(), what, line, place)
            }
            "include_role" | "import_role" => {
                let named = arguments.get("name").or(arguments.free.as_deref());
                self.role(named.unwrap_or_default(), what, line, place)
            }
            _ if module::brings_files(module) => {
                let once = [place.words.clone()];
                match items {
                    Some(items) => {
                        let items = if items.is_empty() { &once[..] } else { items };
                        for words in items {
                            self.put(task, &arguments, place, words);
                        }
                    }
                    None => {
                        let outcome = Outcome::NotSupported(
                            "what it brings is only known when it runs; write it out".into(),
                        );
                        self.report.add(here, what, outcome);
                    }
                }
                Ok(())
            }
            _ => {
                let mut filled = arguments.clone();
                filled.free = filled.free.map(|text| place.words.filled(&text).unwrap_or(text));
                let what = match &arguments.free {
                    Some(free) => format!("{what}: {free}"),
                    None => what.to_owned(),
                };
                let outcome = module::outcome(module, &filled);
                for (key, line, _) in &arguments.named {
                    let what = format!("{module}: {key}");
                    self.report.add((&place.file, *line), what, outcome.clone());
                }
                self.report.add(here, what, outcome);
                Ok(())
            }
        }
    }

    /// `copy` and `template`.
    fn put(&mut self, task: &Task<'_>, arguments: &Arguments, place: &Place, words: &Words) {
        let Task { module, what, line, .. } = *task;
        let here = (place.file.as_str(), line);
        let filled = |key: &str| arguments.get(key).map(|text| words.filled(text));
        let (Some(Some(dest)), source) = (filled("dest"), filled("src")) else {
            let outcome = Outcome::NotSupported(
                "where it goes is only known when it runs; write it out".into(),
            );
            self.report.add(here, what, outcome);
            return;
        };
        let is_template = module.ends_with("template");
        let shown = source.clone().flatten().unwrap_or_default();
        if !role::is_nixos(&dest) {
            let outcome = role::elsewhere(&dest, &shown, is_template);
            for (key, line, _) in &arguments.named {
                let what = format!("{module}: {key}");
                self.report.add((&place.file, *line), what, outcome.clone());
            }
            self.report.add(here, what, outcome);
            return;
        }
        for (key, line, _) in &arguments.named {
            if !matches!(key.as_str(), "src" | "dest" | "content") {
                let what = format!("{module}: {key}");
                self.report.add((&place.file, *line), what, module::of_argument(key));
            }
        }
        let from = match (source, arguments.get("content")) {
            (Some(Some(name)), _) => {
                let is_all = name.ends_with('/');
                match self.find(module, &name, place) {
                    Some(found) if is_all => Some(From::File(format!("{found}/"))),
                    found => found.map(From::File),
                }
            }
            // A `copy` of a text is a template to Ansible like any other argument.
            (None, Some(text)) => {
                Some(From::Text(words.filled(text).unwrap_or_else(|| text.to_owned())))
            }
            (Some(None), _) | (None, None) => None,
        };
        let Some(from) = from else {
            let outcome = Outcome::NotSupported(format!("there is no `{shown}` in the repository"));
            self.report.add(here, what, outcome);
            return;
        };
        let is_template = is_template || matches!(from, From::Text(_));
        self.puts.push(Put { from, dest, is_template, file: place.file.clone(), line });
    }

    /// The file or directory that Ansible would find as `name` (its page "Search paths").
    fn find(&self, module: &str, name: &str, place: &Place) -> Option<String> {
        if let Some(inside) = name.strip_prefix(ROOT) {
            return tree::join("", inside);
        }
        let kind = if module.ends_with("template") { "templates" } else { "files" };
        let around = place.role.iter().cloned();
        let around =
            around.chain([parent(&place.file).to_owned(), self.playbook.clone(), String::new()]);
        let candidates = around.flat_map(|directory| {
            let below = tree::join(&directory, kind).unwrap_or_default();
            [tree::join(&below, name), tree::join(&directory, name)]
        });
        candidates.flatten().find(|name| {
            !name.is_empty() && (self.tree.has(name) || self.tree.below(name).next().is_some())
        })
    }

    fn include(&mut self, name: &str, what: &str, line: usize, place: &Place) -> Result<(), Error> {
        let filled = place.words.filled(name).unwrap_or_default();
        let role = place.role.iter().map(|role| format!("{role}/tasks"));
        let around = [parent(&place.file).to_owned(), self.playbook.clone()];
        let mut candidates =
            role.chain(around).filter_map(|directory| tree::join(&directory, &filled));
        let Some(found) = candidates.find(|name| self.tree.has(name)) else {
            let outcome = Outcome::NotSupported(format!("there is no `{name}` in the repository"));
            self.report.add((&place.file, line), what, outcome);
            return Ok(());
        };
        self.report.add((&place.file, line), what, Outcome::Taken(format!("see `{found}`")));
        self.file(&found, place)
    }

    /// The tasks of a file.
    fn file(&mut self, name: &str, place: &Place) -> Result<(), Error> {
        let node = yaml::document(name, &self.tree.text(name)?)?;
        let place = Place { file: name.to_owned(), depth: place.depth + 1, ..place.clone() };
        self.list(&node, &place)
    }

    /// A role of Ansible: its defaults, variables, dependencies, tasks and handlers.
    pub(super) fn role(
        &mut self,
        name: &str,
        what: &str,
        line: usize,
        place: &Place,
    ) -> Result<(), Error> {
        let here = (place.file.as_str(), line);
        let around = [self.playbook.as_str(), ""].map(|directory| tree::join(directory, "roles"));
        let mut candidates = around.into_iter().flatten().filter_map(|it| tree::join(&it, name));
        let found = candidates
            .find(|directory| !name.is_empty() && self.tree.below(directory).next().is_some());
        let Some(directory) = found.filter(|_| place.depth <= DEEPEST) else {
            let outcome = Outcome::NotSupported(format!(
                "the role `{name}` is not in the repository; write what it should achieve in \
                 configuration.nix"
            ));
            self.report.add(here, what, outcome);
            return Ok(());
        };
        self.report.add(here, what, Outcome::Taken(format!("each of its tasks: `{directory}/`")));
        let mut place =
            Place { role: Some(directory.clone()), depth: place.depth + 1, ..place.clone() };
        place.words.set_text("role_path", &format!("{ROOT}{directory}"));
        for part in ["defaults", "vars"] {
            if let Some(file) = self.main(&directory, part) {
                let said = yaml::document(&file, &self.tree.text(&file)?)?;
                place.words.extend_as(part, &said);
                let outcome = Outcome::Look(
                    "read for the paths in tasks; what templates use belongs in group_vars/all"
                        .into(),
                );
                self.report.add((&file, None), part, outcome);
            }
        }
        if let Some(file) = self.main(&directory, "meta") {
            let node = yaml::document(&file, &self.tree.text(&file)?)?;
            let inside = Place { file: file.clone(), ..place.clone() };
            for dependency in node.get("dependencies").map(Node::list).unwrap_or_default() {
                self.dependency(dependency, "dependency", &inside)?;
            }
            let outcome = Outcome::NotNeeded("besides dependencies it says nothing to do".into());
            self.report.add((&file, None), "meta", outcome);
        }
        for part in ["tasks", "handlers"] {
            if let Some(file) = self.main(&directory, part) {
                self.file(&file, &place)?;
            }
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
        for (key, node) in node.map() {
            match (key.name.as_str(), keyword::of_task(&key.name)) {
                ("role" | "name", _) => {}
                ("vars", _) => place.words.extend(node),
                (_, Some(outcome)) => self.report.add((&place.file, key.line), &key.name, outcome),
                (name, None) => place.words.set(name, node),
            }
        }
        self.role(&name, &format!("{what}: {name}"), node.line, &place)
    }

    fn main(&self, directory: &str, part: &str) -> Option<String> {
        let names = ["yml", "yaml"].map(|end| format!("{directory}/{part}/main.{end}"));
        names.into_iter().find(|name| self.tree.has(name))
    }

    /// The words with each element of the task's loop; one entry where there is no loop,
    /// `None` where the loop is not known.
    fn items(&self, task: &Node, place: &Place) -> Option<Vec<Words>> {
        let is_loop = |name: &str| name == "loop" || name.starts_with("with_");
        let Some((key, node)) = task.map().iter().find(|(key, _)| is_loop(&key.name)) else {
            return Some(vec![place.words.clone()]);
        };
        let elements: Vec<serde_json::Value> = match key.name.as_str() {
            "loop" | "with_items" | "with_list" | "with_flattened" => match node.text() {
                Some(text) => place.words.node(text)?.as_array()?.clone(),
                None => node.list().iter().map(super::words::value).collect(),
            },
            "with_fileglob" => {
                let globs = node.words().into_iter().map(|glob| self.glob(glob, place));
                globs.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()
            }
            _ => return None,
        };
        let variable = task.get("loop_control").and_then(|it| it.get("loop_var"));
        let variable = variable.and_then(Node::text).unwrap_or("item");
        let with = |element: serde_json::Value| {
            let mut words = place.words.clone();
            words.set_value(variable, element);
            words
        };
        Some(elements.into_iter().map(with).collect())
    }

    /// The files that `glob` means; one `*` in its last part is enough for people.
    fn glob(&self, glob: &str, place: &Place) -> Option<Vec<serde_json::Value>> {
        let glob = place.words.filled(glob)?;
        let (directory, pattern) = glob.rsplit_once('/').unwrap_or(("", &glob));
        let (before, after) = pattern.split_once('*')?;
        let directory = match directory {
            "" => parent(&place.file).to_owned(),
            directory => self.find("copy", directory, place)?,
        };
        let fits = |name: &&str| {
            let base = tree::base(name);
            parent(name) == directory
                && base.len() >= before.len() + after.len()
                && base.starts_with(before)
                && base.ends_with(after)
        };
        let names = self.tree.below(&directory).filter(fits);
        Some(names.map(|name| format!("{ROOT}{name}").into()).collect())
    }
}
