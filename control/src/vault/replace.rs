//! One value of a YAML text becomes another, and nothing else of the text changes: its
//! comments, its order and its quotes stay.
//!
//! The parser says where the value stands. What is written in its place is read again as a
//! whole, and taken only where that is the same tree but for the one value: what cannot be
//! written in a way that passes (a value that an alias repeats, one that a tag makes a number)
//! is refused, and a person must do it.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use zeroize::Zeroizing;

use super::route::Route;
use super::tree::Step;
use super::yaml::{self, Document};

/// `text` with `new` where `route` leads to; of a `!vault` value `new` is what was sealed.
///
/// # Errors
///
/// [`Error`].
pub fn replace(text: &str, route: &Route, new: &str) -> Result<Zeroizing<String>, Error> {
    let steps = route.steps();
    let before = read(text).ok_or(Error::Unread)?;
    let expected = match route.value(&before.tree) {
        None => return Err(Error::NotThere { variable: route.to_string() }),
        Some(_) => before.tree.with(&steps, new),
    };
    let expected = expected.ok_or_else(|| Error::NotOne { variable: route.to_string() })?;
    let refused = || Error::Unsure { variable: route.to_string() };
    let place = find(text, &steps).ok_or_else(refused)?;
    let names = |document: &Document| -> Vec<String> {
        document.sealed.iter().map(|(name, _)| name.clone()).collect()
    };
    let is_right = |written: &Zeroizing<String>| {
        read(written).is_some_and(|after| after.tree == expected && names(&after) == names(&before))
    };
    place.written(text, new).into_iter().find(is_right).ok_or_else(refused)
}

/// What is sealed by itself where `route` leads to.
pub(super) fn sealed_value(text: &str, route: &Route) -> Option<Zeroizing<String>> {
    let sealed = read(text)?.sealed;
    let way = route.to_string();
    sealed.into_iter().find(|(name, _)| *name == way).map(|(_, sealed)| sealed)
}

/// The document with `!vault` values as they are: sealed.
fn read(text: &str) -> Option<Document> {
    yaml::read(text, &mut |sealed| Ok(Zeroizing::new(sealed.to_owned()))).ok()
}

/// Where a scalar stands, and how.
struct Place {
    /// Its bytes; of a block scalar the indicators that it begins with.
    span: Range<usize>,
    /// Of a block scalar the lines of its content.
    content: Option<Range<usize>>,
    /// Between braces or brackets, where only one line is taken.
    is_in_flow: bool,
    is_single_quoted: bool,
    /// How far what it belongs to is indented.
    around: usize,
    /// How far the lines of a block are to be.
    indent: usize,
}

impl Place {
    /// The whole text with `new` in this place, in every way that may do, the nearest to what
    /// was there first.
    fn written(&self, text: &str, new: &str) -> Vec<Zeroizing<String>> {
        let is_long = self.content.is_some() || new.contains('\n');
        let block = (is_long && !self.is_in_flow).then(|| self.block(new)).flatten();
        let block = block.map(|(head, lines)| self.put(text, &head, &lines));
        let plain = new.chars().all(|letter| !letter.is_control());
        let single =
            (plain && self.is_single_quoted).then(|| format!("'{}'", new.replace('\'', "''")));
        let quoted = single.into_iter().chain([double_quoted(new).to_string()]).map(Zeroizing::new);
        block.into_iter().chain(quoted.map(|word| self.put(text, &word, ""))).collect()
    }

    /// `head` in place of the scalar, and `lines` below its line. What follows it in its line
    /// stays: a comment.
    fn put(&self, text: &str, head: &str, lines: &str) -> Zeroizing<String> {
        let after = text.get(self.span.end..).unwrap_or_default();
        let line_end = after.find('\n').map_or(text.len(), |at| self.span.end + at);
        let content = self.content.clone().unwrap_or(line_end..line_end);
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        let mut out =
            Zeroizing::new(String::with_capacity(text.len() + head.len() + lines.len() + 2));
        out.push_str(part(0..self.span.start));
        out.push_str(head);
        out.push_str(part(self.span.end..content.start));
        out.push_str(lines);
        out.push_str(part(content.end..text.len()));
        out
    }

    /// As a literal block (YAML 1.2.2, section 8.1.2): its indicators, and its lines with the
    /// end of the line before. `None` for what has no such form.
    fn block(&self, new: &str) -> Option<(String, Zeroizing<String>)> {
        let body = new.trim_end_matches('\n');
        let is_plain = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
        if body.is_empty() || !body.chars().all(is_plain) {
            return None;
        }
        let chomping = match new.len() - body.len() {
            0 => "-",
            1 => "",
            _ => "+",
        };
        // Lines that begin with spaces need to be told how many are the block's; one digit may.
        let indentation = if body.trim_start_matches('\n').starts_with(' ') {
            let deeper = self.indent.checked_sub(self.around);
            deeper.filter(|by| (1..=9).contains(by))?.to_string()
        } else {
            String::new()
        };
        let mut lines = Zeroizing::new(String::with_capacity(2 * new.len() + 64));
        let whole = new.strip_suffix('\n').unwrap_or(new);
        for line in whole.split('\n') {
            lines.push('\n');
            if !line.is_empty() {
                lines.extend(std::iter::repeat_n(' ', self.indent));
                lines.push_str(line);
            }
        }
        Some((format!("|{indentation}{chomping}"), lines))
    }
}

/// Between double quotes, where everything can be written (section 5.7).
fn double_quoted(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(2 * text.len() + 16));
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Breaks of lines to readers of YAML 1.1, and what no text of YAML may hold.
            letter
                if letter.is_control()
                    || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Where the scalar stands that `steps` lead to; `None` where they lead through an alias or
/// what was merged, or to no scalar.
fn find(text: &str, steps: &[Step]) -> Option<Place> {
    let mut finder = Finder { text, parser: Parser::new_from_str(text), found: None };
    loop {
        match finder.next()? {
            (Event::StreamEnd, _) => return finder.found,
            (Event::DocumentStart(_), _) => {
                let (event, span) = finder.next()?;
                finder.value(event, span, Some(steps), Around { column: 0, is_flow: false })?;
            }
            _ => {} // the other events around a document
        }
    }
}

struct Finder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    found: Option<Place>,
}

/// What a value stands in.
#[derive(Clone, Copy)]
struct Around {
    column: usize,
    is_flow: bool,
}

impl<'a> Finder<'a> {
    /// The next event, and its bytes.
    fn next(&mut self) -> Option<(Event<'a>, Range<usize>)> {
        let (event, span) = self.parser.next_event()?.ok()?;
        Some((event, self.byte(span.start.index())..self.byte(span.end.index())))
    }

    /// The parser counts characters.
    fn byte(&self, index: usize) -> usize {
        self.text.char_indices().nth(index).map_or(self.text.len(), |(byte, _)| byte)
    }

    /// Reads the value that begins with `event`; `steps` are those that are left where it is on
    /// the way.
    fn value(
        &mut self,
        event: Event<'a>,
        span: Range<usize>,
        steps: Option<&[Step]>,
        around: Around,
    ) -> Option<()> {
        let start = self.after_properties(span.start);
        let is_flow = around.is_flow || self.from(start).starts_with(['[', '{']);
        let inside = Around { column: self.column(start), is_flow };
        let next = |step: &Step| match steps {
            Some([first, rest @ ..]) if first == step => Some(rest),
            Some(_) | None => None,
        };
        match event {
            Event::Scalar(_, style, _, tag) => {
                let typed = |tag: &Tag| tag.is_yaml_core_schema() && tag.suffix != "str";
                let is_typed = tag.as_deref().is_some_and(typed);
                if steps.is_some_and(<[Step]>::is_empty) && !is_typed {
                    self.found = Some(self.place(style, start..span.end, around)?);
                }
            }
            Event::SequenceStart(..) => {
                for at in 0.. {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    self.value(event, span, next(&Step::At(at)), inside)?;
                }
            }
            Event::MappingStart(..) => loop {
                let (event, span) = self.next()?;
                if event == Event::MappingEnd {
                    break;
                }
                let name = if let Event::Scalar(name, ..) = &event {
                    Some(Step::Name(name.to_string()))
                } else {
                    None // no name that could be written down
                };
                let inside = Around { column: self.column(span.start), ..inside };
                self.value(event, span, None, inside)?;
                let (event, span) = self.next()?;
                self.value(event, span, name.as_ref().and_then(next), inside)?;
            },
            Event::Alias(_)
            | Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {}
        }
        Some(())
    }

    fn from(&self, byte: usize) -> &'a str {
        self.text.get(byte..).unwrap_or_default()
    }

    fn column(&self, byte: usize) -> usize {
        let before = self.text.get(..byte).unwrap_or_default();
        before.len() - before.rfind('\n').map_or(0, |at| at + 1)
    }

    /// Behind the tag and the anchor, which the parser takes for a part of the value.
    fn after_properties(&self, start: usize) -> usize {
        let mut rest = self.from(start);
        while rest.starts_with(['!', '&']) {
            rest = rest.trim_start_matches(|letter: char| !letter.is_whitespace()).trim_start();
        }
        self.text.len() - rest.len()
    }

    fn place(&self, style: ScalarStyle, span: Range<usize>, around: Around) -> Option<Place> {
        let place = Place {
            span: span.clone(),
            content: None,
            is_in_flow: around.is_flow,
            is_single_quoted: style == ScalarStyle::SingleQuoted,
            around: around.column,
            indent: around.column + 2,
        };
        match style {
            ScalarStyle::Plain => Some(place),
            // Of quotes the parser says where what follows them begins.
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let end = span.start + quoted(self.from(span.start))?;
                Some(Place { span: span.start..end, ..place })
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let start = self.indicators(span.start)?;
                Some(self.block(Place { span: start..start, ..place }))
            }
        }
    }

    /// Where a block scalar begins: `start`, or where that is in its first line of content, in
    /// the line above.
    fn indicators(&self, start: usize) -> Option<usize> {
        if self.from(start).starts_with(['|', '>']) {
            return Some(start);
        }
        let before = self.text.get(..start)?;
        let before = before.get(..before.rfind('\n')?)?.trim_end();
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.get(begin..)?;
        let is_head = |at: &usize| {
            let rest = line.get(at + 1..).unwrap_or_default();
            let rest = rest.trim_start_matches(|c: char| "+-".contains(c) || c.is_ascii_digit());
            rest.trim_start().is_empty() || rest.trim_start().starts_with('#')
        };
        let found = line.match_indices(['|', '>']).map(|(at, _)| at).find(is_head);
        found.map(|at| begin + at)
    }

    /// A block scalar's indicators, and its lines as far as they are indented; empty ones behind
    /// them stay where they are.
    fn block(&self, place: Place) -> Place {
        let start = place.span.start;
        let rest = self.from(start);
        let is_indicator = |letter: char| "|>+-".contains(letter) || letter.is_ascii_digit();
        let head = rest.find(|letter| !is_indicator(letter)).unwrap_or(rest.len());
        let begin = rest.find('\n').unwrap_or(rest.len());
        let (mut end, mut at, mut indent) = (begin, begin, None);
        while let Some(line) = rest.get(at + 1..).filter(|line| !line.is_empty()) {
            let line = line.split('\n').next().unwrap_or_default();
            let by = line.len() - line.trim_start_matches(' ').len();
            let is_blank = line.trim().is_empty();
            if !is_blank && by < *indent.get_or_insert_with(|| by.max(place.around + 1)) {
                break;
            }
            at += 1 + line.len();
            if !is_blank {
                end = at;
            }
        }
        Place {
            span: start..start + head,
            content: Some(start + begin..start + end),
            indent: indent.unwrap_or(place.indent),
            ..place
        }
    }
}

/// The bytes of what `text` begins with between quotes, and of the quotes.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let is_doubled = quote == '\'' && letters.peek().is_some_and(|(_, next)| *next == quote);
        if letter == '\\' && quote == '"' || letter == quote && is_doubled {
            letters.next();
        } else if letter == quote {
            return Some(at + 1);
        }
    }
    None
}

/// Why a value was not replaced. What it is, nobody says.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no YAML of variables.
    #[error("it cannot be read as variables")]
    Unread,
    /// The way leads nowhere.
    #[error("`{variable}` is not there")]
    NotThere {
        /// The way.
        variable: String,
    },
    /// The way leads to a list or a map.
    #[error("`{variable}` is not a single value")]
    NotOne {
        /// The way.
        variable: String,
    },
    /// It is written in a way in which others would change with it.
    #[error("`{variable}` is written in a way that only a person should change")]
    Unsure {
        /// The way.
        variable: String,
    },
}

#[cfg(test)]
#[path = "replace_tests.rs"]
mod tests;
