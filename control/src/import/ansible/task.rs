//! What one task does: what it brings to `/etc/nixos` is collected, what it does besides is
//! told of.

use minijinja::Value;

use super::arguments::Arguments;
use super::module;
use super::walk::{Place, Walk};
use super::words::Words;
use crate::import::error::Error;
use crate::import::report::{Outcome, SENSITIVE};
use crate::import::role::{self, From, Put};
use crate::import::yaml::Node;

/// What a task says to do.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    /// By its short name.
    pub(super) module: &'a str,
    /// For the report.
    pub(super) what: &'a str,
    pub(super) line: usize,
    /// The module's value, and the task with everything in it.
    pub(super) node: &'a Node,
    pub(super) task: &'a Node,
}

impl Task<'_> {
    /// Whether it says that what it does must not be shown.
    fn is_secret(&self) -> bool {
        let no_log = self.task.get("no_log").and_then(Node::text);
        no_log.is_some_and(|text| !matches!(text, "false" | "no" | "False"))
    }
}

impl Walk<'_> {
    /// `items` are the words with each element of the task's loop; `None` where the loop is
    /// not known.
    pub(super) fn module(
        &mut self,
        task: &Task<'_>,
        place: &Place,
        items: Option<&[Words]>,
    ) -> Result<(), Error> {
        let Task { module, what, line, .. } = *task;
        let here = (place.file.as_str(), line);
        let arguments = Arguments::of(module, task.node, task.task.get("args"));
        match module {
            "include_tasks" | "import_tasks" | "include" | "include_role" | "import_role" => {
                self.told_include(&arguments, module, place);
                let Some(items) = items else {
                    let outcome = Outcome::NotSupported(
                        "what it includes is only known when it runs; write it out".into(),
                    );
                    self.report.add(here, what, outcome);
                    return Ok(());
                };
                for words in items {
                    let place = Place { words: words.clone(), ..place.clone() };
                    let named = |key| arguments.get(key).or(arguments.free.as_deref());
                    if module.ends_with("role") {
                        let name = named("name").unwrap_or_default();
                        let from = arguments.get("tasks_from").unwrap_or("main");
                        self.role(name, from, what, line, &place)?;
                    } else {
                        self.include(named("file").unwrap_or_default(), what, line, &place)?;
                    }
                }
                Ok(())
            }
            _ if module::brings_files(module) => {
                let Some(items) = items else {
                    let outcome = Outcome::NotSupported(
                        "what it brings is only known when it runs; write it out".into(),
                    );
                    self.report.add(here, what, outcome);
                    return Ok(());
                };
                if items.is_empty() {
                    let outcome = Outcome::NotNeeded("its loop goes through nothing".into());
                    self.report.add(here, what, outcome);
                }
                for words in items {
                    self.budget.step(&place.file, line)?;
                    self.put(task, &arguments, place, words);
                }
                Ok(())
            }
            _ => {
                let mut filled = arguments.clone();
                filled.free = filled.free.map(|text| place.words.filled(&text).unwrap_or(text));
                let what = match &arguments.free {
                    Some(_) if task.is_secret() => format!("{what}: {SENSITIVE}"),
                    Some(free) => format!("{what}: {free}"),
                    None => what.to_owned(),
                };
                let outcome = place.runs.said_with(module::outcome(module, &filled));
                for (key, line, _) in &arguments.named {
                    let what = format!("{module}: {key}");
                    self.report.add((&place.file, *line), what, outcome.clone());
                }
                self.report.add(here, what, outcome);
                Ok(())
            }
        }
    }

    /// What an include says besides what it includes.
    fn told_include(&mut self, arguments: &Arguments, module: &str, place: &Place) {
        for (key, line, _) in &arguments.named {
            let outcome = match key.as_str() {
                "file" | "name" | "tasks_from" => continue,
                "public" | "allow_duplicates" | "rolespec_validate" => {
                    Outcome::NotNeeded("no role is run".into())
                }
                _ => Outcome::NotSupported(
                    "it was not read: look whether what is included is still right without it"
                        .into(),
                ),
            };
            self.report.add((&place.file, *line), format!("{module}: {key}"), outcome);
        }
    }

    /// `copy` and `template`.
    fn put(&mut self, task: &Task<'_>, arguments: &Arguments, place: &Place, words: &Words) {
        let Task { module, what, line, .. } = *task;
        let filled = |key: &str| arguments.get(key).map(|text| words.filled(text));
        let source = filled("src");
        let shown = source.clone().flatten().unwrap_or_default();
        let is_template = module.ends_with("template");
        let Some(Some(dest)) = filled("dest") else {
            let outcome = match place.runs.always() {
                true => Outcome::NotSupported(
                    "where it goes is only known when it runs; write it out".into(),
                ),
                false => place.runs.not_taken(),
            };
            return self.report.add((&place.file, line), what, outcome);
        };
        if !role::is_nixos(&dest) || !place.runs.always() {
            let outcome = match role::is_nixos(&dest) {
                true => place.runs.not_taken(),
                false => place.runs.said_with(role::elsewhere(&dest, &shown, is_template)),
            };
            for (key, line, _) in &arguments.named {
                let what = format!("{module}: {key}");
                self.report.add((&place.file, *line), what, outcome.clone());
            }
            return self.report.add((&place.file, line), what, outcome);
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
        let is_on_host = matches!(arguments.get("remote_src"), Some("true" | "yes" | "True"));
        let Some(from) = from.filter(|_| !is_on_host) else {
            let named = arguments.get("src").unwrap_or_default();
            let outcome = Outcome::NotSupported(match is_on_host {
                true => format!("`{named}` is on the host already: floe copies nothing there"),
                false => format!("there is no `{named}` in the repository"),
            });
            return self.report.add((&place.file, line), what, outcome);
        };
        let is_template = is_template || matches!(from, From::Text(_));
        self.puts.push(Put { from, dest, is_template, file: place.file.clone(), line });
    }

    /// The words with each element of the task's loop; one entry where there is no loop,
    /// `None` where the loop is not known.
    pub(super) fn items(&self, task: &Node, place: &Place) -> Option<Vec<Words>> {
        let is_loop = |name: &str| name == "loop" || name.starts_with("with_");
        let Some((key, node)) = task.map().iter().find(|(key, _)| is_loop(&key.name)) else {
            return Some(vec![place.words.clone()]);
        };
        let elements: Vec<Value> = match key.name.as_str() {
            "loop" | "with_items" | "with_list" | "with_flattened" => match node.text() {
                Some(text) => place.words.elements(text)?,
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
        let with = |element| place.words.with_element(variable, element);
        Some(elements.into_iter().map(with).collect())
    }
}
