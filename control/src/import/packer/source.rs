//! An `amazon-ebs` source becomes `[image]` of a role.

use std::collections::BTreeMap;

use hcl::Expression;

use super::block::{Attribute, Block};
use super::evaluate::{Meaning, Scope};
use super::options;
use crate::import::report::{Outcome, Report, SENSITIVE};

/// The image of a role, as far as Packer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Image {
    /// The source's name in Packer.
    pub(in crate::import) label: String,
    /// Its name; `{{ timestamp }}` stands for when it is made.
    pub(in crate::import) name: Option<String>,
    pub(in crate::import) description: Option<String>,
    pub(in crate::import) instance_type: Option<String>,
    pub(in crate::import) region: Option<String>,
    pub(in crate::import) source: Option<Source>,
    /// Of the image, and of the instance that it is made on.
    pub(in crate::import) tags: BTreeMap<String, String>,
    pub(in crate::import) run_tags: BTreeMap<String, String>,
}

/// More tags than AWS lets an image have.
const MOST_TAGS: usize = 200;

/// Which image it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) enum Source {
    /// The newest that fits, or the only one.
    Search(Search),
    /// This one.
    Ami(String),
}

/// How an image is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Search {
    pub(in crate::import) filters: BTreeMap<String, String>,
    pub(in crate::import) owners: Vec<String>,
    pub(in crate::import) most_recent: bool,
    pub(in crate::import) include_deprecated: bool,
}

/// Reads `block`; `data` are the data sources that it may refer to.
pub(super) fn image(block: &Block, data: &[&Block], scope: &Scope, report: &mut Report) -> Image {
    let mut image = Image { label: block.label(1).to_owned(), ..Image::default() };
    for attribute in &block.attributes {
        let outcome = option(&mut image, attribute, block, data, scope, report);
        report.add((&block.file, attribute.line), &attribute.key, outcome);
    }
    for inner in &block.blocks {
        let kind = if inner.kind == "dynamic" { inner.label(0) } else { &inner.kind };
        let outcome = match kind {
            "source_ami_filter" => {
                image.source = Some(search(inner, scope, report));
                Outcome::into_host_file("[image.source_ami_filter]")
            }
            "tag" => tag(&mut image.tags, "image.tags", inner, scope),
            "run_tag" => tag(&mut image.run_tags, "image.run_tags", inner, scope),
            _ => {
                let outcome = options::outcome(kind);
                for attribute in &inner.attributes {
                    let what = format!("{kind}: {}", attribute.key);
                    report.add((&block.file, attribute.line), what, outcome.clone());
                }
                outcome
            }
        };
        report.add((&block.file, inner.line), kind, outcome);
    }
    image
}

fn option(
    image: &mut Image,
    attribute: &Attribute,
    block: &Block,
    data: &[&Block],
    scope: &Scope,
    report: &mut Report,
) -> Outcome {
    let meaning = scope.meaning(&attribute.value);
    let taken = |key: &str| Outcome::into_host_file(&format!("{key} in [image]"));
    match attribute.key.as_str() {
        "ami_name" => name(image, &meaning),
        "instance_type" => known(&mut image.instance_type, &meaning, taken("instance_type")),
        "region" => known(&mut image.region, &meaning, taken("region")),
        "source_ami" => match source(attribute, data, scope, report) {
            Some(found) => {
                image.source = Some(found);
                Outcome::into_host_file("[image.source_ami_filter]")
            }
            None => unknown(&meaning),
        },
        "source_ami_filter" => match scope.entries(&attribute.value) {
            Some(entries) => {
                let mut inner =
                    Block::new(&block.file, attribute.line, "source_ami_filter", Vec::new());
                let of = |(key, meaning): (String, Meaning)| {
                    let value = match meaning {
                        Meaning::Known(value) => Expression::from(value),
                        Meaning::Symbolic(text) => text.into(),
                    };
                    Attribute { line: attribute.line, key, value }
                };
                inner.attributes = entries.into_iter().map(of).collect();
                image.source = Some(search(&inner, scope, report));
                Outcome::into_host_file("[image.source_ami_filter]")
            }
            None => unknown(&meaning),
        },
        "ami_description" => known(&mut image.description, &meaning, taken("ami_description")),
        "tags" => tags(&mut image.tags, "image.tags", &attribute.value, scope),
        "run_tags" => tags(&mut image.run_tags, "image.run_tags", &attribute.value, scope),
        key => options::outcome(key),
    }
}

fn tags(
    into: &mut BTreeMap<String, String>,
    table: &str,
    value: &Expression,
    scope: &Scope,
) -> Outcome {
    let Some(entries) = scope.entries(value) else { return unknown(&scope.meaning(value)) };
    let mut left: Vec<String> = Vec::new();
    for (key, meaning) in entries {
        match meaning.text() {
            Some(value) => drop(into.insert(key, value)),
            None => left.push(format!("{key} = {}", meaning.shown())),
        }
    }
    if left.is_empty() {
        Outcome::into_host_file(&format!("[{table}]"))
    } else {
        let left = left.join(", ");
        let why = match left.contains(SENSITIVE) {
            true => "what is marked so, and what only a build knows",
            false => "what only a build knows",
        };
        Outcome::Look(format!("host.toml: [{table}], without {why}: {left}"))
    }
}

/// The name, in which floe fills in when it is made, and nothing else.
fn name(image: &mut Image, meaning: &Meaning) -> Outcome {
    // Packer's own templates, from before HCL, stand in names to this day.
    let shown = meaning.shown();
    let text = &super::json::upgraded(&shown);
    if !text.contains("${") {
        let Some(known) = meaning.text() else { return unknown(meaning) };
        let is_template = known.contains("{{");
        image.name = Some(known);
        return match is_template {
            true => Outcome::Look(format!(
                "host.toml: ami_name in [image], where `{text}` has what only Packer fills in"
            )),
            false => Outcome::into_host_file("ami_name in [image]"),
        };
    }
    let (mut name, mut rest, mut unknown) = (String::new(), text.as_str(), Vec::new());
    while let Some((before, after)) = rest.split_once("${") {
        name += before;
        let end = closing(after);
        let inner = after.get(..end).unwrap_or(after);
        if inner.contains("timestamp()") {
            name += "{{ timestamp }}";
        } else {
            unknown.push(inner);
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    name += rest;
    image.name = Some(name.clone());
    if unknown.is_empty() {
        return Outcome::into_host_file(&format!(
            "ami_name = \"{name}\" in [image], for `{shown}`: floe writes the time its own way"
        ));
    }
    let unknown = unknown.join("`, `");
    Outcome::Look(format!(
        "host.toml: ami_name = \"{name}\" in [image], without `{unknown}`, which only a build knows"
    ))
}

/// Where the `}` is that ends what is interpolated.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => return at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn known(into: &mut Option<String>, meaning: &Meaning, taken: Outcome) -> Outcome {
    match meaning.text() {
        Some(text) => {
            *into = Some(text);
            taken
        }
        None => unknown(meaning),
    }
}

pub(super) fn unknown(meaning: &Meaning) -> Outcome {
    let shown = meaning.shown();
    if shown.contains(SENSITIVE) {
        return Outcome::NotSupported(format!(
            "`{shown}`: a value that is marked so is written nowhere; what is secret belongs in \
             the vault, and into [secrets] of host.toml"
        ));
    }
    Outcome::NotSupported(format!(
        "`{shown}` is only known in a build; write its value into host.toml"
    ))
}

/// `source_ami`: an id, or the answer of a data source.
fn source(
    attribute: &Attribute,
    data: &[&Block],
    scope: &Scope,
    report: &mut Report,
) -> Option<Source> {
    if let Some(ami) = scope.meaning(&attribute.value).text() {
        return Some(Source::Ami(ami));
    }
    let path = scope.reference(&attribute.value)?;
    let [data_word, kind, name, id] = path.as_slice() else { return None };
    if data_word != "data" || kind != "amazon-ami" || id != "id" {
        return None;
    }
    let block = data.iter().find(|block| block.labels == [kind.as_str(), name.as_str()])?;
    Some(search(block, scope, report))
}

/// `data "amazon-ami"` and `source_ami_filter` say the same in the same words.
fn search(block: &Block, scope: &Scope, report: &mut Report) -> Source {
    let mut search = Search::default();
    for attribute in &block.attributes {
        let mut left = Vec::new();
        match attribute.key.as_str() {
            "filters" => match scope.entries(&attribute.value) {
                Some(entries) => {
                    for (key, meaning) in entries {
                        match meaning.text() {
                            Some(text) => drop(search.filters.insert(key, text)),
                            None => left.push(meaning),
                        }
                    }
                }
                None => left.push(scope.meaning(&attribute.value)),
            },
            "owners" => {
                for meaning in scope.elements(&attribute.value) {
                    match meaning.text() {
                        Some(text) => search.owners.push(text),
                        None => left.push(meaning),
                    }
                }
            }
            key @ ("most_recent" | "include_deprecated") => {
                let into = match key {
                    "most_recent" => &mut search.most_recent,
                    _ => &mut search.include_deprecated,
                };
                match scope.meaning(&attribute.value).text() {
                    Some(text) => *into = text == "true",
                    None => left.push(scope.meaning(&attribute.value)),
                }
            }
            "region" => {
                let outcome = Outcome::Replaced(
                    "region in [image] of host.toml: the source is looked for where the image \
                     is made"
                        .into(),
                );
                report.add((&block.file, attribute.line), &attribute.key, outcome);
                continue;
            }
            key => {
                report.add((&block.file, attribute.line), key, options::outcome(key));
                continue;
            }
        }
        let outcome = match left.first() {
            Some(meaning) => unknown(meaning),
            None => {
                Outcome::into_host_file(&format!("{} in [image.source_ami_filter]", attribute.key))
            }
        };
        report.add((&block.file, attribute.line), &attribute.key, outcome);
    }
    Source::Search(search)
}

/// A `tag` block, or a `dynamic` one that makes several.
fn tag(into: &mut BTreeMap<String, String>, table: &str, block: &Block, scope: &Scope) -> Outcome {
    let mut tags = Vec::new();
    if block.kind == "dynamic" {
        let text = |key: &str| block.attribute(key).and_then(|it| scope.meaning(&it.value).text());
        let iterator = text("iterator").unwrap_or_else(|| block.label(0).to_owned());
        let each = block.attribute("for_each").map(|it| &it.value);
        let content = block.blocks.iter().find(|inner| inner.kind == "content");
        let (Some(each), Some(content)) = (each, content) else {
            return Outcome::NotSupported("it has no for_each, or no content".into());
        };
        let pairs = scope.entries(each).unwrap_or_else(|| {
            let elements = scope.elements(each).into_iter().enumerate();
            elements.map(|(at, meaning)| (at.to_string(), meaning)).collect()
        });
        if pairs.len() > MOST_TAGS {
            return Outcome::NotSupported(format!("it makes more than {MOST_TAGS} of them"));
        }
        for (key, meaning) in pairs {
            let Meaning::Known(value) = meaning else {
                tags.push(Err(unknown(&meaning)));
                continue;
            };
            let element =
                hcl::Map::from_iter([("key".to_owned(), key.into()), ("value".to_owned(), value)]);
            tags.push(pair(content, &scope.with(&iterator, element.into())));
        }
    } else {
        tags.push(pair(block, scope));
    }
    let mut left = None;
    for tag in tags {
        match tag {
            Ok((key, value)) => drop(into.insert(key, value)),
            Err(outcome) => left = Some(outcome),
        }
    }
    match left {
        None => Outcome::into_host_file(&format!("[{table}]")),
        Some(outcome) if block.kind == "dynamic" => {
            Outcome::Look(format!("host.toml: [{table}], without one: {}", outcome.text()))
        }
        Some(outcome) => outcome,
    }
}

fn pair(block: &Block, scope: &Scope) -> Result<(String, String), Outcome> {
    let text = |key: &str| {
        let attribute = block.attribute(key);
        let attribute =
            attribute.ok_or_else(|| Outcome::NotSupported(format!("a tag without `{key}`")))?;
        let meaning = scope.meaning(&attribute.value);
        meaning.text().ok_or_else(|| unknown(&meaning))
    };
    Ok((text("key")?, text("value")?))
}
