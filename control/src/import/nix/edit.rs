//! Changes a Nix file in exact places: options that hold a secret are told a file instead,
//! and the agent's module is imported.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::Environment;

use super::lex::{Reading, Tokens};
use super::module::{self, Import};
use super::option;
use super::places::{Assigned, Jinja, Kind};
use super::scan::scan;

/// A file after it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Edited {
    pub(in crate::import) text: String,
    /// Options that are told a file now.
    pub(in crate::import) secrets: Vec<SecretOf>,
    /// Jinja that is left, with its line.
    pub(in crate::import) templates: Vec<TemplateOf>,
    /// What looks like Jinja in a file that nothing renders, with its line.
    pub(in crate::import) literal: Vec<TemplateOf>,
    /// Whether the agent's file is imported, where that was asked for; else where `imports`
    /// stands, if it does.
    pub(in crate::import) is_imported: Result<(), Option<usize>>,
}

/// What an option held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct SecretOf {
    pub(in crate::import) line: usize,
    /// The option that held it, and the one that is told the file.
    pub(in crate::import) option: String,
    pub(in crate::import) file_option: String,
    /// Below `/run/floe/secrets`.
    pub(in crate::import) name: String,
    /// Who reads the file.
    pub(in crate::import) owner: String,
    /// `{{ … }}`, as it stood.
    pub(in crate::import) value: String,
    /// The variables in it.
    pub(in crate::import) variables: Vec<String>,
}

/// Jinja that is rendered when the bundle is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct TemplateOf {
    pub(in crate::import) line: usize,
    pub(in crate::import) text: String,
    /// The variables in it; `None` where it cannot be read.
    pub(in crate::import) variables: Option<Vec<String>>,
}

/// More Jinja than people write into one file.
const MOST_JINJA: usize = 2_000;

/// More secrets than a role has; what is left stays a template, and is told of.
const MOST_SECRETS: usize = 1_000;

/// Changes `text`. `named` are the secrets that the role has already: the same value keeps
/// its name, another gets another. `agent` is what an entry is to import, such as `./floe.nix`.
/// `None` where it is longer, or has more Jinja, than anybody can look at.
pub(in crate::import) fn edited(
    text: &str,
    is_template: bool,
    agent: Option<&str>,
    named: &mut Vec<(String, String)>,
) -> Option<Edited> {
    let tokens = Tokens::of(text, if is_template { Reading::Template } else { Reading::Nix });
    if Tokens::is_too_long(text) {
        return None;
    }
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut edited = Edited {
        text: String::new(),
        secrets: Vec::new(),
        templates: Vec::new(),
        literal: Vec::new(),
        is_imported: Ok(()),
    };
    if is_template {
        let places = scan(text, &tokens);
        if places.jinja.len() > MOST_JINJA {
            return None;
        }
        // What a loop goes through is no variable, and means nothing outside of it.
        let bound = bound(text, &places.jinja);
        let is_known = |names: &Vec<String>| {
            let root = |name: &String| bound.contains(name.split('.').next().unwrap_or_default());
            !names.iter().any(root)
        };
        for option in &places.options {
            let secret = secret(text, option, &places.jinja, is_known, named);
            let Some(secret) = secret else { continue };
            let path = format!("\"/run/floe/secrets/{}\"", secret.name);
            edits.push((option.name.clone(), secret.file_option.clone()));
            edits.push((option.value.clone(), path));
            edited.secrets.push(secret);
        }
        for jinja in &places.jinja {
            let is_gone = edits.iter().any(|(range, _)| range.contains(&jinja.range.start));
            if !is_gone && jinja.kind != Kind::Comment && !is_end(text, jinja) {
                let mut left = left(text, jinja);
                left.variables = left.variables.filter(is_known);
                edited.templates.push(left);
            }
        }
        // A comment of Jinja must be taken away by somebody.
        if edited.templates.is_empty() {
            let comments = places.jinja.iter().filter(|jinja| jinja.kind == Kind::Comment);
            edits.extend(comments.map(|jinja| (jinja.range.clone(), String::new())));
        }
    } else {
        let as_template = scan(text, &Tokens::of(text, Reading::Template));
        let jinja = as_template.jinja.iter().filter(|jinja| jinja.kind == Kind::Expression);
        let readable = jinja.take(MOST_JINJA).map(|jinja| left(text, jinja));
        // What other programs fill in, such as `{{ $labels.instance }}`, is no Jinja of Ansible's.
        edited.literal.extend(readable.filter(|it| it.variables.is_some()));
    }
    if let Some(agent) = agent {
        match module::import(text, &tokens, agent) {
            Import::There => {}
            Import::Insert(inserts) => {
                edits.extend(inserts.into_iter().map(|(at, what)| (at..at, what)));
            }
            Import::Unsure(at) => edited.is_imported = Err(at.map(|at| line(text, at))),
        }
    }
    edited.text = apply(text, edits);
    Some(edited)
}

/// Whether `text` can be read as Nix only once Jinja has rendered it.
pub(in crate::import) fn is_template(text: &str) -> bool {
    Tokens::is_template(text)
}

/// What `option` holds, where it is a secret and there is an option that takes a file with it.
fn secret(
    text: &str,
    option: &Assigned,
    jinja: &[Jinja],
    is_known: impl Fn(&Vec<String>) -> bool,
    named: &mut Vec<(String, String)>,
) -> Option<SecretOf> {
    let (file_option, owner) = option::with_file(&option.path)?;
    let is_inside = |jinja: &&Jinja| {
        option.value.contains(&jinja.range.start) && jinja.kind == Kind::Expression
    };
    let jinja = jinja.iter().find(is_inside)?;
    let value = format!("{{{{ {} }}}}", jinja.inner(text));
    let variables = variables(&value).filter(is_known)?;
    if named.len() >= MOST_SECRETS {
        return None;
    }
    Some(SecretOf {
        line: line(text, option.name.start),
        option: option.path.join("."),
        file_option: file_option.to_owned(),
        name: chosen(&option.path, &value, named),
        owner: owner.to_owned(),
        value,
        variables,
    })
}

/// The names that statements of Jinja declare: `{% for a, b in c %}`, `{% set d = e %}`.
fn bound(text: &str, jinja: &[Jinja]) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["loop".to_owned()]);
    for jinja in jinja.iter().filter(|jinja| jinja.kind == Kind::Statement) {
        let inner = jinja.inner(text);
        let (word, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let declared = match word {
            "for" => rest.split(" in ").next().unwrap_or_default(),
            "set" => rest.split('=').next().unwrap_or_default(),
            "macro" => rest,
            _ => continue,
        };
        let parts = declared.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        names.extend(parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned));
    }
    names
}

/// Jinja as it is told of.
fn left(text: &str, jinja: &Jinja) -> TemplateOf {
    let shown = text.get(jinja.range.clone()).unwrap_or_default();
    TemplateOf {
        line: line(text, jinja.range.start),
        text: shown.to_owned(),
        variables: match jinja.kind {
            Kind::Expression => variables(shown),
            Kind::Statement => of_statement(jinja.inner(text)),
            Kind::Comment => None,
        },
    }
}

/// Whether it is a statement that belongs to one before it, which is told of.
fn is_end(text: &str, jinja: &Jinja) -> bool {
    let word = jinja.inner(text).split_whitespace().next().unwrap_or_default();
    jinja.kind == Kind::Statement && (word.starts_with("end") || word == "else")
}

/// The variables that a statement looks at; `None` where it is none of those that people use.
fn of_statement(statement: &str) -> Option<Vec<String>> {
    let (word, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
    let expression = match word {
        "if" | "elif" => rest,
        "for" => rest.split_once(" in ")?.1,
        "set" => rest.split_once('=')?.1,
        "raw" => return Some(Vec::new()),
        _ => return None,
    };
    variables(&format!("{{{{ {expression} }}}}"))
}

/// The name of the secret, which no other value of the role has.
fn chosen(path: &[String], value: &str, named: &mut Vec<(String, String)>) -> String {
    if let Some((name, _)) = named.iter().find(|(_, known)| known == value) {
        return name.clone();
    }
    let name = option::name(path);
    let numbers = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbers);
    let is_free = |candidate: &String| named.iter().all(|(known, _)| known != candidate);
    let name = candidates.find(is_free).unwrap_or(name);
    named.push((name.clone(), value.to_owned()));
    name
}

/// The variables of a template, with dots; `None` where it cannot be read.
fn variables(template: &str) -> Option<Vec<String>> {
    let environment = Environment::new();
    let template = environment.template_from_str(template).ok()?;
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    Some(names)
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// `text` with each range replaced; none overlaps another.
pub(in crate::import) fn apply(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let (mut out, mut at) = (String::new(), 0);
    for (range, new) in edits {
        out += text.get(at..range.start).unwrap_or_default();
        out += &new;
        at = range.end;
    }
    out + text.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(text: &str) -> Edited {
        edited(text, true, Some("./floe.nix"), &mut Vec::new()).unwrap()
    }

    #[test]
    fn a_password_becomes_the_path_of_a_file_and_nothing_else_changes() {
        let text = "{ ... }:\n{\n  imports = [ <x> ];\n  users.users.root.hashedPassword =  \
                    \"{{ a.b | password_hash }}\"; # why\n}\n";
        let edited = edit(text);
        assert_eq!(
            edited.text,
            "{ ... }:\n{\n  imports = [ <x> ./floe.nix ];\n  users.users.root.hashedPasswordFile =  \
             \"/run/floe/secrets/root-password\"; # why\n}\n"
        );
        assert_eq!(edited.secrets[0].value, "{{ a.b | password_hash }}");
        assert_eq!(
            (edited.secrets[0].line, edited.secrets[0].variables.as_slice()),
            (4, &["a.b".to_owned()][..])
        );
        assert!(edited.templates.is_empty() && edited.is_imported.is_ok());
    }

    #[test]
    fn two_values_have_two_names_and_one_value_has_one() {
        let mut named = Vec::new();
        let text = "{ users.users.a.hashedPassword = \"{{ x }}\"; \
                      users.extraUsers.a.hashedPassword = \"{{ y }}\"; \
                      users.users.b.hashedPassword = \"{{ x }}\"; }";
        let edited = edited(text, true, None, &mut named).unwrap();
        let names: Vec<String> = edited.secrets.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["a-password", "a-password-2", "a-password"]);
    }

    #[test]
    fn what_only_a_loop_knows_is_no_secret_of_its_own() {
        let text = "{ {% for u in users %} users.users.\"{{ u.name }}\".hashedPassword = \
                    \"{{ u.hash }}\"; {% endfor %} }";
        let edited = edit(text);
        assert!(edited.secrets.is_empty());
        assert_eq!(edited.templates.len(), 3);
    }

    #[test]
    fn what_is_no_such_option_stays_a_template() {
        let edited = edit("{ a = \"{{ end }}\"; {% if y %} b = 1; {% else %} {% endif %} }");
        let lines: Vec<&str> = edited.templates.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(lines, ["{{ end }}", "{% if y %}"]);
        assert_eq!(edited.templates[0].variables.as_deref(), Some(&["end".to_owned()][..]));
    }

    #[test]
    fn jinja_in_comments_is_rendered_too_and_is_told_of() {
        let edited = edit("{\n  # {% for u in users %}\n  a.{{ u }} = 1;\n  # {% endfor %}\n}\n");
        let lines: Vec<usize> = edited.templates.iter().map(|it| it.line).collect();
        assert_eq!(lines, [2, 3]);
        // `u` is no variable of anybody's.
        let variables: Vec<_> = edited.templates.into_iter().map(|it| it.variables).collect();
        assert_eq!(variables, [Some(vec!["users".to_owned()]), None]);
    }

    #[test]
    fn where_the_agent_cannot_be_imported_is_said() {
        for (odd, at) in [("import ./x.nix", None), ("{\n  inherit imports;\n}", Some(2))] {
            assert_eq!(edit(odd).is_imported, Err(at), "{odd}");
            assert_eq!(edit(odd).text, odd);
        }
    }

    #[test]
    fn a_file_that_is_no_template_keeps_its_braces() {
        let text = "{ a = \"{{ x }}\"; users.users.a.hashedPassword = \"{{ x }}\"; }";
        let edited = edited(text, false, None, &mut Vec::new()).unwrap();
        assert_eq!(edited.text, text);
        assert_eq!(edited.literal.len(), 2);
        let alert = "{ a = \"{{ $labels.instance }}\"; }";
        assert!(super::edited(alert, false, None, &mut Vec::new()).unwrap().literal.is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c{}\\[\\]\"'$#%=.; \n]{0,80}|\\PC{0,80}") {
            edited(&text, true, Some("./floe.nix"), &mut Vec::new());
            edited(&text, false, Some("./floe.nix"), &mut Vec::new());
        }
    }
}
