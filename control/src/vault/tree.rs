//! Variables as they were read: a tree that does not print, and whose text is wiped when
//! it is dropped. Numbers and names are not.

use std::fmt;

use zeroize::Zeroizing;

/// A value, as YAML knows them.
#[derive(Clone, PartialEq)]
pub enum Tree {
    /// Nothing.
    Null,
    /// `true`, `yes`, `on`, …
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text; templates in it are rendered where it is used.
    Text(Zeroizing<String>),
    /// Text that its writer marked `!unsafe`: never a template.
    Verbatim(Zeroizing<String>),
    /// Values in their order.
    List(Vec<Self>),
    /// Values by their names, in the order of the file.
    Map(Vec<(String, Self)>),
}

/// One step further into a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// To the member of this name.
    Name(String),
    /// To the value at this place of a list.
    At(usize),
}

impl Tree {
    /// Text, which is moved and not copied.
    pub fn text(text: String) -> Self {
        Self::Text(Zeroizing::new(text))
    }

    /// The value of this name, in a map.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.iter().find(|(known, _)| known == name).map(|(_, v)| v),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Verbatim(_)
            | Self::List(_) => None,
        }
    }

    /// What lies one step further.
    pub(super) fn step(&self, step: &Step) -> Option<&Self> {
        match (self, step) {
            (Self::List(values), Step::At(at)) => values.get(*at),
            (Self::Map(_), Step::Name(name)) => self.member(name),
            (
                Self::Null
                | Self::Bool(_)
                | Self::Int(_)
                | Self::Float(_)
                | Self::Text(_)
                | Self::Verbatim(_)
                | Self::List(_)
                | Self::Map(_),
                Step::At(_) | Step::Name(_),
            ) => None,
        }
    }

    /// The same, but for the value that `steps` lead to, which is the text `new`; `None` where
    /// they lead to no single value.
    pub(super) fn with(&self, steps: &[Step], new: &str) -> Option<Self> {
        let Some((step, rest)) = steps.split_first() else {
            return match self {
                Self::List(_) | Self::Map(_) => None,
                Self::Verbatim(_) => Some(Self::Verbatim(Zeroizing::new(new.to_owned()))),
                Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) => {
                    Some(Self::text(new.to_owned()))
                }
            };
        };
        let changed = self.step(step)?.with(rest, new)?;
        match (self, step) {
            (Self::List(values), Step::At(at)) => {
                let mut values = values.clone();
                *values.get_mut(*at)? = changed;
                Some(Self::List(values))
            }
            (Self::Map(members), Step::Name(name)) => {
                let mut members = members.clone();
                members.iter_mut().find(|(known, _)| known == name)?.1 = changed;
                Some(Self::Map(members))
            }
            (
                Self::Null
                | Self::Bool(_)
                | Self::Int(_)
                | Self::Float(_)
                | Self::Text(_)
                | Self::Verbatim(_)
                | Self::List(_)
                | Self::Map(_),
                Step::At(_) | Step::Name(_),
            ) => None,
        }
    }

    /// Calls `found` with the path and the text of every leaf that could be a secret:
    /// text and numbers. Whether something is true is no secret that could be looked for.
    pub(super) fn leaves(&self, path: &str, found: &mut impl FnMut(&str, Zeroizing<String>)) {
        match self {
            Self::Null | Self::Bool(_) => {}
            Self::Int(number) => found(path, Zeroizing::new(number.to_string())),
            Self::Float(number) => found(path, Zeroizing::new(number.to_string())),
            Self::Text(text) | Self::Verbatim(text) => found(path, text.clone()),
            Self::List(values) => {
                for (at, value) in values.iter().enumerate() {
                    value.leaves(&format!("{path}[{at}]"), found);
                }
            }
            Self::Map(members) => {
                for (name, value) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    value.leaves(&format!("{path}{dot}{name}"), found);
                }
            }
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree(…)")
    }
}
