//! Variables as a template sees them: text that is itself a template is rendered when it
//! is looked at, as Ansible does, and not before.
//!
//! So a variable that nobody uses may name what is not there. Text that is one expression
//! (`"{{ ports }}"`) keeps the type of what it names.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::render::{body, ended, environment, is_template};
use super::salted::Marked;
use super::salts::SaltDesk;
use crate::vault::Tree;

/// Deeper than variables name each other.
const MAX_DEPTH: usize = 50;

/// What all values of one rendering have in common.
#[derive(Debug)]
pub(super) struct Shared {
    tree: Arc<Tree>,
    desk: SaltDesk,
    /// The paths of the variables that are being rendered.
    active: Mutex<Vec<String>>,
}

impl Shared {
    pub(super) fn new(tree: Tree, desk: SaltDesk) -> Self {
        Self { tree: Arc::new(tree), desk, active: Mutex::default() }
    }

    pub(super) fn desk(&self) -> &SaltDesk {
        &self.desk
    }

    /// All variables.
    pub(super) fn root(self: &Arc<Self>) -> Value {
        Value::from_object(Node {
            tree: self.tree.clone(),
            path: String::new(),
            shared: self.clone(),
        })
    }

    /// The value of `tree`, whose path is `path`.
    fn value(self: &Arc<Self>, tree: &Tree, path: String) -> Value {
        match tree {
            Tree::Text(text) if is_template(text) => {
                self.render(text, &path).unwrap_or_else(Value::from)
            }
            Tree::List(_) | Tree::Map(_) if holds_template(tree) => Value::from_object(Node {
                tree: Arc::new(tree.clone()),
                path,
                shared: self.clone(),
            }),
            Tree::Null
            | Tree::Bool(_)
            | Tree::Int(_)
            | Tree::Float(_)
            | Tree::Text(_)
            | Tree::Verbatim(_)
            | Tree::List(_)
            | Tree::Map(_) => plain_value(tree),
        }
    }

    /// Renders the text of the variable `path`.
    fn render(self: &Arc<Self>, text: &str, path: &str) -> Result<Value, Error> {
        {
            let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
            if active.iter().any(|other| other == path) || active.len() >= MAX_DEPTH {
                let circle = format!("the variable `{path}` is made of itself");
                return Err(Error::new(ErrorKind::InvalidOperation, circle));
            }
            active.push(path.to_owned());
        }
        let marked = Marked::of(text, Some(path));
        let environment = environment(self, &marked);
        let text = marked.text.as_str();
        let rendered = match expression(text).map(|one| environment.compile_expression(one)) {
            Some(Ok(expression)) => expression.eval(self.root()),
            // Two expressions that look like one, or none: text.
            Some(Err(_)) | None => environment
                .template_from_named_str(&format!("variable {path}"), body(text))
                .and_then(|template| template.render(self.root()))
                .map(|out| Value::from(ended(out, text))),
        };
        self.active.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match rendered {
            Ok(value) if value.is_undefined() => Err(Error::new(
                ErrorKind::UndefinedError,
                format!("the variable `{path}` names what is not there"),
            )),
            rendered => rendered,
        }
    }
}

/// A map or a list that holds a template somewhere.
#[derive(Debug)]
struct Node {
    tree: Arc<Tree>,
    path: String,
    shared: Arc<Shared>,
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match *self.tree {
            Tree::List(_) => ObjectRepr::Seq,
            Tree::Map(_)
            | Tree::Null
            | Tree::Bool(_)
            | Tree::Int(_)
            | Tree::Float(_)
            | Tree::Text(_)
            | Tree::Verbatim(_) => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &*self.tree {
            Tree::List(values) => {
                let at = key.as_usize()?;
                Some(self.shared.value(values.get(at)?, format!("{}[{at}]", self.path)))
            }
            Tree::Null
            | Tree::Bool(_)
            | Tree::Int(_)
            | Tree::Float(_)
            | Tree::Text(_)
            | Tree::Verbatim(_)
            | Tree::Map(_) => {
                let name = key.as_str()?;
                let dot = if self.path.is_empty() { "" } else { "." };
                Some(
                    self.shared.value(self.tree.member(name)?, format!("{}{dot}{name}", self.path)),
                )
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &*self.tree {
            Tree::List(values) => Enumerator::Seq(values.len()),
            Tree::Map(members) => {
                let names: Vec<_> =
                    members.iter().map(|(name, _)| Value::from(name.as_str())).collect();
                Enumerator::Values(names)
            }
            Tree::Null
            | Tree::Bool(_)
            | Tree::Int(_)
            | Tree::Float(_)
            | Tree::Text(_)
            | Tree::Verbatim(_) => Enumerator::Empty,
        }
    }
}

/// What stands between the braces of text that is one expression.
fn expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then_some(inner.trim_matches('-').trim())
}

fn holds_template(tree: &Tree) -> bool {
    match tree {
        Tree::Text(text) => is_template(text),
        Tree::List(values) => values.iter().any(holds_template),
        Tree::Map(members) => members.iter().any(|(_, value)| holds_template(value)),
        Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::Verbatim(_) => false,
    }
}

/// A value in which nothing is rendered.
pub(super) fn plain_value(tree: &Tree) -> Value {
    match tree {
        Tree::Null => Value::from(()),
        Tree::Bool(yes) => Value::from(*yes),
        Tree::Int(number) => Value::from(*number),
        Tree::Float(number) => Value::from(*number),
        Tree::Text(text) | Tree::Verbatim(text) => Value::from(text.as_str()),
        Tree::List(values) => values.iter().map(plain_value).collect(),
        Tree::Map(members) => {
            let pairs = members.iter().map(|(name, value)| (name.as_str(), plain_value(value)));
            Value::from_pairs(pairs)
        }
    }
}
