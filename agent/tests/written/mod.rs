//! The command lines that the documentation shows, as a shell would read them. Both
//! programs' tests use this file.
//!
//! A block of code must be typed as it stands; what is quoted within a sentence may leave
//! out what is not spoken of (`floe push --revert`). WORDS IN CAPITALS and `…` stand for
//! something.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A command, and where it stands.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) place: String,
    pub(crate) words: Vec<String>,
    /// Whether it is of a block of code.
    pub(crate) whole: bool,
}

/// README.md and `docs/`.
pub(crate) fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> =
        docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// Every line with `program` is one that `command` takes; how many there are.
pub(crate) fn are_taken(command: &clap::Command, program: &str) -> usize {
    let mut faults = Vec::new();
    let written: Vec<_> = pages().iter().flat_map(|page| commands(page, program)).collect();
    for Written { place, words, whole } in &written {
        let Err(error) = command.clone().try_get_matches_from(words) else { continue };
        let fault = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => false,
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => *whole,
            ErrorKind::ValueValidation | ErrorKind::InvalidValue => !stands_for_something(&error),
            _ => true,
        };
        if fault {
            faults.push(format!("{place}: {}: {error}", words.join(" ")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    written.len()
}

fn stands_for_something(error: &clap::Error) -> bool {
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => {
            value.contains('…') || value.is_empty() || value.starts_with('$') || capitals(value)
        }
        _ => false,
    }
}

fn capitals(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The commands of a page that begin with `program`.
fn commands(page: &Path, program: &str) -> Vec<Written> {
    let name = page.file_name().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(page).unwrap();
    let mut found = Vec::new();
    for (line, code) in blocks(&text) {
        for words in commands_of(&code, program) {
            found.push(Written { place: format!("{name}:{line}"), words, whole: true });
        }
    }
    for quoted in prose(&text).split('`').skip(1).step_by(2) {
        for words in commands_of(quoted, program) {
            found.push(Written { place: name.clone(), words, whole: false });
        }
    }
    found
}

/// Blocks of a shell's lines: fenced by `sh`, or indented; each with the number of its
/// first line.
pub(crate) fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut fence: Option<bool> = None;
    let mut last = 0;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language == "sh") };
            continue;
        }
        let indented = line.strip_prefix("    ");
        let Some(code) = (match fence {
            Some(true) => Some(line),
            Some(false) => None,
            None => indented,
        }) else {
            continue;
        };
        match blocks.last_mut().filter(|_| last + 1 == number) {
            Some((_, block)) => *block += &format!("\n{code}"),
            None => blocks.push((number, code.to_owned())),
        }
        last = number;
    }
    blocks
}

/// What is no block of code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            prose += &format!("{line}\n");
        }
    }
    prose
}

/// The commands that begin with `program`, as words. What follows a prompt counts, what
/// the command answered does not.
pub(crate) fn commands_of(code: &str, program: &str) -> Vec<Vec<String>> {
    let session = code.lines().any(|line| line.starts_with("$ "));
    let typed: Vec<_> = code
        .lines()
        .filter(|line| !session || line.starts_with("$ "))
        .map(|line| line.strip_prefix("$ ").unwrap_or(line))
        .collect();
    let mut found = Vec::new();
    for mut words in split(&typed.join("\n")) {
        while words.first().is_some_and(|word| word == "sudo" || is_assignment(word)) {
            words.remove(0);
        }
        if words.first().is_some_and(|word| word == program) {
            found.push(words);
        }
    }
    found
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && capitals(name))
}

/// A shell's words, command by command; what follows `>` or `<` is no word of it.
fn split(code: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut word: Option<String> = None;
    let mut redirected = false;
    let mut letters = code.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'\n') => drop(letters.next()),
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                while let Some(inner) = letters.next().filter(|inner| *inner != letter) {
                    word.push(inner);
                }
            }
            '#' if word.is_none() => while letters.next_if(|next| *next != '\n').is_some() {},
            ' ' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>' => {
                if let Some(word) = word.take().filter(|_| !std::mem::take(&mut redirected)) {
                    words.push(word);
                }
                redirected |= matches!(letter, '<' | '>');
                if !matches!(letter, ' ' | '<' | '>') {
                    redirected = false;
                    commands.push(std::mem::take(&mut words));
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word.filter(|_| !redirected));
    commands.push(words);
    commands
}
