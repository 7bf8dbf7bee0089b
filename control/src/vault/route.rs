//! The way to a value: `hosts.www.users[0].password`.

use std::fmt;

use super::tree::{Step, Tree};

/// The way from all variables to one value; never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    first: String,
    rest: Vec<Step>,
}

impl Route {
    /// From the variable `first` on.
    pub fn new(first: impl Into<String>, rest: Vec<Step>) -> Self {
        Self { first: first.into(), rest }
    }

    /// The variable that it begins with.
    pub fn variable(&self) -> &str {
        &self.first
    }

    /// Every step, the first one too.
    pub(super) fn steps(&self) -> Vec<Step> {
        let first = Step::Name(self.first.clone());
        std::iter::once(first).chain(self.rest.iter().cloned()).collect()
    }

    /// What it leads to in `tree`.
    pub fn value<'a>(&self, tree: &'a Tree) -> Option<&'a Tree> {
        self.rest.iter().try_fold(tree.member(&self.first)?, |tree, step| tree.step(step))
    }

    /// Whether it leads to what `other` leads to, or to something around or inside of that.
    pub fn meets(&self, other: &Self) -> bool {
        self.first == other.first && self.rest.iter().zip(&other.rest).all(|(one, two)| one == two)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        self.rest.iter().try_for_each(|step| match step {
            Step::Name(name) => write!(f, ".{name}"),
            Step::At(at) => write!(f, "[{at}]"),
        })
    }
}
