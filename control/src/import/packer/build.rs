//! `build` of a template: which source is meant, and what its provisioners bring to
//! `/etc/nixos`.

use std::collections::BTreeSet;

use super::block::Block;
use super::evaluate::{Meaning, Scope};
use super::options;
use super::source::unknown;
use super::typed;
use crate::import::report::{Outcome, Report};
use crate::import::role::{self, From, Put};
use crate::import::shell;
use crate::import::tree::{self, Tree};

/// What a build brings to the machine, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) enum Step {
    Put(Put),
    /// A playbook of the repository is run.
    Playbook(String),
}

/// Which of `labels`, the names of `amazon-ebs` sources, the `build` block means.
pub(super) fn sources(
    build: &Block,
    labels: &[&str],
    scope: &Scope,
    report: &mut Report,
) -> Vec<String> {
    let mut meant = Vec::new();
    let mut named = Vec::new();
    if let Some(attribute) = build.attribute("sources") {
        let elements = scope.elements(&attribute.value).into_iter();
        named.extend(elements.map(|meaning| (meaning.shown(), attribute.line)));
    }
    for inner in build.blocks.iter().filter(|inner| inner.kind == "source") {
        named.push((inner.label(0).to_owned(), inner.line));
        for attribute in &inner.attributes {
            let outcome = match options::outcome(&attribute.key) {
                outcome @ (Outcome::NotNeeded(_) | Outcome::Replaced(_)) => outcome,
                Outcome::Taken(_)
                | Outcome::Written(..)
                | Outcome::Look(_)
                | Outcome::NotSupported(_) => Outcome::NotSupported(
                    "an option for one build only; write it in the source, and import again".into(),
                ),
            };
            report.add((&build.file, attribute.line), &attribute.key, outcome);
        }
    }
    for (name, line) in named {
        let reference = name.strip_prefix("source.").unwrap_or(&name);
        let label = reference.strip_prefix("amazon-ebs.");
        let outcome = match label {
            Some(label) if labels.contains(&label) => {
                meant.push(label.to_owned());
                Outcome::into_host_file("[image]")
            }
            Some(_) => match labels {
                [only] => {
                    meant.push((*only).to_owned());
                    Outcome::Look(format!(
                        "there is no source `{name}`; the only one, `source.amazon-ebs.{only}`, \
                         was taken: correct it, Packer would refuse it"
                    ))
                }
                _ => Outcome::NotSupported(format!("there is no source `{name}`")),
            },
            None => Outcome::NotSupported(format!(
                "`{name}`: floe makes images the way amazon-ebs does, and no other"
            )),
        };
        report.add((&build.file, line), format!("sources: {name}"), outcome);
    }
    let mut known = BTreeSet::new();
    meant.retain(|label| known.insert(label.clone()));
    meant
}

/// What the provisioners of `build` do, in order.
pub(super) fn steps(build: &Block, tree: &Tree, scope: &Scope, report: &mut Report) -> Vec<Step> {
    for attribute in build.attributes.iter().filter(|attribute| attribute.key != "sources") {
        let outcome = Outcome::NotNeeded("a build is named by its role and serial".into());
        report.add((&build.file, attribute.line), &attribute.key, outcome);
    }
    let mut steps = Vec::new();
    for block in build.blocks.iter().filter(|block| block.kind != "source") {
        match (block.kind.as_str(), block.label(0)) {
            ("provisioner", "file") => steps.extend(file(block, tree, scope, report)),
            ("provisioner", "shell" | "shell-local") => {
                scripts(block, tree, scope, &mut steps, report);
            }
            ("provisioner", "ansible" | "ansible-local") => {
                steps.extend(playbooks(block, tree, scope, report));
            }
            ("provisioner", "breakpoint" | "sleep") => {
                whole(block, report, Outcome::NotNeeded("there is nobody to wait".into()));
            }
            ("provisioner" | "error-cleanup-provisioner", kind) => whole(
                block,
                report,
                Outcome::NotSupported(format!(
                    "provisioner `{kind}`: write what it should achieve in configuration.nix"
                )),
            ),
            ("post-processor" | "post-processors", kind) => {
                let outcome = match kind {
                    "manifest" | "checksum" => Outcome::Replaced(
                        "the control plane's own record of images: floe images list".into(),
                    ),
                    "shell-local" => Outcome::NotSupported(
                        "floe runs no commands after a build; do it in your pipeline".into(),
                    ),
                    _ => Outcome::NotSupported("images are not processed any further".into()),
                };
                whole(block, report, outcome.clone());
                for inner in &block.blocks {
                    whole(inner, report, outcome.clone());
                }
            }
            (kind, _) => whole(
                block,
                report,
                Outcome::NotSupported(format!("floe does not know the block `{kind}`")),
            ),
        }
    }
    steps
}

/// The same for a block and everything in it.
fn whole(block: &Block, report: &mut Report, outcome: Outcome) {
    let name = [&block.kind, block.label(0)].join(" ");
    report.add((&block.file, block.line), name.trim(), outcome.clone());
    for attribute in &block.attributes {
        let what = format!("{}: {}", name.trim(), attribute.key);
        report.add((&block.file, attribute.line), what, outcome.clone());
    }
}

fn file(block: &Block, tree: &Tree, scope: &Scope, report: &mut Report) -> Vec<Step> {
    let text = |key: &str| block.attribute(key).map(|it| scope.meaning(&it.value));
    let destination = text("destination").and_then(|meaning| meaning.text());
    let mut puts = Vec::new();
    for attribute in &block.attributes {
        let here = (block.file.as_str(), attribute.line);
        let meaning = scope.meaning(&attribute.value);
        let mut put = |from| {
            let dest = destination.clone().unwrap_or_default();
            let (file, line) = (block.file.clone(), attribute.line);
            puts.push(Step::Put(Put { from, dest, is_template: false, file, line }));
        };
        let outcome = match (attribute.key.as_str(), meaning.text()) {
            ("content", Some(text)) => {
                put(From::Text(text));
                continue; // what becomes of it is told where roles are made
            }
            ("source" | "sources", _) => {
                for meaning in scope.elements(&attribute.value) {
                    let name = meaning.text();
                    match name.as_deref().and_then(|name| find(tree, &block.file, name)) {
                        // With a `/` at the end what is in the directory goes.
                        Some(found) => {
                            let is_all = name.is_some_and(|name| name.ends_with('/'));
                            put(From::File(if is_all { found + "/" } else { found }));
                        }
                        None => report.add(here, &attribute.key, missing(&meaning)),
                    }
                }
                continue;
            }
            ("content", None) => unknown(&meaning),
            ("destination", Some(_)) => Outcome::Replaced(
                "a place among the role's files, or what is said of its content".into(),
            ),
            ("destination", None) => unknown(&meaning),
            ("direction", _) => Outcome::NotNeeded("files go to the machine".into()),
            (key, _) => options::of_provisioner(key),
        };
        report.add(here, &attribute.key, outcome);
    }
    puts
}

/// `name` as a file or directory of the repository: Packer runs at its root, or beside the
/// template.
fn find(tree: &Tree, template: &str, name: &str) -> Option<String> {
    let inside = name.replace("${path.root}/", "").replace("${path.cwd}/", "");
    let candidates = [tree::join("", &inside), tree::join(tree::parent(template), &inside)]
        .into_iter()
        .flatten();
    candidates
        .into_iter()
        .find(|name| !name.is_empty() && (tree.has(name) || tree.below(name).next().is_some()))
}

fn missing(meaning: &Meaning) -> Outcome {
    Outcome::NotSupported(format!("there is no `{}` in the repository", meaning.shown()))
}

fn scripts(block: &Block, tree: &Tree, scope: &Scope, steps: &mut [Step], report: &mut Report) {
    report.add((&block.file, block.line), format!("provisioner {}", block.label(0)), {
        Outcome::Replaced("the configuration, which the agent activates; each line below".into())
    });
    for attribute in &block.attributes {
        let here = (block.file.as_str(), attribute.line);
        match attribute.key.as_str() {
            "inline" | "command" => {
                for meaning in scope.elements(&attribute.value) {
                    let line = meaning.shown();
                    let outcome = moved(&line, steps).unwrap_or_else(|| shell::outcome(&line));
                    report.add(here, format!("{}: {line}", block.label(0)), outcome);
                }
            }
            "script" | "scripts" => {
                for meaning in scope.elements(&attribute.value) {
                    let name = meaning.text();
                    let found = name.as_deref().and_then(|name| find(tree, &block.file, name));
                    match found.as_deref().map(|name| (name, tree.text(name))) {
                        Some((name, Ok(script))) => {
                            let to = format!("each of its lines: see `{name}`");
                            report.add(here, &attribute.key, Outcome::Replaced(to));
                            for (line, command) in shell::commands(&script) {
                                let outcome = moved(&command, steps)
                                    .unwrap_or_else(|| shell::outcome(&command));
                                report.add((name, line), command, outcome);
                            }
                        }
                        Some((_, Err(_))) | None => {
                            report.add(here, &attribute.key, missing(&meaning));
                        }
                    }
                }
            }
            key => report.add(here, key, options::of_provisioner(key)),
        }
    }
}

/// Files that were uploaded to some place and are moved to `/etc/nixos` by `command`, as
/// whoever logs in without being root must do it.
fn moved(command: &str, steps: &mut [Step]) -> Option<Outcome> {
    let mut words = command.split_whitespace().skip_while(|word| *word == "sudo");
    words.next().filter(|program| matches!(*program, "mv" | "cp"))?;
    let words: Vec<&str> = words.filter(|word| !word.starts_with('-')).collect();
    let (dest, sources) = words.split_last()?;
    if !role::is_nixos(dest) || sources.is_empty() {
        return None;
    }
    let uploaded = |put: &Put, source: &str| put.dest.trim_end_matches('/') == source;
    let mut known = Vec::new();
    for source in sources {
        let at = steps.iter().rposition(|step| match step {
            Step::Put(put) => uploaded(put, source.trim_end_matches('/')),
            Step::Playbook(_) => false,
        });
        known.push((at?, tree::base(source.trim_end_matches('/'))));
    }
    for (at, name) in known {
        if let Some(Step::Put(put)) = steps.get_mut(at) {
            let is_directory = *dest == "/etc/nixos" || dest.ends_with('/');
            let dest = dest.trim_end_matches('/');
            put.dest = if is_directory { format!("{dest}/{name}") } else { dest.to_owned() };
        }
    }
    Some(Outcome::Taken("the role's files: what was uploaded is meant for there".into()))
}

fn playbooks(block: &Block, tree: &Tree, scope: &Scope, report: &mut Report) -> Vec<Step> {
    let mut steps = Vec::new();
    for attribute in &block.attributes {
        let here = (block.file.as_str(), attribute.line);
        let outcome = match attribute.key.as_str() {
            "playbook_file" | "playbook_files" => {
                for meaning in scope.elements(&attribute.value) {
                    let name = meaning.text();
                    let found = name.as_deref().and_then(|name| find(tree, &block.file, name));
                    let outcome = match found {
                        Some(name) => {
                            steps.push(Step::Playbook(name.clone()));
                            Outcome::Replaced(format!("the role's files; see `{name}`"))
                        }
                        None => missing(&meaning),
                    };
                    report.add(here, &attribute.key, outcome);
                }
                continue;
            }
            "inventory_file" => {
                Outcome::Replaced("`floe hosts`: hosts are those that enrolled".into())
            }
            "extra_arguments" => {
                let words = scope.elements(&attribute.value);
                let words = words.iter().map(Meaning::shown).collect();
                typed::arguments(words, here, report);
                continue;
            }
            key => options::of_provisioner(key),
        };
        report.add(here, &attribute.key, outcome);
    }
    steps
}
