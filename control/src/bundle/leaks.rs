//! Finds secrets in what is about to be packed: as they are, and as they look when they were
//! encoded on the way.
//!
//! Pure: it is given values and files, and says where which value stands. What it looks for
//! is the value itself, hexadecimal, base64 at each of its three alignments, and escaped for
//! URLs, JSON and Nix; hexadecimal and base64 also where they are wrapped, as `base64` and PEM
//! have it. It does not find what was hashed, encrypted, compressed or cut in two.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aho_corasick::{AhoCorasick, BuildError};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

/// Shorter values stand everywhere by chance.
pub const SHORTEST: usize = 6;

/// A secret that stands in a file. The value is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The file, as it was given.
    pub file: PathBuf,
    /// The line that it begins in.
    pub line: usize,
    /// Which secret.
    pub secret: String,
    /// How it is written there.
    pub form: Form,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plain,
    /// Hexadecimal.
    Hex,
    /// Base64, for URLs or not.
    Base64,
    /// With `%` escapes.
    Url,
    /// As text of JSON.
    Json,
    /// As text of Nix.
    Nix,
}

impl Form {
    /// Whether it is written in lines of a certain length.
    fn is_wrapped(self) -> bool {
        match self {
            Self::Hex | Self::Base64 => true,
            Self::Plain | Self::Url | Self::Json | Self::Nix => false,
        }
    }

    /// As an operator calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "in the clear",
            Self::Hex => "in hexadecimal",
            Self::Base64 => "in base64",
            Self::Url => "escaped for a URL",
            Self::Json => "escaped for JSON",
            Self::Nix => "escaped for Nix",
        }
    }
}

/// What is looked for. Does not print.
pub struct Scan {
    patterns: AhoCorasick,
    /// Which secret and form each pattern is.
    meanings: Vec<(String, Form)>,
    too_short: Vec<String>,
}

impl Scan {
    /// Looks for these secrets: name and value of each.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for more than can be looked for at once.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, BuildError> {
        let (mut patterns, mut meanings, mut too_short) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in secrets {
            // White space around a value is not what makes it a secret.
            let value = value.trim_ascii();
            if value.len() < SHORTEST {
                if !value.is_empty() {
                    too_short.push(name.to_owned());
                }
                continue;
            }
            for (form, written) in forms(value).into_iter().chain(lines(value)) {
                patterns.push(written);
                meanings.push((name.to_owned(), form));
            }
        }
        let built = AhoCorasick::new(patterns.iter().map(|pattern| pattern.as_slice()))?;
        Ok(Self { patterns: built, meanings, too_short })
    }

    /// The secrets that are too short to be looked for.
    pub fn too_short(&self) -> &[String] {
        &self.too_short
    }

    /// Every secret that stands in one of these files, once for each file.
    pub fn find<'a>(&self, files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> Vec<Leak> {
        files.into_iter().flat_map(|(path, bytes)| self.find_in(path, bytes)).collect()
    }

    /// The same for one file.
    pub fn find_in(&self, path: &Path, bytes: &[u8]) -> Vec<Leak> {
        let (mut known, mut leaks) = (BTreeSet::new(), Vec::new());
        self.look(bytes, |secret, form, start| {
            if known.insert(secret.to_owned()) {
                leaks.push(leak(path, line(bytes, start), secret, form));
            }
        });
        let Some(joined) = joined(bytes) else { return leaks };
        self.look(&joined, |secret, form, start| {
            if form.is_wrapped() && known.insert(secret.to_owned()) {
                leaks.push(leak(path, line(bytes, original(bytes, start)), secret, form));
            }
        });
        leaks
    }

    /// Calls `found` with each secret that stands in `bytes`, how, and where it begins.
    fn look(&self, bytes: &[u8], mut found: impl FnMut(&str, Form, usize)) {
        for at in self.patterns.find_overlapping_iter(bytes) {
            if let Some((secret, form)) = self.meanings.get(at.pattern().as_usize()) {
                found(secret, *form, at.start());
            }
        }
    }
}

fn leak(path: &Path, line: usize, secret: &str, form: Form) -> Leak {
    Leak { file: path.to_owned(), line, secret: secret.to_owned(), form }
}

/// The line in which the byte `at` stands.
fn line(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// `bytes` with lines that were wrapped in one piece again: without white space, which no letter
/// of base64 or hexadecimal is. `None` where there is only one line.
fn joined(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    bytes.contains(&b'\n').then(|| {
        let mut joined = Zeroizing::new(Vec::with_capacity(bytes.len()));
        joined.extend(bytes.iter().filter(|byte| !byte.is_ascii_whitespace()));
        joined
    })
}

/// Where the byte stood that is at this place of what was [`joined`].
fn original(bytes: &[u8], place: usize) -> usize {
    let mut kept = bytes.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    kept.nth(place).map_or(bytes.len(), |(at, _)| at)
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("patterns", &self.meanings.len()).finish_non_exhaustive()
    }
}

/// How a value may be written, each way once, the plainest first.
fn forms(value: &[u8]) -> Vec<(Form, Zeroizing<Vec<u8>>)> {
    let mut forms: Vec<(Form, Zeroizing<Vec<u8>>)> = Vec::new();
    let mut add = |form, written: Vec<u8>| {
        let written = Zeroizing::new(written);
        if written.len() >= SHORTEST && forms.iter().all(|(_, known)| *known != written) {
            forms.push((form, written));
        }
    };
    add(Form::Plain, value.to_owned());
    add(Form::Hex, HEXLOWER.encode(value).into_bytes());
    add(Form::Hex, HEXUPPER.encode(value).into_bytes());
    for before in 0..3 {
        for alphabet in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
            add(Form::Base64, aligned(value, before, |bytes| alphabet.encode(bytes)));
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        add(Form::Url, percent(text, "-_.~").into_bytes());
        // As Python's `quote` and Jinja's `urlencode`, which let `/` be.
        add(Form::Url, percent(text, "-_.~/").into_bytes());
        add(Form::Json, json(text, false).into_bytes());
        add(Form::Json, json(text, true).into_bytes());
        add(Form::Nix, nix(text).into_bytes());
        // Between two single quotes only these two are escaped.
        add(Form::Nix, text.replace("''", "'''").replace("${", "''${").into_bytes());
    }
    forms
}

/// The lines of a value of several, by which it is known where it was indented: a key in a text
/// of Nix. What frames a key (RFC 7468) and what is short stands elsewhere, too.
fn lines(value: &[u8]) -> Vec<(Form, Zeroizing<Vec<u8>>)> {
    if !value.contains(&b'\n') {
        return Vec::new();
    }
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let telling = lines.filter(|line| line.len() >= 20 && !line.starts_with(b"-----"));
    telling.map(|line| (Form::Plain, Zeroizing::new(line.to_owned()))).collect()
}

/// The letters of base64 that are the same whatever stands before and after the value,
/// with `before` bytes of something else before it in its group of three.
fn aligned(value: &[u8], before: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let padded = Zeroizing::new([&[0; 2][..before], value].concat());
    let letters = Zeroizing::new(encode(&padded).into_bytes());
    // A letter holds six bits; those that begin before the value or end after it hold others'.
    let begin = (8 * before).div_ceil(6);
    let end = 8 * padded.len() / 6;
    letters.get(begin..end).unwrap_or_default().to_owned()
}

fn percent(text: &str, kept: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric() || kept.contains(letter) {
            out.push(letter);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn json(text: &str, ascii: bool) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter < ' ' || (ascii && letter > '~') => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            letter => out.push(letter),
        }
        out
    })
}

/// As Nix writes text between double quotes.
fn nix(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' if letters.peek() == Some(&'{') => out.push_str("\\$"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
#[path = "leaks_tests.rs"]
mod tests;
