//! Finds places in a Nix file that may be a Jinja template at the same time: options whose
//! value is one expression, other Jinja, and `imports`.
//!
//! No parser of Nix reads such a file before it is rendered, and nothing is to be laid out
//! anew, so this is a scanner: it knows comments, both kinds of strings with what is
//! interpolated in them, names with dots, and brackets. It goes forward only, and keeps its
//! own stack.

use std::ops::Range;

use super::places::{Assigned, Jinja, Kind, Places};

/// Scans `text`.
pub(super) fn scan(text: &str) -> Places {
    let mut scanner = Scanner {
        text,
        at: 0,
        open: vec![Frame::new(Opened::File, Vec::new())],
        places: Places::default(),
        pending: None,
    };
    while scanner.at < text.len() {
        scanner.step();
    }
    scanner.places.is_whole = scanner.open.len() == 1;
    scanner.places
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
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
    /// Where it begins, inside.
    start: usize,
    /// Jinja of a string: how many, and whether there is anything else.
    expressions: usize,
    has_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    File,
    /// `{`
    Attributes,
    /// `(` or `[`
    Group,
    /// `let`, until its `in`
    Let,
    /// `${`
    Interpolation,
    /// `"`
    Text,
    /// `''`
    Indented,
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
        self.prefix.iter().cloned().chain(here).collect()
    }
}

impl Scanner<'_> {
    fn step(&mut self) {
        let opened = self.open.last().map_or(Opened::File, |frame| frame.opened);
        match opened {
            Opened::Text | Opened::Indented => self.in_string(opened == Opened::Indented),
            Opened::File
            | Opened::Attributes
            | Opened::Group
            | Opened::Let
            | Opened::Interpolation => {
                self.in_code();
            }
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn starts_with(&self, what: &str) -> bool {
        self.rest().starts_with(what)
    }

    /// Passes what `end` ends, or everything.
    fn pass(&mut self, end: &str) {
        self.at = self.rest().find(end).map_or(self.text.len(), |at| self.at + at + end.len());
    }

    fn pass_char(&mut self) {
        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
    }

    /// Passes Jinja, if some begins here.
    fn jinja(&mut self) -> bool {
        let kinds = [
            ("{{", "}}", Kind::Expression),
            ("{%", "%}", Kind::Statement),
            ("{#", "#}", Kind::Comment),
        ];
        let Some((open, close, kind)) = kinds.into_iter().find(|(open, ..)| self.starts_with(open))
        else {
            return false;
        };
        let Some(length) = self.rest().get(open.len()..).and_then(|rest| rest.find(close)) else {
            return false;
        };
        let end = self.at + open.len() + length + close.len();
        self.places.jinja.push(Jinja { range: self.at..end, kind });
        self.at = end;
        true
    }

    fn in_string(&mut self, is_indented: bool) {
        let is_end = |scanner: &Self| match is_indented {
            false => scanner.starts_with("\""),
            // `'''`, `''$` and `''\` are escapes.
            true => {
                scanner.starts_with("''")
                    && !["'''", "''$", "''\\"].iter().any(|escape| scanner.starts_with(escape))
            }
        };
        if is_end(self) {
            self.at += if is_indented { 2 } else { 1 };
            self.string_ends();
        } else if self.jinja() {
            if let Some(frame) = self.open.last_mut() {
                frame.expressions += 1;
            }
        } else if self.starts_with("${") {
            self.has_text();
            self.at += 2;
            self.open.push(Frame::new(Opened::Interpolation, Vec::new()));
        } else {
            self.has_text();
            // `'''`, `''$` and `$$` are whole; a backslash escapes what follows it.
            let (length, escapes) = match (is_indented, self.rest()) {
                (true, rest) if rest.starts_with("''\\") => (3, true),
                (true, rest) if rest.starts_with("''") => (3, false),
                (false, rest) if rest.starts_with('\\') => (1, true),
                (_, rest) if rest.starts_with("$$") => (2, false),
                (true | false, _) => (0, true),
            };
            self.at += length;
            if escapes {
                self.pass_char();
            }
        }
    }

    fn has_text(&mut self) {
        if let Some(frame) = self.open.last_mut() {
            frame.has_text = true;
        }
    }

    fn string_ends(&mut self) {
        let Some(string) = self.open.pop() else { return };
        let range = string.start..self.at;
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
        if is_one && frame.is_after_equals && string.opened == Opened::Text {
            let name = frame.path.last().map(|(_, range)| range.clone());
            let path = frame.full();
            self.pending = name.map(|name| Assigned { path, name, value: range });
        }
        frame.is_after_equals = false;
    }

    fn in_code(&mut self) {
        let Some(char) = self.rest().chars().next() else { return };
        if char.is_whitespace() {
            self.pass_char();
            return;
        }
        if char == '#' {
            return self.pass("\n");
        }
        if self.starts_with("/*") {
            return self.pass("*/");
        }
        let pending = self.pending.take();
        if self.jinja() {
            return;
        }
        let start = self.at;
        match char {
            '"' => self.begin(Opened::Text, 1),
            '\'' if self.starts_with("''") => self.begin(Opened::Indented, 2),
            '$' if self.starts_with("${") => self.begin(Opened::Interpolation, 2),
            '{' => self.begin(Opened::Attributes, 1),
            '[' | '(' => self.begin(Opened::Group, 1),
            '}' | ']' | ')' => {
                self.end();
                self.at += 1;
            }
            '=' if !self.starts_with("==") && !self.is_comparison() => {
                self.at += 1;
                if let Some(frame) = self.open.last_mut() {
                    (frame.is_value, frame.is_after_equals) = (true, true);
                }
            }
            '=' => self.at += if self.starts_with("==") { 2 } else { 1 },
            ';' => {
                self.places.options.extend(pending);
                self.at += 1;
                self.reset();
            }
            ':' | ',' | '@' | '?' => {
                self.at += 1;
                if self.open.last().is_some_and(|frame| !frame.is_value) {
                    self.reset();
                }
            }
            '.' => {
                self.at += 1;
                if let Some(frame) = self.open.last_mut() {
                    frame.is_after_dot = true;
                }
            }
            char if char.is_ascii_alphabetic() || char == '_' => {
                let end = |c: char| !(c.is_ascii_alphanumeric() || "_'-".contains(c));
                let length = self.rest().find(end).unwrap_or_else(|| self.rest().len());
                self.at += length;
                self.name(start..self.at);
            }
            _ => {
                self.pass_char();
                if let Some(frame) = self.open.last_mut() {
                    frame.is_after_equals = false;
                }
            }
        }
    }

    /// Whether the `=` here belongs to `<=`, `>=` or `!=`.
    fn is_comparison(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        before.ends_with(['<', '>', '!'])
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

    fn begin(&mut self, opened: Opened, length: usize) {
        let prefix = self.open.last_mut().map(|frame| {
            // A string is the value only where it ends with nothing else in it.
            if !matches!(opened, Opened::Text | Opened::Indented) {
                frame.is_after_equals = false;
            }
            if frame.is_value { frame.full() } else { frame.prefix.clone() }
        });
        let mut frame = Frame::new(opened, prefix.unwrap_or_default());
        frame.start = self.at;
        // A list or a group in a value holds values.
        frame.is_value = opened == Opened::Group;
        self.open.push(frame);
        self.at += length;
    }

    fn end(&mut self) {
        // A `let` without its `in` ends with what is around it.
        while self.open.len() > 1 && self.open.last().is_some_and(|it| it.opened == Opened::Let) {
            self.open.pop();
        }
        // The file itself stays open, whatever is closed too often.
        if self.open.len() < 2 {
            return;
        }
        let Some(frame) = self.open.pop() else { return };
        let is_outermost =
            self.open.iter().all(|frame| matches!(frame.opened, Opened::File | Opened::Group));
        match frame.opened {
            Opened::Group => {
                let is_list = self.text.get(frame.start..=frame.start) == Some("[");
                let is_imports = frame.prefix.len() == 1
                    && frame.prefix.last().is_some_and(|name| name == "imports");
                if is_list && is_imports && self.places.imports.is_none() {
                    self.places.imports = Some(self.at);
                }
            }
            Opened::Attributes if is_outermost => {
                // `{ pkgs, ... }:` and `args@{ … }` are what a module is given.
                let after = self.text.get(self.at + 1..).unwrap_or_default().trim_start();
                if !after.starts_with([':', '@']) {
                    self.places.attributes = Some(frame.start + 1);
                }
            }
            Opened::Attributes
            | Opened::File
            | Opened::Let
            | Opened::Interpolation
            | Opened::Text
            | Opened::Indented => {}
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
