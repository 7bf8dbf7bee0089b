//! Changes a Nix file in exact places: options that hold a secret are told a file instead,
//! and the agent's module is imported.

use minijinja::Environment;

use super::option;
use super::places::{Kind, Places};
use super::scan::scan;

/// A file after it was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Edited {
    pub(in crate::import) text: String,
    /// Options that are told a file now.
    pub(in crate::import) secrets: Vec<SecretOf>,
    /// Jinja that is left, with its line.
    pub(in crate::import) templates: Vec<TemplateOf>,
    /// Whether `./floe.nix` is imported, where that was asked for.
    pub(in crate::import) is_imported: bool,
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

/// Changes `text`. `named` are the secrets that the role has already: the same value keeps
/// its name, another gets another.
pub(in crate::import) fn edited(
    text: &str,
    is_template: bool,
    is_entry: bool,
    named: &mut Vec<(String, String)>,
) -> Edited {
    let places = scan(text);
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let mut edited = Edited::default();
    if is_template {
        for option in &places.options {
            let Some((file_option, owner)) = option::with_file(&option.path) else { continue };
            let jinja = places.jinja.iter().find(|jinja| {
                option.value.contains(&jinja.range.start) && jinja.kind == Kind::Expression
            });
            let Some(jinja) = jinja else { continue };
            let value = format!("{{{{ {} }}}}", jinja.inner(text));
            let Some(variables) = variables(&value) else { continue };
            let name = chosen(&option.path, &value, named);
            edits.push((option.name.clone(), file_option.to_owned()));
            edits.push((option.value.clone(), format!("\"/run/floe/secrets/{name}\"")));
            edited.secrets.push(SecretOf {
                line: line(text, option.name.start),
                option: option.path.join("."),
                file_option: file_option.to_owned(),
                name,
                owner: owner.to_owned(),
                value,
                variables,
            });
        }
        for jinja in &places.jinja {
            let is_gone = edits.iter().any(|(range, _)| range.contains(&jinja.range.start));
            if is_gone || jinja.kind == Kind::Comment {
                continue;
            }
            let shown = text.get(jinja.range.clone()).unwrap_or_default();
            edited.templates.push(TemplateOf {
                line: line(text, jinja.range.start),
                text: shown.to_owned(),
                variables: match jinja.kind {
                    Kind::Expression => variables(shown),
                    Kind::Statement | Kind::Comment => None,
                },
            });
        }
        // A comment of Jinja must be taken away by somebody.
        let is_left = !edited.templates.is_empty();
        let comments = places.jinja.iter().filter(|jinja| jinja.kind == Kind::Comment);
        if !is_left {
            edits.extend(comments.map(|jinja| (jinja.range.clone(), String::new())));
        }
    }
    if is_entry {
        match import(text, &places) {
            Import::There => edited.is_imported = true,
            Import::Insert(at, what) => {
                edits.push((at..at, what));
                edited.is_imported = true;
            }
            Import::Nowhere => {}
        }
    }
    edited.text = apply(text, edits);
    edited
}

enum Import {
    There,
    Insert(usize, String),
    Nowhere,
}

/// Where `./floe.nix` is to stand.
fn import(text: &str, places: &Places) -> Import {
    if text.contains("./floe.nix") {
        return Import::There;
    }
    if !places.is_whole {
        return Import::Nowhere;
    }
    if let Some(end) = places.imports {
        // A list with a line for each is continued that way.
        let before = text.get(..end).unwrap_or_default();
        let last = before.rsplit('\n').next().unwrap_or_default();
        let is_own_line = last.trim().is_empty() && before.contains('\n');
        let entry = if is_own_line {
            let content = before.trim_end();
            let line = content.rsplit('\n').next().unwrap_or_default();
            let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
            return Import::Insert(content.len(), format!("\n{indent}./floe.nix"));
        } else if before.ends_with(char::is_whitespace) {
            "./floe.nix "
        } else {
            " ./floe.nix"
        };
        return Import::Insert(end, entry.to_owned());
    }
    // `imports` in a shape that is not understood must not be said twice.
    let says_imports = text.lines().any(|line| line.trim_start().starts_with("imports"));
    match places.attributes {
        Some(at) if !says_imports => Import::Insert(at, "\n  imports = [ ./floe.nix ];".into()),
        Some(_) | None => Import::Nowhere,
    }
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

fn apply(text: &str, mut edits: Vec<(std::ops::Range<usize>, String)>) -> String {
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
        edited(text, true, true, &mut Vec::new())
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
        assert!(edited.templates.is_empty() && edited.is_imported);
    }

    #[test]
    fn two_values_have_two_names_and_one_value_has_one() {
        let mut named = Vec::new();
        let text = "{ users.users.a.hashedPassword = \"{{ x }}\"; \
                      users.extraUsers.a.hashedPassword = \"{{ y }}\"; \
                      users.users.b.hashedPassword = \"{{ x }}\"; }";
        let names: Vec<String> =
            edited(text, true, false, &mut named).secrets.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["a-password", "a-password-2", "a-password"]);
    }

    #[test]
    fn what_is_no_such_option_stays_a_template() {
        let edited = edit("{ a = \"{{ x }}\"; {% if y %} b = 1; {% endif %} }");
        let lines: Vec<&str> = edited.templates.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(lines, ["{{ x }}", "{% if y %}", "{% endif %}"]);
        assert_eq!(edited.templates[0].variables.as_deref(), Some(&["x".to_owned()][..]));
    }

    #[test]
    fn the_agent_is_imported_in_each_shape_or_it_is_said() {
        let cases = [
            ("{ }", "{\n  imports = [ ./floe.nix ]; }"),
            (
                "{ imports = [\n    ./a.nix\n  ];\n}",
                "{ imports = [\n    ./a.nix\n    ./floe.nix\n  ];\n}",
            ),
            ("{ imports = [ ]; }", "{ imports = [ ./floe.nix ]; }"),
            ("{ imports = [./a.nix]; }", "{ imports = [./a.nix ./floe.nix]; }"),
            ("{ imports = [ a ] ++ b; }", "{ imports = [ a ./floe.nix ] ++ b; }"),
        ];
        for (text, expected) in cases {
            assert_eq!(edit(text).text, expected);
        }
        for odd in ["import ./x.nix", "{\n  imports = x;\n}", "{ a = "] {
            assert!(!edit(odd).is_imported, "{odd}");
            assert_eq!(edit(odd).text, odd);
        }
    }

    #[test]
    fn a_file_that_is_no_template_keeps_its_braces() {
        let text = "{ a = \"{{ x }}\"; users.users.a.hashedPassword = \"{{ x }}\"; }";
        assert_eq!(edited(text, false, false, &mut Vec::new()).text, text);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c{}\\[\\]\"'$#%=.; \n]{0,80}|\\PC{0,80}") {
            edit(&text);
        }
    }
}
