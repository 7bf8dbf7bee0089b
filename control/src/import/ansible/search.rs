//! Where Ansible looks for what a task names (its page "Search paths").

use super::walk::{Place, Walk};
use super::words::ROOT;
use crate::import::tree::{self, parent};

impl Walk<'_> {
    /// The file or directory that Ansible would find as `name`.
    pub(super) fn find(&self, module: &str, name: &str, place: &Place) -> Option<String> {
        let is_there = |name: &String| {
            !name.is_empty() && (self.tree.has(name) || self.tree.below(name).next().is_some())
        };
        if let Some(inside) = name.strip_prefix(ROOT) {
            return tree::join("", inside).filter(is_there);
        }
        let kind = if module.ends_with("template") { "templates" } else { "files" };
        let around = place.role.iter().cloned();
        let around =
            around.chain([parent(&place.file).to_owned(), self.playbook.clone(), String::new()]);
        let candidates = around.flat_map(|directory| {
            let below = tree::join(&directory, kind).unwrap_or_default();
            [tree::join(&below, name), tree::join(&directory, name)]
        });
        candidates.flatten().find(is_there)
    }

    /// A file of a part of an Ansible role: `main.yml`, unless another one is named.
    pub(super) fn main(&self, directory: &str, part: &str, name: &str) -> Option<String> {
        let names = ["", ".yml", ".yaml"].map(|end| format!("{directory}/{part}/{name}{end}"));
        names.into_iter().find(|name| self.tree.has(name))
    }

    /// The files that `glob` means; one `*` in its last part is enough for people.
    pub(super) fn glob(&self, glob: &str, place: &Place) -> Option<Vec<minijinja::Value>> {
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
