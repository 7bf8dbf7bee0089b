//! Finds options in a Nix file whose value is one expression of Jinja, and all other Jinja.

use std::ops::Range;

use super::lex::{Bracket, Kind, Quote, Token, Tokens};
use super::places::{Assigned, Jinja, Places};

/// Longer than the path of any option.
const DEEPEST: usize = 32;

/// Looks through the tokens of `text`.
pub(super) fn scan(text: &str, tokens: &Tokens) -> Places {
    let mut scanner = Scanner {
        text,
        open: vec![Frame::new(Opened::Code, Vec::new())],
        places: Places::default(),
        pending: None,
    };
    for token in &tokens.list {
        scanner.token(token);
    }
    scanner.places
}

struct Scanner<'a> {
    text: &'a str,
    open: Vec<Frame>,
    places: Places,
    /// An option that stands if a `;` comes next.
    pending: Option<Assigned>,
}

/// Something that has begun and not ended.
struct Frame {
    opened: Opened,
    /// What the paths inside begin with.
    prefix: Vec<String>,
    /// The names before the next `=`.
    path: Vec<(String, Range<usize>)>,
    /// What comes after a `=`, until the `;`.
    is_value: bool,
    /// Whether the token before was the `=`.
    is_after_equals: bool,
    /// Whether the token before was a `.`.
    is_after_dot: bool,
    /// How many `;` belong to a `with` or `assert`, and end no value.
    semicolons: usize,
    /// Where it begins.
    start: usize,
    /// Jinja of a string: how many, and whether there is anything else.
    expressions: usize,
    has_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// The file, attributes, a list, a group or what is interpolated.
    Code,
    /// `let`, until its `in`
    Let,
    Text(Quote),
}

impl Frame {
    fn new(opened: Opened, prefix: Vec<String>) -> Self {
        Self {
            opened,
            prefix,
            path: Vec::new(),
            is_value: false,
            is_after_equals: false,
            is_after_dot: false,
            semicolons: 0,
            start: 0,
            expressions: 0,
            has_text: false,
        }
    }

    /// The path of what stands here.
    fn full(&self) -> Vec<String> {
        let here = self.path.iter().map(|(name, _)| name.clone());
        self.prefix.iter().cloned().chain(here).take(DEEPEST).collect()
    }
}

impl Scanner<'_> {
    fn token(&mut self, token: &Token) {
        let range = token.range.clone();
        let pending = self.pending.take();
        let in_string = self.open.last().is_some_and(|it| matches!(it.opened, Opened::Text(_)));
        match token.kind {
            Kind::Jinja(kind) => {
                if let Some(frame) = self.open.last_mut().filter(|_| in_string) {
                    frame.expressions += 1;
                }
                self.places.jinja.push(Jinja { range, kind });
            }
            Kind::Text => self.has_text(),
            Kind::Quote(quote) => self.begin(Opened::Text(quote), range.start, false),
            Kind::EndQuote(_) => self.string_ends(range.end),
            Kind::Open(bracket) => {
                if in_string {
                    self.has_text();
                }
                let is_group = matches!(bracket, Bracket::Square | Bracket::Round);
                self.begin(Opened::Code, range.start, is_group);
            }
            Kind::Close(_) => self.end(),
            Kind::Name => self.name(range),
            Kind::Mark(';') => {
                self.places.options.extend(pending);
                self.reset();
            }
            Kind::Mark('=') if !self.is_comparison(&range) => {
                if let Some(frame) = self.open.last_mut() {
                    (frame.is_value, frame.is_after_equals) = (true, true);
                }
            }
            Kind::Mark(':' | ',' | '@' | '?') => {
                if self.open.last().is_some_and(|frame| !frame.is_value) {
                    self.reset();
                }
            }
            Kind::Mark('.') => {
                if let Some(frame) = self.open.last_mut() {
                    frame.is_after_dot = true;
                }
            }
            Kind::Path | Kind::SearchPath | Kind::Uri | Kind::Mark(_) => {
                if let Some(frame) = self.open.last_mut() {
                    frame.is_after_equals = false;
                }
            }
        }
    }

    fn has_text(&mut self) {
        if let Some(frame) = self.open.last_mut() {
            frame.has_text = true;
        }
    }

    fn string_ends(&mut self, end: usize) {
        // What was closed by the wrong bracket has no frame of its own any more.
        let Some(Opened::Text(quote)) = self.open.last().map(|frame| frame.opened) else { return };
        let Some(string) = self.open.pop() else { return };
        let range = string.start..end;
        let inner = self.text.get(range.start + 1..range.end.saturating_sub(1));
        let Some(frame) = self.open.last_mut() else { return };
        if !frame.is_value {
            // `"www.a.org" = …`: a quoted name.
            if !frame.is_after_dot {
                frame.path.clear();
            }
            frame.path.push((inner.unwrap_or_default().to_owned(), range));
            frame.is_after_dot = false;
            return;
        }
        let is_one = string.expressions == 1 && !string.has_text;
        if is_one && frame.is_after_equals && quote == Quote::Double {
            let name = frame.path.last().map(|(_, range)| range.clone());
            let path = frame.full();
            self.pending = name.map(|name| Assigned { path, name, value: range });
        }
        frame.is_after_equals = false;
    }

    /// Whether the `=` here belongs to `==`, `<=`, `>=` or `!=`.
    fn is_comparison(&self, range: &Range<usize>) -> bool {
        let before = self.text.get(..range.start).unwrap_or_default();
        let after = self.text.get(range.end..).unwrap_or_default();
        before.ends_with(['<', '>', '!', '=']) || after.starts_with('=')
    }

    fn name(&mut self, range: Range<usize>) {
        let name = self.text.get(range.clone()).unwrap_or_default();
        let Some(frame) = self.open.last_mut() else { return };
        frame.is_after_equals = false;
        match name {
            "let" => {
                let mut inner = Frame::new(Opened::Let, vec!["let".to_owned()]);
                inner.start = range.start;
                return self.open.push(inner);
            }
            "in" if frame.opened == Opened::Let => return drop(self.open.pop()),
            "with" | "assert" => return frame.semicolons += 1,
            _ => {}
        }
        if frame.is_value {
            return;
        }
        if matches!(name, "rec" | "inherit") {
            return frame.path.clear();
        }
        if !frame.is_after_dot {
            frame.path.clear();
        }
        frame.is_after_dot = false;
        frame.path.push((name.to_owned(), range));
    }

    fn reset(&mut self) {
        if let Some(frame) = self.open.last_mut() {
            if frame.semicolons > 0 {
                frame.semicolons -= 1;
                return;
            }
            frame.path.clear();
            frame.is_value = false;
            frame.is_after_equals = false;
            frame.is_after_dot = false;
        }
    }

    fn begin(&mut self, opened: Opened, start: usize, is_group: bool) {
        let prefix = self.open.last_mut().map(|frame| {
            // A string is the value only where it ends with nothing else in it.
            if opened == Opened::Code {
                frame.is_after_equals = false;
            }
            if frame.is_value { frame.full() } else { frame.prefix.clone() }
        });
        let mut frame = Frame::new(opened, prefix.unwrap_or_default());
        frame.start = start;
        // A list or a group in a value holds values.
        frame.is_value = is_group;
        self.open.push(frame);
    }

    fn end(&mut self) {
        // A `let` without its `in` ends with what is around it.
        while self.open.len() > 1 && self.open.last().is_some_and(|it| it.opened == Opened::Let) {
            self.open.pop();
        }
        // The file itself stays open, whatever is closed too often.
        if self.open.len() > 1 {
            self.open.pop();
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
