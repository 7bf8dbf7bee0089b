//! Packer templates in JSON: HCL's own JSON syntax (`*.pkr.json`), and the templates of
//! before HCL (`builders`, `provisioners`), whose `{{user `x`}}` become `${var.x}`.
//!
//! Read by the YAML parser, since YAML contains JSON and its nodes know their lines.

use hcl::Expression;
use hcl::expr::{Object, ObjectKey, TemplateExpr};

use super::block::{Attribute, Block};
use crate::import::error::Error;
use crate::import::yaml::{self, Data, Node};

/// The whole of a file in HCL's JSON syntax, as one block without a name.
pub(super) fn parse(file: &str, text: &str) -> Result<Block, Error> {
    let root = yaml::document(file, text)?;
    let mut whole = Block::new(file, 1, "", Vec::new());
    for (key, node) in root.map() {
        blocks(&mut whole, &key.name, Vec::new(), labels(&key.name), node);
    }
    Ok(whole)
}

/// How many labels a block has, by its name. What is no block at the top is not either below.
fn labels(kind: &str) -> usize {
    match kind {
        "source" | "data" => 2,
        "variable" | "local" | "provisioner" | "post-processor" | "dynamic" => 1,
        _ => 0,
    }
}

/// `{"source": {"amazon-ebs": {"www": {…}}}}`: labels are keys, and a list repeats.
fn blocks(into: &mut Block, kind: &str, known: Vec<String>, missing: usize, node: &Node) {
    match &node.data {
        Data::List(list) => {
            list.iter().for_each(|node| blocks(into, kind, known.clone(), missing, node));
        }
        Data::Map(map) if missing > 0 => {
            for (key, node) in map {
                let mut labels = known.clone();
                labels.push(key.name.clone());
                blocks(into, kind, labels, missing - 1, node);
            }
        }
        Data::Map(_) => {
            let mut block = Block::new(&into.file, node.line, kind, known);
            content(&mut block, node, &|text| text.to_owned());
            into.blocks.push(block);
        }
        Data::Scalar(_) => into.attributes.push(Attribute {
            line: node.line,
            key: kind.to_owned(),
            value: expression(node, &|text| text.to_owned()),
        }),
    }
}

/// What stands in a block: what may be a block is one, everything else an attribute.
fn content(block: &mut Block, node: &Node, text: &dyn Fn(&str) -> String) {
    let nested = [
        "provisioner",
        "post-processor",
        "post-processors",
        "source_ami_filter",
        "tag",
        "run_tag",
        "launch_block_device_mappings",
        "ami_block_device_mappings",
        "metadata_options",
        "validation",
        "override",
        "assume_role",
        "dynamic",
    ];
    for (key, node) in node.map() {
        let is_block = nested.contains(&key.name.as_str()) && node.text().is_none();
        if is_block {
            blocks(block, &key.name, Vec::new(), labels(&key.name), node);
        } else {
            let value = expression(node, text);
            block.attributes.push(Attribute { line: key.line, key: key.name.clone(), value });
        }
    }
}

/// A value; its texts are templates (HCL's JSON syntax, section "Expressions").
fn expression(node: &Node, text: &dyn Fn(&str) -> String) -> Expression {
    match &node.data {
        Data::Scalar(word) => {
            let word = text(word);
            if word.contains("${") || word.contains("%{") {
                return TemplateExpr::from(word).into();
            }
            match word.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                _ => word.into(),
            }
        }
        Data::List(list) => {
            Expression::Array(list.iter().map(|node| expression(node, text)).collect())
        }
        Data::Map(map) => {
            let pairs = map.iter().map(|(key, node)| {
                let key = ObjectKey::Expression(text(&key.name).into());
                (key, expression(node, text))
            });
            Expression::Object(pairs.collect::<Object<_, _>>())
        }
    }
}

/// A template of before HCL, as the blocks that `packer hcl2_upgrade` would make of it;
/// `None` where the JSON is something else.
pub(super) fn old(file: &str, text: &str) -> Result<Option<Block>, Error> {
    let root = yaml::document(file, text)?;
    let Some(builders) = root.get("builders") else { return Ok(None) };
    let mut whole = Block::new(file, 1, "", Vec::new());
    for (key, node) in root.get("variables").map(Node::map).unwrap_or_default() {
        let mut variable = Block::new(file, key.line, "variable", vec![key.name.clone()]);
        if !node.is_null() {
            let value = expression(node, &upgraded);
            variable.attributes.push(Attribute { line: key.line, key: "default".into(), value });
        }
        let sensitive = root.get("sensitive-variables").map(Node::words).unwrap_or_default();
        if sensitive.contains(&key.name.as_str()) {
            let (line, key) = (key.line, "sensitive".to_owned());
            variable.attributes.push(Attribute { line, key, value: true.into() });
        }
        whole.blocks.push(variable);
    }
    let mut build = Block::new(file, builders.line, "build", Vec::new());
    let mut names = Vec::new();
    for node in builders.list() {
        let kind = node.get("type").and_then(Node::text).unwrap_or_default();
        let name = node.get("name").and_then(Node::text).unwrap_or(kind);
        let labels = vec![kind.to_owned(), name.to_owned()];
        let mut source = Block::new(file, node.line, "source", labels);
        content(&mut source, node, &upgraded);
        source.attributes.retain(|attribute| !matches!(attribute.key.as_str(), "type" | "name"));
        whole.blocks.push(source);
        names.push(Expression::from(format!("source.{kind}.{name}")));
    }
    let sources =
        Attribute { line: builders.line, key: "sources".into(), value: Expression::Array(names) };
    build.attributes.push(sources);
    for (from, to) in [("provisioners", "provisioner"), ("post-processors", "post-processor")] {
        for node in root.get(from).map(Node::list).unwrap_or_default() {
            let kind = node.get("type").or(Some(node)).and_then(Node::text).unwrap_or_default();
            let mut block = Block::new(file, node.line, to, vec![kind.to_owned()]);
            content(&mut block, node, &upgraded);
            block.attributes.retain(|attribute| attribute.key != "type");
            build.blocks.push(block);
        }
    }
    whole.blocks.push(build);
    let known = ["builders", "variables", "sensitive-variables", "provisioners", "post-processors"];
    for (key, node) in root.map().iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
        let value = expression(node, &upgraded);
        whole.attributes.push(Attribute { line: key.line, key: key.name.clone(), value });
    }
    Ok(Some(whole))
}

/// `{{user `x`}}` in the words of HCL; what Packer fills in while it builds stays as it is.
pub(super) fn upgraded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else { break };
        out += before;
        let words: Vec<&str> = inside.split_whitespace().collect();
        let named = |word: &str| word.trim_matches(['`', '"']).to_owned();
        match words.as_slice() {
            ["user", name] => out += &format!("${{var.{}}}", named(name)),
            ["env", name] => out += &format!("${{env(\"{}\")}}", named(name)),
            ["timestamp"] | ["isotime", ..] => out += "${timestamp()}",
            ["uuid"] => out += "${uuidv4()}",
            _ => out += &format!("{{{{{inside}}}}}"),
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_keys() {
        let text = r#"{"source": {"amazon-ebs": {"www": {"region": "${var.r}"}}},
                       "build": [{"sources": ["source.amazon-ebs.www"],
                                  "provisioner": [{"shell": {"inline": ["x"]}}]}]}"#;
        let whole = parse("x", text).unwrap();
        assert_eq!(whole.blocks[0].labels, ["amazon-ebs", "www"]);
        assert_eq!(whole.blocks[1].blocks[0].labels, ["shell"]);
    }

    #[test]
    fn old_templates_speak_hcl() {
        assert_eq!(upgraded("www-{{timestamp}}-{{user `x`}}"), "www-${timestamp()}-${var.x}");
        assert_eq!(upgraded("{{ .Vars }} {{"), "{{ .Vars }} {{");
        let text = r#"{"builders": [{"type": "amazon-ebs", "region": "eu-west-1"}],
                       "provisioners": [{"type": "shell", "inline": ["nixos-rebuild switch"]}]}"#;
        let whole = old("x", text).unwrap().unwrap();
        assert_eq!(whole.blocks[0].labels, ["amazon-ebs", "amazon-ebs"]);
        assert_eq!(whole.blocks[1].blocks[0].labels, ["shell"]);
        assert!(old("x", "{\"a\": 1}").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~]{0,100}|[{}`a ]{0,60}") {
            let _ = (upgraded(&text), old("x", &text), parse("x", &text));
        }
    }
}
