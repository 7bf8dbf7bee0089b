//! Which variables there are, by their names alone: values of the vault are looked at and
//! forgotten.

use std::collections::BTreeSet;

use zeroize::{Zeroize as _, Zeroizing};

use super::error::Error;
use super::report::{Outcome, Report};
use super::tree::Tree;
use super::yaml::{self, Data, Node};

/// The names of variables, with dots between their parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    plain: BTreeSet<String>,
    secret: BTreeSet<String>,
    /// Files that are sealed and were not opened.
    unopened: usize,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It stands in the clear.
    Plain,
    /// It is in a sealed file, or sealed itself.
    Secret,
    /// It may be in a file that was not opened.
    Perhaps,
    /// It is nowhere.
    Nowhere,
}

impl Variables {
    /// Files with variables that `ansible-vault` sealed as a whole.
    pub fn sealed_files(tree: &Tree) -> Vec<&str> {
        let is_sealed = |name: &&str| tree.bytes(name).is_some_and(crate::vault::is_sealed);
        files(tree).filter(is_sealed).collect()
    }

    /// Reads the names; `open` may open what is sealed.
    ///
    /// # Errors
    ///
    /// [`Error::Yaml`] and [`Error::NotText`].
    pub fn read(
        tree: &Tree,
        mut open: impl FnMut(&str, &[u8]) -> Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Self, Error> {
        let mut variables = Self::default();
        for name in files(tree) {
            let bytes = tree.bytes(name).unwrap_or_default();
            if !crate::vault::is_sealed(bytes) {
                let node = yaml::document(name, &tree.text(name)?)?;
                variables.add(&node, "", false);
                continue;
            }
            match open(name, bytes) {
                Some(opened) => {
                    let text = str::from_utf8(&opened);
                    let text = text.map_err(|_| Error::NotText { file: name.to_owned() })?;
                    let node = yaml::document(name, text);
                    let mut node = node.map_err(|error| without_text(error, name))?;
                    variables.add(&node, "", true);
                    wipe(&mut node);
                }
                None => variables.unopened += 1,
            }
        }
        Ok(variables)
    }

    fn add(&mut self, node: &Node, prefix: &str, is_sealed: bool) {
        for (key, node) in node.map() {
            let name = match prefix {
                "" => key.name.clone(),
                prefix => format!("{prefix}.{}", key.name),
            };
            let is_sealed = is_sealed || node.tag.as_deref() == Some("!vault");
            if matches!(node.data, Data::Map(_)) {
                self.add(node, &name, is_sealed);
            }
            let names = if is_sealed { &mut self.secret } else { &mut self.plain };
            names.insert(name);
        }
    }

    /// What is known of `name`.
    pub(super) fn known(&self, name: &str) -> Known {
        if self.secret.contains(name) {
            Known::Secret
        } else if self.plain.contains(name) {
            Known::Plain
        } else if self.unopened > 0 {
            Known::Perhaps
        } else {
            Known::Nowhere
        }
    }
}

/// Values of the vault do not stay in memory.
fn wipe(node: &mut Node) {
    match &mut node.data {
        Data::Scalar(text) => text.zeroize(),
        Data::List(list) => list.iter_mut().for_each(wipe),
        Data::Map(map) => map.iter_mut().for_each(|(_, node)| wipe(node)),
    }
}

/// A parser's words may repeat what is sealed.
fn without_text(error: Error, name: &str) -> Error {
    match error {
        Error::Yaml { line, .. } => Error::Yaml {
            file: name.to_owned(),
            line,
            said: "what is sealed in it cannot be read".into(),
        },
        error @ (Error::Read { .. }
        | Error::TooMuch { .. }
        | Error::Hcl { .. }
        | Error::NotText { .. }
        | Error::NoRole { .. }
        | Error::NoFleet { .. }) => error,
    }
}

/// Files of group_vars and host_vars, in order.
pub(super) fn files(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.names().filter(|name| {
        let mut parts = name.split('/');
        let is_vars = parts.any(|part| part == "group_vars" || part == "host_vars");
        is_vars && !name.ends_with(".md") && !name.ends_with(".gitkeep")
    })
}

/// Whether floe looks there: for everybody, or for one role.
fn is_found(name: &str) -> bool {
    let mut parts = name.split('/');
    match (parts.next(), parts.next()) {
        (Some("group_vars"), Some(group)) => group.split('.').next() == Some("all"),
        (Some("host_vars"), Some(_)) => true,
        (_, _) => false,
    }
}

/// The files with variables go on as they are: what is sealed stays sealed.
pub(super) fn take(tree: &Tree, report: &mut Report) -> Vec<(String, Vec<u8>)> {
    let mut taken = Vec::new();
    for name in files(tree) {
        let bytes = tree.bytes(name).unwrap_or_default();
        let outcome = match (is_found(name), crate::vault::is_sealed(bytes)) {
            (true, true) => Outcome::into_file(name, format!("{name}, as it is: it stays sealed")),
            (true, false) => Outcome::into_file(name, name.to_owned()),
            (false, _) => Outcome::Look(format!(
                "copied to {name}; templates and [secrets] see group_vars/all and \
                 host_vars/<role>: move what they need there"
            )),
        };
        report.add((name, None), "variables", outcome);
        taken.push((name.to_owned(), bytes.to_vec()));
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_secret_or_nowhere() {
        let plain = "app: {port: 80}\ntoken: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n";
        let sealed = "$ANSIBLE_VAULT;1.1;AES256\n6162\n";
        let tree =
            Tree::of("x", &[("group_vars/all/vars.yml", plain), ("group_vars/all/vault", sealed)]);
        assert_eq!(Variables::sealed_files(&tree), ["group_vars/all/vault"]);
        let closed = Variables::read(&tree, |_, _| None).unwrap();
        assert_eq!(closed.known("app.port"), Known::Plain);
        assert_eq!(closed.known("token"), Known::Secret);
        assert_eq!(closed.known("hosts.www"), Known::Perhaps);
        let opened =
            Variables::read(&tree, |_, _| Some(Zeroizing::new(b"hosts: {www: x}".to_vec())));
        let opened = opened.unwrap();
        assert_eq!(opened.known("hosts.www"), Known::Secret);
        assert_eq!(opened.known("hosts.db"), Known::Nowhere);
    }

    #[test]
    fn an_error_of_what_is_sealed_does_not_repeat_it() {
        let tree = Tree::of("x", &[("group_vars/all", "$ANSIBLE_VAULT;1.1;AES256\n6162\n")]);
        let broken = Zeroizing::new(b"a: b\n hunter2: [\n".to_vec());
        let error = Variables::read(&tree, |_, _| Some(broken.clone())).unwrap_err().to_string();
        assert!(error.contains("`group_vars/all`") && !error.contains("hunter2"), "{error}");
    }
}
