//! What a Packer template is made of, whichever way it is written: blocks with labels, and
//! attributes whose values are expressions.

use hcl::Expression;
use hcl::edit::Span as _;
use hcl::edit::structure::{Body as Parsed, Structure};

use crate::import::error::Error;

/// A block with everything in it.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Relative to the repository.
    pub(super) file: String,
    /// From 1.
    pub(super) line: usize,
    /// Such as `source` or `provisioner`.
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) blocks: Vec<Self>,
}

/// `key = value`.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: Expression,
}

impl Block {
    /// A block of `file` without anything in it.
    pub(super) fn new(file: &str, line: usize, kind: &str, labels: Vec<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            kind: kind.to_owned(),
            labels,
            attributes: Vec::new(),
            blocks: Vec::new(),
        }
    }

    pub(super) fn attribute(&self, key: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.key == key)
    }

    pub(super) fn label(&self, at: usize) -> &str {
        self.labels.get(at).map_or("", String::as_str)
    }
}

/// The whole of an HCL file, as one block without a name.
pub(super) fn parse(file: &str, text: &str) -> Result<Block, Error> {
    let body = hcl::edit::parser::parse_body(text).map_err(|error| Error::Hcl {
        file: file.to_owned(),
        line: error.location().line(),
        said: error.message().to_owned(),
    })?;
    let mut whole = Block::new(file, 1, "", Vec::new());
    fill(&mut whole, &Lines::of(text), body);
    Ok(whole)
}

fn fill(block: &mut Block, lines: &Lines, body: Parsed) {
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                let line = lines.of_span(attribute.key.span(), block.line);
                let key = attribute.key.as_str().to_owned();
                block.attributes.push(Attribute { line, key, value: attribute.value.into() });
            }
            Structure::Block(inner) => {
                let line = lines.of_span(inner.ident.span(), block.line);
                let labels = inner.labels.iter().map(|label| label.as_str().to_owned());
                let mut child =
                    Block::new(&block.file, line, inner.ident.as_str(), labels.collect());
                fill(&mut child, lines, inner.body);
                block.blocks.push(child);
            }
        }
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    fn of_span(&self, span: Option<std::ops::Range<usize>>, otherwise: usize) -> usize {
        span.map_or(otherwise, |span| self.0.partition_point(|start| *start <= span.start) + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_part_knows_its_line() {
        let text = "a = 1\n\nsource \"amazon-ebs\" \"www\" {\n  region = \"x\"\n  tag {\n  }\n}\n";
        let whole = parse("x", text).unwrap();
        let source = &whole.blocks[0];
        assert_eq!((source.line, source.label(1)), (3, "www"));
        assert_eq!(source.attribute("region").unwrap().line, 4);
        assert_eq!(source.blocks[0].line, 5);
    }

    #[test]
    fn what_is_broken_is_named_with_its_line() {
        let error = parse("www.pkr.hcl", "a = 1\nb = {\n").unwrap_err().to_string();
        assert!(error.starts_with("`www.pkr.hcl` line "), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\t]{0,200}|\\PC{0,200}|[a-c{}=\"$(<?:\\[\\] \n]{0,200}") {
            let _ = parse("x", &text);
        }
    }
}
