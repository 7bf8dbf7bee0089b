//! The templates of a repository, one for each directory that has any.

use std::collections::{BTreeMap, BTreeSet};

use hcl::Expression;

use super::block::{self, Block};
use super::build::{self, Step};
use super::evaluate::{MOST_STEPS, Meaning, Scope};
use super::json;
use super::options;
use super::source::{self, Image};
use crate::import::error::Error;
use crate::import::report::{Outcome, Report, SENSITIVE};
use crate::import::tree::{Tree, parent};

/// More sources, builds and provisioners than people have in one directory.
const MOST_BLOCKS: usize = 2_000;

/// What the templates of one directory say.
#[derive(Clone, Debug)]
pub(in crate::import) struct Template {
    /// Where they lie.
    pub(in crate::import) directory: String,
    /// The images, those that a build means first.
    pub(in crate::import) images: Vec<Image>,
    /// What builds do, each beside the labels of the images that it is done for; of no labels,
    /// for all.
    pub(in crate::import) steps: Vec<(Vec<String>, Step)>,
}

/// Reads them all.
pub(in crate::import) fn templates(
    tree: &Tree,
    report: &mut Report,
) -> Result<Vec<Template>, Error> {
    let mut directories: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    for name in tree.names() {
        let block = if name.ends_with(".pkr.hcl") {
            block::parse(name, &tree.text(name)?)?
        } else if name.ends_with(".pkr.json") {
            json::parse(name, &tree.text(name)?)?
        } else if name.ends_with(".json") && is_old(tree, name) {
            match json::old(name, &tree.text(name)?)? {
                Some(block) => block,
                None => continue,
            }
        } else {
            continue;
        };
        directories.entry(parent(name).to_owned()).or_default().push(block);
    }
    let mut templates = Vec::new();
    for (directory, files) in directories {
        templates.push(template(directory, &files, tree, report)?);
    }
    Ok(templates)
}

/// Other JSON is nobody's business.
fn is_old(tree: &Tree, name: &str) -> bool {
    tree.text(name).is_ok_and(|text| text.contains("\"builders\""))
}

fn template(
    directory: String,
    files: &[Block],
    tree: &Tree,
    report: &mut Report,
) -> Result<Template, Error> {
    let blocks = || files.iter().flat_map(|file| &file.blocks);
    let inner = blocks().map(|block| 1 + block.blocks.len()).sum::<usize>();
    if inner > MOST_BLOCKS {
        let what = format!("the templates in `{directory}/`");
        return Err(Error::too_much(what, MOST_BLOCKS, "blocks"));
    }
    let scope = scope(&directory, files, tree, report)?;
    let data: Vec<&Block> = blocks().filter(|block| block.kind == "data").collect();
    let mut images = Vec::new();
    for block in blocks() {
        let what = [&block.kind, block.label(0), block.label(1)].join(" ");
        let outcome = match (block.kind.as_str(), block.label(0)) {
            ("source", "amazon-ebs") => {
                images.push(source::image(block, &data, &scope, report));
                Outcome::into_host_file("[image]")
            }
            ("source", kind) => Outcome::NotSupported(format!(
                "`{kind}`: floe makes images the way amazon-ebs does, and no other"
            )),
            ("data", "amazon-ami") => Outcome::into_host_file("[image.source_ami_filter]"),
            ("data", _) => {
                Outcome::NotSupported("what it would answer is only known in a build".into())
            }
            ("packer", _) => {
                for inner in &block.blocks {
                    for plugin in &inner.attributes {
                        let outcome = Outcome::NotNeeded("no plugin is used".into());
                        report.add((&inner.file, plugin.line), &plugin.key, outcome);
                    }
                }
                Outcome::NotNeeded("Packer is not run".into())
            }
            ("variable" | "variables" | "locals" | "local" | "build", _) => continue,
            (kind, _) => Outcome::NotSupported(format!("floe does not know the block `{kind}`")),
        };
        report.add((&block.file, block.line), what.trim(), outcome.clone());
        let told = matches!(block.label(0), "amazon-ebs" | "amazon-ami");
        for attribute in block.attributes.iter().filter(|_| !told) {
            report.add((&block.file, attribute.line), &attribute.key, outcome.clone());
        }
    }
    for file in files {
        for attribute in &file.attributes {
            let outcome = Outcome::NotSupported("floe does not know this option".into());
            report.add((&file.file, attribute.line), &attribute.key, outcome);
        }
    }
    unused(&data, report);

    let labels: Vec<String> = images.iter().map(|image| image.label.clone()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let (mut meant, mut steps) = (Vec::new(), Vec::new());
    for build in blocks().filter(|block| block.kind == "build") {
        let outcome = Outcome::Replaced("`floe push`, and baking the role's image".into());
        report.add((&build.file, build.line), "build", outcome);
        let images = build::sources(build, &labels, &scope, report);
        let done = build::steps(build, tree, &scope, report).into_iter();
        steps.extend(done.map(|step| (images.clone(), step)));
        meant.extend(images);
    }
    if scope.is_exhausted() {
        let what = format!("the templates in `{directory}/`");
        return Err(Error::too_much(what, MOST_STEPS, "steps of evaluation"));
    }
    let place = |image: &Image| meant.iter().position(|label| *label == image.label);
    images.sort_by_key(|image| place(image).unwrap_or(usize::MAX));
    Ok(Template { directory, images, steps })
}

/// Options of data sources that no image refers to are told of as well.
fn unused(data: &[&Block], report: &mut Report) {
    for block in data.iter().filter(|block| block.label(0) == "amazon-ami") {
        for attribute in &block.attributes {
            if !report.knows_line(&block.file, attribute.line) {
                let outcome = Outcome::NotNeeded("no source refers to it".into());
                report.add((&block.file, attribute.line), &attribute.key, outcome);
            }
        }
    }
}

/// The variables and locals of the directory, with the values that its `*.auto.pkrvars.hcl`
/// and `*.pkrvars.hcl` give.
fn scope(
    directory: &str,
    files: &[Block],
    tree: &Tree,
    report: &mut Report,
) -> Result<Scope, Error> {
    let (mut variables, mut locals) = (BTreeMap::new(), BTreeMap::new());
    let sensitive = sensitive(files);
    let mut without: Vec<(&Block, String)> = Vec::new();
    for block in files.iter().flat_map(|file| &file.blocks) {
        match block.kind.as_str() {
            "variable" => {
                let name = block.label(0).to_owned();
                match block.attribute("default") {
                    Some(default) => drop(variables.insert(name, default.value.clone())),
                    None => without.push((block, name)),
                }
            }
            "variables" => {
                for attribute in &block.attributes {
                    variables.insert(attribute.key.clone(), attribute.value.clone());
                }
            }
            "locals" => {
                for attribute in &block.attributes {
                    locals.insert(attribute.key.clone(), attribute.value.clone());
                    let outcome = Outcome::Replaced("its value, where it is used".into());
                    report.add((&block.file, attribute.line), &attribute.key, outcome);
                }
            }
            "local" => {
                let expression = block.attribute("expression").map(|it| it.value.clone());
                locals.extend(expression.map(|value| (block.label(0).to_owned(), value)));
                let outcome = Outcome::Replaced("its value, where it is used".into());
                report.add((&block.file, block.line), format!("local {}", block.label(0)), outcome);
            }
            _ => {}
        }
    }
    let given = given(directory, tree, &sensitive, report)?;
    variables.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    without.retain(|(_, name)| !given.contains_key(name));
    let scope = Scope::new(variables.clone(), locals, sensitive.clone());
    for block in files.iter().flat_map(|file| &file.blocks) {
        declared(block, &variables, &sensitive, &scope, report);
    }
    Ok(scope)
}

/// Variables and locals that say that nobody is to see their values, as `var.x` and `local.y`.
fn sensitive(files: &[Block]) -> BTreeSet<String> {
    let blocks = files.iter().flat_map(|file| &file.blocks);
    let is_marked = |block: &&Block| {
        let marked = block.attribute("sensitive").map(|it| it.value.clone());
        marked.is_some_and(|value| value != Expression::Bool(false))
    };
    let marked = blocks.filter(is_marked).filter_map(|block| match block.kind.as_str() {
        "variable" => Some(format!("var.{}", block.label(0))),
        "local" => Some(format!("local.{}", block.label(0))),
        _ => None,
    });
    marked.collect()
}

/// What becomes of a value that nobody is to see.
fn hidden() -> Outcome {
    Outcome::Look(format!(
        "{SENSITIVE}: its value is written nowhere; what is secret belongs in the vault, and into \
         [secrets] of host.toml"
    ))
}

/// What becomes of a variable with this value.
fn of_value(value: Option<Meaning>) -> Outcome {
    match value {
        Some(Meaning::Known(_)) => Outcome::Replaced("its value, where it is used".into()),
        Some(meaning @ Meaning::Symbolic(_)) => source::unknown(&meaning),
        None => Outcome::NotSupported(
            "it has no value here (-var, or PKR_VAR_ in the environment?); write one as its \
             default, and import again"
                .into(),
        ),
    }
}

/// What becomes of the declaration of a variable.
fn declared(
    block: &Block,
    variables: &BTreeMap<String, Expression>,
    sensitive: &BTreeSet<String>,
    scope: &Scope,
    report: &mut Report,
) {
    let outcome = |name: &str| match sensitive.contains(&format!("var.{name}")) {
        true => hidden(),
        false => of_value(variables.get(name).map(|value| scope.meaning(value))),
    };
    match block.kind.as_str() {
        "variable" => {
            let name = block.label(0);
            report.add((&block.file, block.line), format!("variable {name}"), outcome(name));
            for attribute in block.attributes.iter().filter(|it| it.key != "default") {
                let outcome = match attribute.key.as_str() {
                    "sensitive" => Outcome::NotNeeded(
                        "what is secret belongs in the vault: [secrets] of host.toml".into(),
                    ),
                    "type" | "description" => {
                        Outcome::NotNeeded("there are no variables in host.toml".into())
                    }
                    key => options::outcome(key),
                };
                report.add((&block.file, attribute.line), &attribute.key, outcome);
            }
            for inner in &block.blocks {
                let outcome = Outcome::NotNeeded("floe checks host.toml itself".into());
                report.add((&block.file, inner.line), &inner.kind, outcome.clone());
                for attribute in &inner.attributes {
                    report.add((&block.file, attribute.line), &attribute.key, outcome.clone());
                }
            }
        }
        "variables" => {
            for attribute in &block.attributes {
                let what = format!("variable {}", attribute.key);
                report.add((&block.file, attribute.line), what, outcome(&attribute.key));
            }
        }
        _ => {}
    }
}

/// What the files with values say; the automatic ones go last, as in Packer.
fn given(
    directory: &str,
    tree: &Tree,
    sensitive: &BTreeSet<String>,
    report: &mut Report,
) -> Result<BTreeMap<String, Expression>, Error> {
    let beside = |name: &&str| parent(name) == directory || parent(name).is_empty();
    let is_auto = |name: &str| name.contains(".auto.pkrvars.");
    let mut names: Vec<&str> = tree
        .names()
        .filter(|name| name.ends_with(".pkrvars.hcl") || name.ends_with(".pkrvars.json"))
        .filter(beside)
        .collect();
    names.sort_by_key(|name| is_auto(name));
    let mut given = BTreeMap::new();
    for name in names {
        let text = tree.text(name)?;
        let block = match name.ends_with(".json") {
            true => json::parse(name, &text)?,
            false => block::parse(name, &text)?,
        };
        for attribute in block.attributes {
            let is_hidden = sensitive.contains(&format!("var.{}", attribute.key));
            let outcome = match is_auto(name) {
                _ if is_hidden => hidden(),
                true => Outcome::Replaced("its value, where it is used".into()),
                false => Outcome::Look(
                    "taken for the variable's value: Packer does so only with -var-file".into(),
                ),
            };
            report.add((name, attribute.line), &attribute.key, outcome);
            given.insert(attribute.key, attribute.value);
        }
    }
    Ok(given)
}
