//! YAML as Ansible reads it: YAML 1.1 words, `!vault`, `!unsafe`, `<<`.
//!
//! Not followed: a name that is there twice is refused here, where Ansible warns and takes
//! the last; names that are no text become text. The parser's own copies of what it read
//! are not wiped, since it has no way to.

use std::collections::BTreeMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use zeroize::Zeroizing;

use super::tree::Tree;
use super::{cipher, scalar};

/// What is wrong, and in which line.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Opens the text of a `!vault` value.
pub(crate) type Open<'a> = dyn FnMut(&str) -> Result<Zeroizing<String>, String> + 'a;

/// A document that was read.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) tree: Tree,
    /// What was sealed inline, with the path to it.
    pub(crate) sealed: Vec<(String, Zeroizing<String>)>,
}

/// Reads the one document of `text`; none at all is [`Tree::Null`].
pub(crate) fn read(text: &str, open: &mut Open<'_>) -> Result<Document, Fault> {
    let parser = Parser::new_from_str(text);
    let mut reader =
        Reader { parser, open, anchors: BTreeMap::new(), sealed: Vec::new(), budget: MAX_VALUES };
    let mut tree = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::DocumentStart(_), line) if tree.is_some() => {
                return Err(Fault { line, why: "a second document begins".into() });
            }
            (Event::DocumentStart(_), _) => {
                let (event, line) = reader.next()?;
                tree = Some(reader.value(event, line, "", 0)?);
            }
            (_, line) => return Err(Fault { line, why: "a value stands outside".into() }),
        }
    }
    Ok(Document { tree: tree.unwrap_or(Tree::Null), sealed: reader.sealed })
}

/// Why `text` is no file of variables, if it is none. What is sealed in it must be all there, and
/// is not opened.
pub(crate) fn fault(text: &str) -> Option<Fault> {
    let mut whole = |sealed: &str| match cipher::look_at(sealed.trim_start().as_bytes()) {
        Ok(()) => Ok(Zeroizing::new(sealed.to_owned())),
        Err(error) => Err(format!("a value is sealed: {error}")),
    };
    match read(text, &mut whole) {
        Ok(Document { tree: Tree::Null | Tree::Map(_), .. }) => None,
        Ok(_) => Some(Fault { line: 1, why: "it is no map of names and values".into() }),
        Err(fault) => Some(fault),
    }
}

/// Deeper than people nest.
const MAX_DEPTH: usize = 64;

/// More values than people write; aliases of aliases multiply.
const MAX_VALUES: usize = 100_000;

struct Reader<'a, 'input> {
    parser: Parser<'input, StrInput<'input>>,
    open: &'a mut Open<'a>,
    anchors: BTreeMap<usize, Tree>,
    sealed: Vec<(String, Zeroizing<String>)>,
    budget: usize,
}

impl<'input> Reader<'_, 'input> {
    fn next(&mut self) -> Result<(Event<'input>, usize), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                Err(Fault { line: error.marker().line(), why: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    /// The value that begins with `event`.
    fn value(
        &mut self,
        event: Event<'input>,
        line: usize,
        path: &str,
        depth: usize,
    ) -> Result<Tree, Fault> {
        let fault = |why: &str| Fault { line, why: why.to_owned() };
        if depth > MAX_DEPTH {
            return Err(fault("it is nested too deeply"));
        }
        self.spend(1, line)?;
        let (anchor, tree) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), line, path)?)
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(path, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(path, depth)?),
            Event::Alias(anchor) => {
                let tree = self.anchors.get(&anchor).cloned();
                let tree = tree.ok_or_else(|| fault("an alias names what is not there yet"))?;
                self.spend(size(&tree), line)?;
                return Ok(tree);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(fault("a value is missing")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        Ok(tree)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        line: usize,
        path: &str,
    ) -> Result<Tree, Fault> {
        let named = tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix.as_str()));
        match named {
            None if style == ScalarStyle::Plain => Ok(scalar::resolve(text)),
            None | Some((true, "str") | (_, "")) => Ok(Tree::text(text.to_owned())),
            Some((true, "int" | "float" | "bool" | "null")) => Ok(scalar::resolve(text)),
            Some((false, "unsafe")) => Ok(Tree::Verbatim(Zeroizing::new(text.to_owned()))),
            Some((false, "vault" | "vault-encrypted")) => {
                let opened = (self.open)(text).map_err(|why| Fault { line, why })?;
                self.sealed.push((path.to_owned(), opened.clone()));
                Ok(Tree::Text(opened))
            }
            Some((_, other)) => {
                let other: String = other.chars().take(40).collect();
                Err(Fault { line, why: format!("`!{other}` is not known") })
            }
        }
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Tree, Fault> {
        let mut values = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Tree::List(values));
            }
            let path = format!("{path}[{}]", values.len());
            values.push(self.value(event, line, &path, depth + 1)?);
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<Tree, Fault> {
        let (mut own, mut merged) = (Vec::<(String, Tree)>::new(), Vec::new());
        loop {
            let (event, line) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let name = name(&self.value(event, line, path, depth + 1)?)
                .ok_or_else(|| Fault { line, why: "a name is no text".into() })?;
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{name}");
            let (event, at) = self.next()?;
            let value = self.value(event, at, &path, depth + 1)?;
            if name == "<<" {
                merged.extend(merge(value).ok_or_else(|| Fault {
                    line: at,
                    why: "`<<` takes a map, or a list of maps".into(),
                })?);
            } else if own.iter().any(|(known, _)| *known == name) {
                return Err(Fault { line, why: format!("`{name}` is there twice") });
            } else {
                own.push((name, value));
            }
        }
        // What stands here itself goes before what is merged, the first of those before others.
        for (name, value) in merged {
            if !own.iter().any(|(known, _)| *known == name) {
                own.push((name, value));
            }
        }
        Ok(Tree::Map(own))
    }

    fn spend(&mut self, values: usize, line: usize) -> Result<(), Fault> {
        let left = self.budget.checked_sub(values);
        self.budget = left
            .ok_or_else(|| Fault { line, why: format!("it has more than {MAX_VALUES} values") })?;
        Ok(())
    }
}

/// A value as a name, as Python would print it.
fn name(value: &Tree) -> Option<String> {
    match value {
        Tree::Text(text) | Tree::Verbatim(text) => Some(text.to_string()),
        Tree::Int(number) => Some(number.to_string()),
        Tree::Float(number) => Some(number.to_string()),
        Tree::Bool(yes) => Some(if *yes { "True" } else { "False" }.to_owned()),
        Tree::Null | Tree::List(_) | Tree::Map(_) => None,
    }
}

fn merge(value: Tree) -> Option<Vec<(String, Tree)>> {
    match value {
        Tree::Map(members) => Some(members),
        Tree::List(maps) => {
            let maps: Option<Vec<_>> = maps.into_iter().map(merge).collect();
            Some(maps?.into_iter().flatten().collect())
        }
        Tree::Null
        | Tree::Bool(_)
        | Tree::Int(_)
        | Tree::Float(_)
        | Tree::Text(_)
        | Tree::Verbatim(_) => None,
    }
}

fn size(tree: &Tree) -> usize {
    match tree {
        Tree::List(values) => 1 + values.iter().map(size).sum::<usize>(),
        Tree::Map(members) => 1 + members.iter().map(|(_, value)| size(value)).sum::<usize>(),
        Tree::Null
        | Tree::Bool(_)
        | Tree::Int(_)
        | Tree::Float(_)
        | Tree::Text(_)
        | Tree::Verbatim(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_plain(text: &str) -> Result<Tree, String> {
        let document = read(text, &mut |sealed| Ok(Zeroizing::new(format!("opened {sealed}"))));
        document.map(|document| document.tree).map_err(|f| format!("line {}: {}", f.line, f.why))
    }

    fn text(text: &str) -> Tree {
        Tree::text(text.to_owned())
    }

    #[test]
    fn quotes_and_tags_decide_what_a_word_is() {
        let tree =
            read_plain("a: yes\nb: 'yes'\nc: !!str 12\nd: !unsafe '{{ x }}'\ne: 012\n").unwrap();
        assert!(tree.member("a") == Some(&Tree::Bool(true)));
        assert!(tree.member("b") == Some(&text("yes")));
        assert!(tree.member("c") == Some(&text("12")));
        assert!(tree.member("d") == Some(&Tree::Verbatim(Zeroizing::new("{{ x }}".into()))));
        assert!(tree.member("e") == Some(&Tree::Int(10)));
    }

    #[test]
    fn what_was_sealed_inline_is_known_by_its_path() {
        let mut open = |_: &str| Ok(Zeroizing::new("12".to_owned()));
        let document = read("a:\n  - b: !vault |\n      x\n", &mut open).unwrap();
        assert_eq!(document.sealed, [("a[0].b".into(), Zeroizing::new("12".into()))]);
    }

    #[test]
    fn anchors_and_merges_are_followed_and_bounded() {
        let tree = read_plain("base: &b {x: 1, y: 2}\nown:\n  <<: *b\n  y: 3\n").unwrap();
        let own = tree.member("own").unwrap();
        assert!(own.member("x") == Some(&Tree::Int(1)) && own.member("y") == Some(&Tree::Int(3)));
        let bomb: String = (1..20)
            .map(|n| {
                let last = n - 1;
                format!("a{n}: &a{n} [*a{last}, *a{last}, *a{last}, *a{last}]\n")
            })
            .collect();
        let error = read_plain(&format!("a0: &a0 x\n{bomb}")).unwrap_err();
        assert!(error.contains("more than 100000 values"), "{error}");
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(read_plain(&deep).unwrap_err().contains("nested too deeply"));
    }

    #[test]
    fn faults_have_their_line() {
        assert_eq!(read_plain("a: 1\nb: 2\na: 3\n").unwrap_err(), "line 3: `a` is there twice");
        assert_eq!(read_plain("a: !ruby/x 1\n").unwrap_err(), "line 1: `!ruby/x` is not known");
        assert!(read_plain("a: 1\nb: [1\n").unwrap_err().starts_with("line "));
        assert!(read_plain("a: 1\n---\nb: 2\n").unwrap_err().contains("second document"));
        assert!(read_plain("").unwrap() == Tree::Null);
    }
}
