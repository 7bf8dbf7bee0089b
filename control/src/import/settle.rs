//! The files of a role as they are written: secrets taken out, the agent imported, what is
//! still a template named.

use std::collections::BTreeMap;

use super::host_file::Secret;
use super::nix::{self, Edited, SecretOf};
use super::report::{Outcome, Report, Target, shown};
use super::role::RoleFile;
use super::variables::{Known, Variables};
use crate::repository::HOST_FILE;

/// What `nixos-config` is.
pub(super) const ENTRY: &str = "configuration.nix";

/// What is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// By their names.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Files of `[files]`.
    pub(super) templates: Vec<String>,
}

/// Settles `files`, which are `role`'s. `agent` is the file that makes its machines hosts.
pub(super) fn settle(
    role: &str,
    files: BTreeMap<String, RoleFile>,
    agent: &str,
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
            if file.is_template && ["{{", "{%", "{#"].iter().any(|open| text.contains(open)) {
                let line = file.line(text, 1);
                report.add((&file.origin.0, line), &name, in_the_store(&name, None, variables));
                settled.templates.push(name.clone());
            }
            settled.files.insert(name, file.bytes);
            continue;
        }
        let is_entry = name == ENTRY;
        let import = is_entry.then(|| format!("./{agent}"));
        let edited = nix::edited(text, file.is_template, import.as_deref(), &mut named);
        let Some(edited) = edited else {
            let outcome = Outcome::NotSupported(format!(
                "it is too long, or has too much Jinja, to be looked through: it was written as it \
                 is; look for secrets in it, for paths that it names, and import ./{agent} in \
                 configuration.nix yourself"
            ));
            report.add((&file.origin.0, None), &name, outcome);
            if file.is_template {
                settled.templates.push(name.clone());
            }
            settled.files.insert(name, file.bytes);
            continue;
        };
        let into = format!("hosts/{role}/{name}");
        for secret in &edited.secrets {
            let at = (file.origin.0.as_str(), file.line(text, secret.line));
            secret_is_told(at, role, &into, secret, variables, report);
            let (value, owner) = (secret.value.clone(), secret.owner.clone());
            settled.secrets.insert(secret.name.clone(), Secret { value, owner });
        }
        for template in &edited.templates {
            let outcome = in_the_store(&name, template.variables.as_deref(), variables);
            let line = file.line(text, template.line);
            report.add((&file.origin.0, line), &template.text, outcome);
        }
        for literal in &edited.literal {
            let outcome = Outcome::Look(format!(
                "no playbook renders this file, so it stays as it is; where Ansible is meant to: \
                 host.toml, [files.\"{name}\"] template = true"
            ));
            let line = file.line(text, literal.line);
            report.add((&file.origin.0, line), &literal.text, outcome);
        }
        if !edited.templates.is_empty() {
            settled.templates.push(name.clone());
        }
        if is_entry {
            entry_is_told(&into, agent, &file, text, &edited, report);
        }
        settled.files.insert(name, edited.text.into_bytes());
    }
    settled
}

fn secret_is_told(
    at: (&str, usize),
    role: &str,
    into: &str,
    secret: &SecretOf,
    variables: &Variables,
    report: &mut Report,
) {
    let SecretOf { option, file_option, name, value, .. } = secret;
    let host_file = format!("hosts/{role}/{HOST_FILE}");
    let text = format!(
        "{host_file}: [secrets.{name}] value = \"{value}\"; the configuration says \
         {file_option} = \"/run/floe/secrets/{name}\""
    );
    let outcome = Outcome::Written(vec![Target::File(host_file), Target::File(into.into())], text);
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
        let text = format!("{file}: rendered when the bundle is built");
        return Outcome::Written(vec![Target::HostFile], text);
    }
    Outcome::Look(format!(
        "{file}: its value will be in the Nix store, which everybody on the host can read, and \
         such a role is not baked; for a secret use an option that takes a file, and [secrets]"
    ))
}

fn entry_is_told(
    into: &str,
    agent: &str,
    file: &RoleFile,
    text: &str,
    edited: &Edited,
    report: &mut Report,
) {
    let start = (file.origin.1 > 1).then_some(file.origin.1);
    let (line, outcome) = match edited.is_imported {
        Ok(()) => {
            let text = format!("{into}, where it imports ./{agent}");
            (start, Outcome::into_file(into, text))
        }
        Err(at) => (
            at.map(|at| file.line(text, at)).or(start),
            Outcome::NotSupported(format!(
                "its shape is not understood: add the line by hand, or no host confirms it: \
                 imports = [ ./{agent} ]; with what is in imports already"
            )),
        ),
    };
    report.add((&file.origin.0, line), shown("imports"), outcome);
}
