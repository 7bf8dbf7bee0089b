//! The files of a role as they are written: secrets taken out, the agent imported, what is
//! still a template named.

use std::collections::BTreeMap;

use super::host_file::Secret;
use super::nix::{self, Edited, SecretOf};
use super::report::{Outcome, Report, shown};
use super::role::RoleFile;
use super::variables::{Known, Variables};

/// What is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// By their names.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Files of `[files]`.
    pub(super) templates: Vec<String>,
}

/// Settles `files`, which are `role`'s.
pub(super) fn settle(
    role: &str,
    files: BTreeMap<String, RoleFile>,
    variables: &Variables,
    report: &mut Report,
) -> Settled {
    let mut settled = Settled::default();
    let mut named = Vec::new();
    for (name, file) in files {
        let Ok(text) = str::from_utf8(&file.bytes) else {
            settled.files.insert(name, file.bytes);
            continue;
        };
        if !name.ends_with(".nix") {
            if file.is_template && (text.contains("{{") || text.contains("{%")) {
                let line = place(&file, text, 1);
                report.add((&file.origin.0, line), &name, in_the_store(&name, None, variables));
                settled.templates.push(name.clone());
            }
            settled.files.insert(name, file.bytes);
            continue;
        }
        let is_entry = name == "configuration.nix";
        let edited = nix::edited(text, file.is_template, is_entry, &mut named);
        for secret in &edited.secrets {
            let line = place(&file, text, secret.line);
            secret_is_told((&file.origin.0, line), role, secret, variables, report);
            let (value, owner) = (secret.value.clone(), secret.owner.clone());
            settled.secrets.insert(secret.name.clone(), Secret { value, owner });
        }
        for template in &edited.templates {
            let outcome = in_the_store(&name, template.variables.as_deref(), variables);
            let line = place(&file, text, template.line);
            report.add((&file.origin.0, line), &template.text, outcome);
        }
        if !edited.templates.is_empty() {
            settled.templates.push(name.clone());
        }
        if is_entry {
            entry_is_told(role, &file, &edited, report);
        }
        settled.files.insert(name, edited.text.into_bytes());
    }
    settled
}

/// The line of the file in which `text` was written; a text of several lines begins on the
/// line after the one that introduces it.
fn place(file: &RoleFile, text: &str, line: usize) -> usize {
    let (_, start) = &file.origin;
    let is_own_file = *start == 1;
    match (is_own_file, text.contains('\n')) {
        (true, _) => line,
        (false, true) => start + line,
        (false, false) => *start,
    }
}

fn secret_is_told(
    at: (&str, usize),
    role: &str,
    secret: &SecretOf,
    variables: &Variables,
    report: &mut Report,
) {
    let SecretOf { option, file_option, name, value, .. } = secret;
    let outcome = Outcome::Taken(format!(
        "hosts/{role}/host.toml: [secrets.{name}] value = \"{value}\"; the configuration says \
         {file_option} = \"/run/floe/secrets/{name}\""
    ));
    report.add(at, option, outcome);
    for variable in &secret.variables {
        if variables.known(variable) == Known::Nowhere {
            let outcome = Outcome::Look(format!("`{variable}` is in no file of group_vars"));
            report.add(at, value, outcome);
        }
    }
}

/// What becomes of Jinja that stays.
fn in_the_store(name: &str, used: Option<&[String]>, variables: &Variables) -> Outcome {
    let file = format!("host.toml: [files.\"{name}\"] template = true");
    let of = |kind| {
        let of_kind = |variable: &&String| variables.known(variable) == kind;
        used.unwrap_or_default().iter().filter(of_kind).cloned().collect::<Vec<_>>().join("`, `")
    };
    let nowhere = of(Known::Nowhere);
    if !nowhere.is_empty() {
        return Outcome::Look(format!("{file}, but `{nowhere}` is in no file of group_vars"));
    }
    let is_plain = used
        .is_some_and(|used| used.iter().all(|variable| variables.known(variable) == Known::Plain));
    if is_plain {
        return Outcome::Taken(format!("{file}: rendered when the bundle is built"));
    }
    Outcome::Look(format!(
        "{file}: its value will be in the Nix store, which everybody on the host can read, and \
         such a role is not baked; for a secret use an option that takes a file, and [secrets]"
    ))
}

fn entry_is_told(role: &str, file: &RoleFile, edited: &Edited, report: &mut Report) {
    let outcome = if edited.is_imported {
        Outcome::Taken(format!("hosts/{role}/configuration.nix, where it imports ./floe.nix"))
    } else {
        Outcome::NotSupported(
            "its shape is not understood: add ./floe.nix to its imports, or no host confirms it: \
             imports = [ … ./floe.nix ];"
                .into(),
        )
    };
    let line = (file.origin.1 > 1).then_some(file.origin.1);
    report.add((&file.origin.0, line), shown("imports"), outcome);
}
