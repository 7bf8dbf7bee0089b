//! Why a template could not be rendered: where, what, and what was probably meant.

use std::error::Error as _;
use std::io;

use crate::vault::Tree;

/// Why a template could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It names a variable that is not there.
    #[error("`{name}` line {line}: `{variable}` is not defined")]
    Undefined {
        /// The file, secret or variable.
        name: String,
        /// The line in it.
        line: usize,
        /// The path that leads nowhere.
        variable: String,
        /// The nearest path that leads somewhere.
        nearest: Option<String>,
    },
    /// Anything else.
    #[error("`{name}` line {line}: {why}")]
    Wrong {
        /// The file, secret or variable.
        name: String,
        /// The line in it.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// No thread to render on.
    #[error("could not begin to render `{name}`")]
    Thread {
        /// The file or secret.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Of what minijinja said of the template `name`; `variables` are all there are.
    pub(super) fn new(name: &str, error: &minijinja::Error, variables: &Tree) -> Self {
        let error = innermost(error);
        let place = error.name().filter(|place| *place != EXPRESSION).unwrap_or(name).to_owned();
        let line = error.line().unwrap_or(1);
        let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        if let Some(variable) = undefined(error) {
            let nearest = nearest(&variable, variables);
            return Self::Undefined { name: place, line, variable, nearest };
        }
        Self::Wrong { name: place, line, why }
    }

    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Undefined { nearest: Some(nearest), .. } => {
                format!("was `{nearest}` meant? {DEFINE}")
            }
            Self::Undefined { nearest: None, .. } => DEFINE.into(),
            Self::Wrong { name, .. } => format!("correct `{name}`"),
            Self::Thread { .. } => "try again".into(),
        }
    }
}

const DEFINE: &str = "variables are defined in group_vars/all and host_vars/<role>; \
                      `| default(…)` says what to take where one may be missing";

/// What minijinja calls an expression that is in no file.
const EXPRESSION: &str = "<expression>";

fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let mut found = error;
    while let Some(inner) = found.source().and_then(|e| e.downcast_ref::<minijinja::Error>()) {
        found = inner;
    }
    found
}

/// The path that leads nowhere, which minijinja tells in its detail, whatever failed by it:
/// "`a.b` is undefined".
fn undefined(error: &minijinja::Error) -> Option<String> {
    let (before, _) = error.detail()?.split_once("` is undefined")?;
    Some(before.rsplit_once('`')?.1.to_owned())
}

/// The path that differs least, if it is near: the first name that leads nowhere is
/// replaced by the most similar one beside it.
fn nearest(path: &str, variables: &Tree) -> Option<String> {
    let mut tree = variables;
    let mut known = Vec::new();
    for name in path.split('.') {
        if let Some(member) = tree.member(name) {
            known.push(name);
            tree = member;
            continue;
        }
        let Tree::Map(members) = tree else { return None };
        let (distance, best) = members
            .iter()
            .map(|(other, _)| (distance(name, other), other))
            .min_by_key(|(distance, _)| *distance)?;
        known.push(best);
        return (distance <= name.chars().count().max(3) / 3 + 1).then(|| known.join("."));
    }
    None
}

/// How many letters must be changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, same) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != *same);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        let pairs =
            [("", "", 0), ("a", "", 1), ("password", "pasword", 1), ("kitten", "sitting", 3)];
        for (one, other, count) in pairs {
            assert_eq!((distance(one, other), distance(other, one)), (count, count));
        }
    }
}
