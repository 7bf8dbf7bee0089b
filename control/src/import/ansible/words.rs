//! The variables of a play whose values are written in it, and texts with them filled in.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use minijinja::value::Object;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::import::yaml::{Data, Node};

/// Longer than any path or command.
const MOST_BYTES: usize = 64 << 10;

/// More operators than a path has: each may make a copy of what was put together before.
const MOST_OPERATORS: usize = 50;

/// More variables than plays have; what is not held is not known, and said to be so.
const MOST_WORDS: usize = 2_000;

/// Before paths that begin at the repository, where Ansible has absolute ones.
pub(super) const ROOT: &str = "/\u{1}/";

/// What is known before Ansible runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Shared with every task that sees the same.
    known: Arc<BTreeMap<String, Value>>,
    /// The element of a loop, by its name.
    element: Option<(String, Value)>,
}

impl Words {
    pub(super) fn set(&mut self, name: &str, node: &Node) {
        self.set_value(name, value(node));
    }

    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        self.set_value(name, text.into());
    }

    fn set_value(&mut self, name: &str, value: Value) {
        if self.known.len() < MOST_WORDS || self.known.contains_key(name) {
            Arc::make_mut(&mut self.known).insert(name.to_owned(), value);
        }
    }

    /// With an element of a loop.
    pub(super) fn with_element(&self, name: &str, element: Value) -> Self {
        Self { known: Arc::clone(&self.known), element: Some((name.to_owned(), element)) }
    }

    /// Everything of a mapping.
    pub(super) fn extend(&mut self, node: &Node) {
        node.map().iter().for_each(|(key, node)| self.set(&key.name, node));
    }

    /// What `node`, the `defaults` or the `vars` of a role, says: defaults of names alone that
    /// nothing else says anything of.
    pub(super) fn extend_as(&mut self, part: &str, node: &Node) {
        for (key, node) in node.map() {
            if part != "defaults" || !self.known.contains_key(&key.name) {
                self.set(&key.name, node);
            }
        }
    }

    /// The elements of `{{ name }}`, where `text` is that and nothing else.
    pub(super) fn elements(&self, text: &str) -> Option<Vec<Value>> {
        let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
        let value = self.get(inner)?;
        if value.as_str().is_some() {
            return None; // a text has no elements, but minijinja would go through its letters
        }
        value.try_iter().ok().map(Iterator::collect)
    }

    fn get(&self, name: &str) -> Option<Value> {
        match &self.element {
            Some((known, value)) if known == name => Some(value.clone()),
            Some(_) | None => self.known.get(name).cloned(),
        }
    }

    /// `text` with everything filled in; `None` where something is not known, where it is
    /// a program, since what may loop is not run, or where too much would come of it.
    pub(super) fn filled(&self, text: &str) -> Option<String> {
        if !text.contains("{{") && !text.contains("{%") {
            return Some(text.to_owned());
        }
        let mut text = text.to_owned();
        let environment = environment();
        // Values may be templates themselves.
        for _ in 0..4 {
            if !is_plain(&text) {
                return None;
            }
            if !text.contains("{{") {
                return Some(text);
            }
            let template = environment.template_from_str(&text).ok()?;
            let mut out = Bounded(Vec::new());
            template.render_captured_to(Value::from_object(self.clone()), &mut out).ok()?;
            text = String::from_utf8(out.0).ok()?;
        }
        None
    }
}

impl Object for Words {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }
}

/// Whether nothing in `text` can grow beyond all bounds: `"a" * 99999999` is one operator, and
/// a lot of text.
fn is_plain(text: &str) -> bool {
    let is_short = text.len() <= MOST_BYTES && text.matches(['~', '+']).count() <= MOST_OPERATORS;
    is_short && !text.contains("{%") && !text.contains('*')
}

/// Few filters, none of which makes more of a text than was there.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("lower", |text: String| text.to_lowercase());
    environment.add_filter("upper", |text: String| text.to_uppercase());
    environment.add_filter("trim", |text: String| text.trim().to_owned());
    environment.add_filter("string", |text: String| text);
    environment.add_filter("basename", |text: String| {
        text.rsplit('/').next().unwrap_or_default().to_owned()
    });
    environment.add_filter("dirname", |text: String| {
        text.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned()
    });
    environment
}

/// Stops what is written where it gets too long.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As Jinja sees it. Numbers stay the texts that they were written as; what is longer than any
/// path is no value that is filled in.
pub(super) fn value(node: &Node) -> Value {
    match &node.data {
        Data::Scalar(text) if text.len() > MOST_BYTES => Value::UNDEFINED,
        Data::Scalar(text) => text.as_str().into(),
        Data::List(list) => list.iter().map(value).collect(),
        Data::Map(map) => {
            let pairs = map.iter().map(|(key, node)| (key.name.clone(), value(node)));
            Value::from(pairs.collect::<BTreeMap<String, Value>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;

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
        words.extend(&yaml::document("x", "a: {b: c}\nd: [e]\n").unwrap());
        assert_eq!(words.filled("{{ a.b }}/{{ d[0] }}").as_deref(), Some("c/e"));
        let element = words.with_element("item", "a/b.nix".into());
        assert_eq!(
            element.filled("{{ name }}/{{ item | basename }}").as_deref(),
            Some("nixos/b.nix")
        );
    }

    #[test]
    fn what_would_grow_is_not_known() {
        let mut words = Words::default();
        words.set_text("long", &"x".repeat(1000));
        let many = "{{ long }}".repeat(1000);
        assert_eq!(words.filled(&many), None);
        words.set_text("twice", &"{{ long }}".repeat(60));
        assert_eq!(words.filled(&"{{ twice }}".repeat(60)), None);
        assert_eq!(words.filled("{{ 'x' * 90000000 }}"), None);
        assert_eq!(words.filled(&format!("{{{{ long{} }}}}", " ~ long".repeat(60))), None);
    }
}
