//! The tokens of a Nix file, which may be a Jinja template at the same time.
//!
//! No parser of Nix reads such a file before it is rendered, and nothing is to be laid out anew,
//! so this is a scanner: it knows comments, both kinds of strings with what is interpolated in
//! them, paths, names and brackets (Nix manual, "Lexical structure"). It goes forward only, and
//! keeps its own stack.

use std::ops::Range;

use super::places::Kind as JinjaKind;

/// Longer than any file that people write. Each step looks ahead as far as a path goes, no further.
const MOST_BYTES: usize = 1 << 20;

/// Longer than any path.
const LONGEST_PATH: usize = 1024;

/// The tokens of a text, without its comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) list: Vec<Token>,
    /// Whether every bracket and every string was closed by what belongs to it.
    pub(super) is_whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
    /// The index of what closes or opens it, for brackets and quotes.
    pub(super) partner: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{`, `[`, `(` or `${`
    Open(Bracket),
    Close(Bracket),
    /// Where a string begins, and where it ends.
    Quote(Quote),
    EndQuote(Quote),
    /// Some of a string.
    Text,
    Name,
    /// Such as `./hardware.nix`.
    Path,
    /// Such as `<nixpkgs/nixos>`.
    SearchPath,
    /// A URI without quotes.
    Uri,
    /// Any other character.
    Mark(char),
    /// Jinja, also where it stands in a comment.
    Jinja(JinjaKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Brace,
    Square,
    Round,
    Interpolation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quote {
    /// `"`
    Double,
    /// `''`
    Indented,
}

/// Whether a text is rendered by Jinja before Nix reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Nix,
    Template,
}

impl Tokens {
    /// Reads `text`; of one that is too long nothing.
    pub(super) fn of(text: &str, reading: Reading) -> Self {
        if Self::is_too_long(text) {
            return Self::default();
        }
        let mut lexer = Lexer {
            text,
            at: 0,
            reading,
            list: Vec::new(),
            open: Vec::new(),
            is_whole: true,
            unclosed: [false; 4],
        };
        while lexer.at < text.len() {
            match lexer.quote() {
                Some(quote) => lexer.in_string(quote),
                None => lexer.in_code(),
            }
        }
        Self { is_whole: lexer.is_whole && lexer.open.is_empty(), list: lexer.list }
    }

    /// Whether `text` is longer than what is read.
    pub(super) fn is_too_long(text: &str) -> bool {
        text.len() > MOST_BYTES
    }

    /// Whether `text` is Nix only once Jinja has rendered it: `{{` and `{%` stand in no Nix
    /// outside of strings and comments.
    pub(super) fn is_template(text: &str) -> bool {
        let tokens = Self::of(text, Reading::Nix).list;
        tokens.windows(2).any(|pair| match pair {
            [first, second] => {
                first.kind == Kind::Open(Bracket::Brace)
                    && first.range.end == second.range.start
                    && matches!(second.kind, Kind::Open(Bracket::Brace) | Kind::Mark('%'))
            }
            _ => false,
        })
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    reading: Reading,
    list: Vec<Token>,
    /// The tokens that opened what is not closed yet.
    open: Vec<usize>,
    is_whole: bool,
    /// Kinds of Jinja that nothing closes any more from here on; the last is `raw`.
    unclosed: [bool; 4],
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn starts_with(&self, what: &str) -> bool {
        self.rest().starts_with(what)
    }

    /// The string that is open.
    fn quote(&self) -> Option<Quote> {
        let opened = self.open.last().and_then(|at| self.list.get(*at));
        match opened.map(|token| token.kind) {
            Some(Kind::Quote(quote)) => Some(quote),
            Some(_) | None => None,
        }
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let range = self.at..self.at + length;
        self.at = range.end;
        self.list.push(Token { kind, range, partner: None });
    }

    fn open(&mut self, kind: Kind, length: usize) {
        self.open.push(self.list.len());
        self.push(kind, length);
    }

    fn close(&mut self, kind: Kind, length: usize) {
        let closes = |opened: Kind| match (opened, kind) {
            (Kind::Open(Bracket::Interpolation), Kind::Close(Bracket::Brace)) => true,
            (Kind::Open(opened), Kind::Close(closed)) => opened == closed,
            (Kind::Quote(opened), Kind::EndQuote(closed)) => opened == closed,
            (_, _) => false,
        };
        let here = self.list.len();
        self.push(kind, length);
        let Some(before) = self.open.pop() else {
            self.is_whole = false;
            return;
        };
        let is_pair = self.list.get(before).is_some_and(|token| closes(token.kind));
        self.is_whole &= is_pair;
        if let Some(token) = self.list.get_mut(before).filter(|_| is_pair) {
            token.partner = Some(here);
        }
        if let Some(token) = self.list.get_mut(here).filter(|_| is_pair) {
            token.partner = Some(before);
        }
    }

    /// Passes Jinja, if some begins here.
    fn jinja(&mut self) -> bool {
        if self.reading == Reading::Nix || !self.rest().starts_with('{') {
            return false;
        }
        let kinds = [
            ("{{", "}}", JinjaKind::Expression),
            ("{%", "%}", JinjaKind::Statement),
            ("{#", "#}", JinjaKind::Comment),
        ];
        for (known, (open, close, kind)) in kinds.into_iter().enumerate() {
            if !self.starts_with(open) || self.unclosed[known] {
                continue;
            }
            let inside = self.rest().get(open.len()..).unwrap_or_default();
            let Some(mut length) = inside.find(close) else {
                self.unclosed[known] = true;
                return false;
            };
            // What is raw is text to Jinja, whatever stands in it.
            let word = inside.get(..length).unwrap_or_default().trim_matches(['-', '+', ' ']);
            if kind == JinjaKind::Statement && word == "raw" && !self.unclosed[RAW] {
                let end = inside.find("endraw").and_then(|at| {
                    let behind = inside.get(at..)?.find(close)?;
                    Some(at + behind)
                });
                let is_unclosed = end.is_none();
                length = end.unwrap_or(length);
                self.unclosed[RAW] = is_unclosed;
            }
            self.push(Kind::Jinja(kind), open.len() + length + close.len());
            return true;
        }
        false
    }

    fn in_string(&mut self, quote: Quote) {
        let is_indented = quote == Quote::Indented;
        let is_end = match quote {
            Quote::Double => self.starts_with("\""),
            // `'''`, `''$` and `''\` are escapes.
            Quote::Indented => {
                self.starts_with("''")
                    && !["'''", "''$", "''\\"].iter().any(|escape| self.starts_with(escape))
            }
        };
        if is_end {
            return self.close(Kind::EndQuote(quote), if is_indented { 2 } else { 1 });
        }
        if self.jinja() {
            return;
        }
        if self.starts_with("${") {
            return self.open(Kind::Open(Bracket::Interpolation), 2);
        }
        let char = |rest: &str| rest.chars().next().map_or(0, char::len_utf8);
        let rest = self.rest();
        // `'''`, `''$` and `$$` are whole; a backslash escapes what follows it.
        let length = match (is_indented, rest) {
            (true, rest) if rest.starts_with("''\\") => 3 + char(rest.get(3..).unwrap_or_default()),
            (true, rest) if rest.starts_with("''") => 3,
            (false, rest) if rest.starts_with('\\') => 1 + char(rest.get(1..).unwrap_or_default()),
            (_, rest) if rest.starts_with("$$") => 2,
            (true | false, rest) => char(rest),
        };
        let here = self.at;
        match self.list.last_mut() {
            Some(token) if token.kind == Kind::Text && token.range.end == here => {
                self.at += length;
                token.range.end = self.at;
            }
            Some(_) | None => self.push(Kind::Text, length),
        }
    }

    fn in_code(&mut self) {
        let Some(char) = self.rest().chars().next() else { return };
        if char.is_whitespace() {
            self.at += char.len_utf8();
            return;
        }
        if char == '#' {
            return self.comment("\n");
        }
        if self.starts_with("/*") {
            return self.comment("*/");
        }
        if self.jinja() {
            return;
        }
        let end = (self.at + LONGEST_PATH).min(self.text.len());
        let near = self.text.get(self.at..self.text.floor_char_boundary(end)).unwrap_or_default();
        let (path, search, uri) = (path(near), search_path(near), uri(near));
        match (char, path, search, uri) {
            (_, Some(length), ..) => self.push(Kind::Path, length),
            (_, _, Some(length), _) => self.push(Kind::SearchPath, length),
            (.., Some(length)) => self.push(Kind::Uri, length),
            ('"', ..) => self.open(Kind::Quote(Quote::Double), 1),
            ('\'', ..) if self.starts_with("''") => self.open(Kind::Quote(Quote::Indented), 2),
            ('$', ..) if self.starts_with("${") => {
                self.open(Kind::Open(Bracket::Interpolation), 2);
            }
            ('{', ..) => self.open(Kind::Open(Bracket::Brace), 1),
            ('[', ..) => self.open(Kind::Open(Bracket::Square), 1),
            ('(', ..) => self.open(Kind::Open(Bracket::Round), 1),
            ('}', ..) => self.close(Kind::Close(Bracket::Brace), 1),
            (']', ..) => self.close(Kind::Close(Bracket::Square), 1),
            (')', ..) => self.close(Kind::Close(Bracket::Round), 1),
            (char, ..) if char.is_ascii_alphabetic() || char == '_' => {
                let end = |c: char| !(c.is_ascii_alphanumeric() || "_'-".contains(c));
                let length = self.rest().find(end).unwrap_or_else(|| self.rest().len());
                self.push(Kind::Name, length);
            }
            // `a//b` merges, and has no path in it.
            ('/', ..) if self.starts_with("//") => self.push(Kind::Mark('/'), 2),
            (char, ..) => self.push(Kind::Mark(char), char.len_utf8()),
        }
    }

    /// Passes a comment; Jinja does not know that it is one.
    fn comment(&mut self, end: &str) {
        while self.at < self.text.len() {
            if self.starts_with(end) {
                self.at += end.len();
                return;
            }
            if !self.jinja() {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            }
        }
    }
}

/// Where `raw` stands in [`Lexer::unclosed`].
const RAW: usize = 3;

fn is_part_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._+-".contains(c)
}

/// The length of the path that begins here: parts with `/` between them.
fn path(rest: &str) -> Option<usize> {
    let parts = |rest: &str| rest.find(|c| !is_part_of_path(c)).unwrap_or(rest.len());
    let mut length = if rest.starts_with('~') { 1 } else { parts(rest) };
    let first = length;
    loop {
        let behind = rest.get(length..)?.strip_prefix('/').unwrap_or_default();
        let part = parts(behind);
        if part == 0 {
            // `./${name}.nix`
            let is_open = behind.starts_with("${") && !rest.starts_with('/');
            return (length > first || is_open).then_some(length + usize::from(is_open));
        }
        length += 1 + part;
    }
}

/// The length of `<nixpkgs/nixos>`.
fn search_path(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('<')?;
    let length = inside.find(|c| !is_part_of_path(c) && c != '/')?;
    let is_closed = length > 0 && inside.get(length..)?.starts_with('>');
    is_closed.then_some(length + 2)
}

/// The length of a URI without quotes.
fn uri(rest: &str) -> Option<usize> {
    let scheme = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))?;
    let is_scheme = rest.starts_with(|c: char| c.is_ascii_alphabetic());
    let inside = rest.get(scheme..)?.strip_prefix(':').filter(|_| is_scheme)?;
    let end = |c: char| !(c.is_ascii_alphanumeric() || "%/?:@&=+$,_.!~*'-".contains(c));
    let length = inside.find(end).unwrap_or(inside.len());
    (length > 0).then_some(scheme + 1 + length)
}

#[cfg(test)]
#[path = "lex_tests.rs"]
mod tests;
