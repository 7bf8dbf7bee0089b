//! YAML, and JSON, with the line of every node.
//!
//! The tree is built from the parser's events, and not by its own loader, so that tags such
//! as `!Ref` and `!vault` stay, and so that depth and the copies that aliases make are
//! bounded: nothing that is read here can exhaust the stack or the memory.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, Tag};

use super::error::Error;

/// Deeper than people write.
const DEEPEST: usize = 64;

const TOO_DEEP: &str = "it is nested too deeply";

/// More nodes than any file of this kind has, copies by aliases included.
const MOST_NODES: usize = 200_000;

/// More text than any file of this kind has, copies by aliases included.
const MOST_BYTES: usize = 64 << 20;

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// Such as `!Ref`.
    pub(super) tag: Option<String>,
    pub(super) data: Data,
}

/// What a node is. A scalar is the text that was written: what is a number to YAML is a
/// word to most of what is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) name: String,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(text) => Some(text),
            Data::List(_) | Data::Map(_) => None,
        }
    }

    /// Whether it says nothing: an empty value, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.text(), Some("" | "~" | "null"))
    }

    pub(super) fn list(&self) -> &[Self] {
        match &self.data {
            Data::List(list) => list,
            Data::Scalar(_) | Data::Map(_) => &[],
        }
    }

    pub(super) fn map(&self) -> &[(Key, Self)] {
        match &self.data {
            Data::Map(map) => map,
            Data::Scalar(_) | Data::List(_) => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.map().iter().find(|(known, _)| known.name == key).map(|(_, node)| node)
    }

    /// The words of a list, or the one word.
    pub(super) fn words(&self) -> Vec<&str> {
        match &self.data {
            Data::Scalar(text) => vec![text],
            Data::List(list) => list.iter().filter_map(Self::text).collect(),
            Data::Map(_) => Vec::new(),
        }
    }
}

/// The documents of `text`, which is `file`'s.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Node>, Error> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let wrong = |line: usize, said: &str| Error::Yaml {
            file: file.to_owned(),
            line: line.max(1),
            said: said.to_owned(),
        };
        let (event, span) = event.map_err(|error| wrong(error.marker().line(), error.info()))?;
        let line = span.start.line();
        builder.event(event, line).map_err(|said| wrong(line, said))?;
    }
    Ok(builder.documents)
}

/// The first document; nothing at all where there is none.
pub(super) fn document(file: &str, text: &str) -> Result<Node, Error> {
    let nothing = Node { line: 1, tag: None, data: Data::Scalar(String::new()) };
    Ok(parse(file, text)?.into_iter().next().unwrap_or(nothing))
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    /// What is kept for aliases, whether there are any or not.
    kept: (usize, usize),
}

/// A list or a mapping that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next; in a list there is none.
    key: Option<Key>,
    /// How many nodes and bytes there were before it.
    before: (usize, usize),
    /// How many levels it has so far.
    levels: usize,
}

/// What an alias copies.
#[derive(Clone)]
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    levels: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), &'static str> {
        let tagged = |tag: Option<std::borrow::Cow<'_, Tag>>| tag.map(|tag| shown(&tag));
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                let bytes = text.len();
                let node = Node { line, tag: tagged(tag), data: Data::Scalar(text.into_owned()) };
                self.count(1, bytes)?;
                self.keep(anchor, &node, (1, bytes), 0)?;
                self.add(node, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Node { line, tag: tagged(tag), data: Data::List(Vec::new()) }, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Node { line, tag: tagged(tag), data: Data::Map(Vec::new()) }, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let (nodes, bytes) = open.before;
                let own = (self.nodes.saturating_sub(nodes), self.bytes.saturating_sub(bytes));
                self.keep(open.anchor, &open.node, own, open.levels)?;
                self.add(open.node, open.levels)
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias of what has not ended");
                };
                if self.open.len() + anchored.levels > DEEPEST {
                    return Err(TOO_DEEP);
                }
                self.count(anchored.nodes, anchored.bytes)?;
                self.add(anchored.node, anchored.levels)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), &'static str> {
        if self.open.len() >= DEEPEST {
            return Err(TOO_DEEP);
        }
        let before = (self.nodes, self.bytes);
        self.count(1, 0)?;
        self.open.push(Open { node, anchor, key: None, before, levels: 1 });
        Ok(())
    }

    fn count(&mut self, nodes: usize, bytes: usize) -> Result<(), &'static str> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        bounded(self.nodes, self.bytes)
    }

    fn keep(
        &mut self,
        anchor: usize,
        node: &Node,
        (nodes, bytes): (usize, usize),
        levels: usize,
    ) -> Result<(), &'static str> {
        // The parser numbers anchors from 1.
        if anchor == 0 {
            return Ok(());
        }
        self.kept = (self.kept.0.saturating_add(nodes), self.kept.1.saturating_add(bytes));
        bounded(self.kept.0, self.kept.1)?;
        self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes, levels });
        Ok(())
    }

    fn add(&mut self, node: Node, levels: usize) -> Result<(), &'static str> {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.levels = open.levels.max(levels + 1);
        match (&mut open.node.data, open.key.take()) {
            (Data::Map(map), Some(key)) => map.push((key, node)),
            (Data::Map(_), None) => {
                let Data::Scalar(name) = node.data else {
                    return Err("a key that is no word");
                };
                open.key = Some(Key { line: node.line, name });
            }
            (Data::List(list), _) => list.push(node),
            (Data::Scalar(_), _) => {}
        }
        Ok(())
    }
}

fn bounded(nodes: usize, bytes: usize) -> Result<(), &'static str> {
    match (nodes > MOST_NODES, bytes > MOST_BYTES) {
        (true, _) => Err("it has too many nodes"),
        (false, true) => Err("it has too much text"),
        (false, false) => Ok(()),
    }
}

fn shown(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nodes_know_their_lines_and_tags() {
        let node = document("x", "a: 1\nb:\n  - !Ref Image\n  - yes\n").unwrap();
        let list = node.get("b").unwrap();
        assert_eq!(list.list()[0].tag.as_deref(), Some("!Ref"));
        assert_eq!((list.list()[1].line, list.list()[1].text()), (4, Some("yes")));
        assert_eq!(node.map()[1].0, Key { line: 2, name: "b".into() });
    }

    #[test]
    fn an_anchor_is_copied_a_bounded_number_of_times() {
        let node = document("x", "a: &a {b: c}\nd: *a\n").unwrap();
        assert_eq!(node.get("d"), node.get("a"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            let copies = vec![format!("*a{before}"); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{copies}]\n");
        }
        assert!(document("x", &bomb).unwrap_err().to_string().contains("too many nodes"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 99].join(", "));
        assert!(document("x", &long).unwrap_err().to_string().contains("too much text"));
    }

    #[test]
    fn what_is_too_deep_or_broken_is_refused_with_its_line() {
        let deep = "- ".repeat(100_000);
        assert!(document("x", &deep).unwrap_err().to_string().contains("line 1"));
        let error = document("x.yml", "a:\n  - b\n c: d\n").unwrap_err().to_string();
        assert!(error.starts_with("`x.yml` line 3 is no YAML"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\t]{0,200}|\\PC{0,200}|[-:{}\\[\\],&*! a\n]{0,200}") {
            let _ = parse("x", &text);
        }
    }
}
