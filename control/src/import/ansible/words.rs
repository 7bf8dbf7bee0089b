//! The variables of a play whose values are written in it, and texts with them filled in.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use crate::import::yaml::{Data, Node};

/// Longer than any path or command.
const MOST_BYTES: usize = 64 << 10;

/// Before paths that begin at the repository, where Ansible has absolute ones.
pub(super) const ROOT: &str = "/\u{1}/";

/// What is known before Ansible runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(BTreeMap<String, Value>);

impl Words {
    pub(super) fn set(&mut self, name: &str, node: &Node) {
        self.0.insert(name.to_owned(), value(node));
    }

    pub(super) fn set_value(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), text.into());
    }

    /// Everything of a mapping.
    pub(super) fn extend(&mut self, node: &Node) {
        node.map().iter().for_each(|(key, node)| self.set(&key.name, node));
    }

    /// What `node`, the `defaults` or the `vars` of a role, says: defaults of names alone that
    /// nothing else says anything of.
    pub(super) fn extend_as(&mut self, part: &str, node: &Node) {
        for (key, node) in node.map() {
            if part != "defaults" || !self.0.contains_key(&key.name) {
                self.set(&key.name, node);
            }
        }
    }

    /// The value of `{{ name }}`, where `text` is that and nothing else.
    pub(super) fn node<'a>(&'a self, text: &str) -> Option<&'a Value> {
        let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
        self.0.get(inner)
    }

    /// `text` with everything filled in; `None` where something is not known, or where it is
    /// a program: what may loop is not run.
    pub(super) fn filled(&self, text: &str) -> Option<String> {
        if !text.contains("{{") && !text.contains("{%") {
            return Some(text.to_owned());
        }
        let is_plain = |text: &str| !text.contains("{%") && text.len() < MOST_BYTES;
        let mut text = text.to_owned();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Values may be templates themselves.
        for _ in 0..4 {
            if !is_plain(&text) {
                return None;
            }
            if !text.contains("{{") {
                return Some(text);
            }
            text = environment.render_str(&text, minijinja::value::Serde(&self.0)).ok()?;
        }
        None
    }
}

/// As Jinja sees it. Numbers stay the texts that they were written as.
pub(super) fn value(node: &Node) -> Value {
    match &node.data {
        Data::Scalar(text) => text.as_str().into(),
        Data::List(list) => list.iter().map(value).collect(),
        Data::Map(map) => {
            Value::Object(map.iter().map(|(key, node)| (key.name.clone(), value(node))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_in_or_not_known() {
        let mut words = Words::default();
        words.set_text("dir", "/etc/{{ name }}");
        words.set_text("name", "nixos");
        words.set_text("again", "{{ again }}");
        assert_eq!(words.filled("{{ dir }}/x.nix").as_deref(), Some("/etc/nixos/x.nix"));
        assert_eq!(words.filled("{{ unknown }}"), None);
        assert_eq!(words.filled("{{ again }}"), None);
        assert_eq!(words.filled("{% for x in range(9) %}{% endfor %}"), None);
        assert_eq!(words.filled("{{ broken"), None);
    }
}
