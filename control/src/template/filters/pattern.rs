//! Patterns as Python's `re` has them, by the crate `fancy-regex`.
//!
//! Where the syntax of the two differs, the pattern is translated: `$` also matches before
//! a last newline, `\Z` is the very end, and `[` in a class is a letter like any other.

use fancy_regex::Regex;
use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::arguments::{Arguments, fault};
use super::super::python;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("regex_replace", regex_replace);
    environment.add_filter("regex_search", regex_search);
    environment.add_filter("regex_findall", regex_findall);
    environment.add_filter("regex_escape", regex_escape);
    for (name, how) in
        [("match", Begin::Here), ("search", Begin::Anywhere), ("regex", Begin::Anywhere)]
    {
        environment.add_test(name, move |value: Value, given: Rest<ValueOrKwargs>| {
            let given =
                Arguments::new(&["pattern", "ignorecase", "multiline", "match_type"], &given)?;
            let text = python::string(&value)?;
            let found = regex(&given, "pattern")?.captures(text.as_str()).map_err(failed)?;
            Ok::<_, Error>(found.is_some_and(|found| {
                how == Begin::Anywhere || found.get(0).is_some_and(|all| all.start() == 0)
            }))
        });
    }
}

type Captures<'t> = fancy_regex::Captures<'t, str>;

#[derive(Clone, Copy, PartialEq)]
enum Begin {
    Here,
    Anywhere,
}

fn regex_replace(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    const NAMES: &[&str] =
        &["pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"];
    let given = Arguments::new(NAMES, &given)?;
    let (text, regex) = (python::string(&value)?, regex(&given, "pattern")?);
    let replacement = Replacement::parse(&given.text("replacement")?.unwrap_or_default())?;
    let most = given.whole("count")?.and_then(|most| usize::try_from(most).ok()).filter(|n| *n > 0);
    let found = matches(&regex, &text, most)?;
    if let Some(needed) = given.whole("mandatory_count")?.filter(|needed| *needed != 0)
        && i64::try_from(found.len()) != Ok(needed)
    {
        return Err(fault(format!(
            "the pattern should match {needed} times, and matches {}",
            found.len()
        )));
    }
    let (mut out, mut end) = (String::new(), 0);
    for found in &found {
        let Some(all) = found.get(0) else { continue };
        out.push_str(&text[end..all.start()]);
        replacement.expand(found, &mut out)?;
        end = all.end();
    }
    out.push_str(&text[end..]);
    Ok(out)
}

/// The match, or the groups that are asked for as `'\\1'` or `'\\g<name>'`.
fn regex_search(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (places, given) = Arguments::after_places(&["ignorecase", "multiline"], &given)?;
    let Some((pattern, groups)) = places.split_first() else {
        return Err(fault("`regex` is missing"));
    };
    if let Some(other) = groups.iter().find(|group| !is_group(group)) {
        return Err(fault(format!(r"`{other}` is no group such as `\1` or `\g<name>`")));
    }
    let text = python::string(&value)?;
    let regex = compiled(&python::string(pattern)?, &given)?;
    let Some(found) = regex.captures(text.as_str()).map_err(failed)? else {
        return Ok(Value::from(()));
    };
    let group = |name: &str| match name.parse() {
        Ok(number) => found.get(number),
        Err(_) => found.name(name),
    };
    if groups.is_empty() {
        return Ok(found.get(0).map_or_else(|| Value::from(()), |all| Value::from(all.as_str())));
    }
    let groups = groups.iter().map(|asked| {
        let name =
            asked.as_str().unwrap_or_default().trim_start_matches("\\g").trim_start_matches('\\');
        let name = name.trim_matches(['<', '>']);
        group(name).map_or_else(|| Value::from(()), |found| Value::from(found.as_str()))
    });
    Ok(groups.collect())
}

fn is_group(argument: &Value) -> bool {
    let text = argument.as_str().unwrap_or_default();
    let number = text
        .strip_prefix('\\')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    number || text.starts_with("\\g<")
}

/// Whole matches, or the group where there is one, or lists where there are more.
fn regex_findall(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = Arguments::new(&["regex", "multiline", "ignorecase"], &given)?;
    let (text, regex) = (python::string(&value)?, regex(&given, "regex")?);
    let found = matches(&regex, &text, None)?;
    let group = |found: &Captures<'_>, number| {
        Value::from(found.get(number).map(|group| group.as_str()).unwrap_or_default())
    };
    Ok(found
        .iter()
        .map(|found| match found.len() {
            0 | 1 => group(found, 0),
            2 => group(found, 1),
            count => (1..count).map(|number| group(found, number)).collect(),
        })
        .collect())
}

/// As Python's `re.escape`.
fn regex_escape(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(&["re_type"], &given)?;
    let special = match given.text("re_type")?.as_deref().unwrap_or("python") {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "].[^$*\\",
        other => return Err(fault(format!("regex_escape('{other}') is not known"))),
    };
    let text = python::string(&value)?;
    Ok(text.chars().fold(String::new(), |mut out, c| {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    }))
}

/// The pattern called `name`, with the flags beside it.
fn regex(given: &Arguments, name: &str) -> Result<Regex, Error> {
    compiled(&given.text(name)?.unwrap_or_default(), given)
}

fn compiled(pattern: &str, given: &Arguments) -> Result<Regex, Error> {
    let (ignore, multiline) = (given.yes("ignorecase"), given.yes("multiline"));
    let mut flags = String::new();
    if ignore {
        flags += "(?i)";
    }
    if multiline {
        flags += "(?m)";
    }
    Regex::new(&(flags + &translate(pattern, multiline)))
        .map_err(|error| fault(format!("the pattern `{pattern}` is not right: {error}")))
}

/// Python's syntax in that of `fancy-regex`.
fn translate(pattern: &str, multiline: bool) -> String {
    let multiline = multiline || pattern.starts_with("(?m");
    let (mut out, mut letters) = (String::new(), pattern.chars().peekable());
    // How many letters of a class have been read; a `]` that comes first is one of them.
    let mut class: Option<usize> = None;
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            match letters.next() {
                Some('Z') if class.is_none() => out.push_str("\\z"),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            }
            class = class.map(|read| read + 1);
            continue;
        }
        class = match (class, letter) {
            (None, '[') => {
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                Some(0)
            }
            (None, '$') if !multiline => {
                out.push_str("(?=\\n?\\z)");
                None
            }
            (None, other) => {
                out.push(other);
                None
            }
            (Some(0), ']') => {
                out.push_str("\\]");
                Some(1)
            }
            (Some(_), ']') => {
                out.push(']');
                None
            }
            (Some(read), other) => {
                if matches!(other, '[' | '&' | '~') {
                    out.push('\\');
                }
                out.push(other);
                Some(read + 1)
            }
        };
    }
    out
}

/// All matches, in Python's sense: an empty one may follow another at once, but not itself.
fn matches<'t>(
    regex: &Regex,
    text: &'t str,
    most: Option<usize>,
) -> Result<Vec<Captures<'t>>, Error> {
    let (mut found, mut from, mut empty_at) = (Vec::new(), 0, None);
    while from <= text.len() && most.is_none_or(|most| found.len() < most) {
        let Some(next) = regex.captures_from_pos(text, from).map_err(failed)? else { break };
        let Some((start, end)) = next.get(0).map(|all| (all.start(), all.end())) else { break };
        if start == end && empty_at == Some(start) {
            let step = text[from..].chars().next().map_or(1, char::len_utf8);
            from += step;
            continue;
        }
        empty_at = (start == end).then_some(end);
        from = end;
        found.push(next);
    }
    Ok(found)
}

fn failed(error: fancy_regex::Error) -> Error {
    fault(format!("the pattern could not be tried: {error}"))
}

/// What takes the place of a match: `\1`, `\g<1>`, `\g<name>`, and text.
struct Replacement(Vec<Part>);

enum Part {
    Text(String),
    Group(String),
}

impl Replacement {
    fn parse(text: &str) -> Result<Self, Error> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('\\') {
            parts.push(Part::Text(before.to_owned()));
            let bad = || fault(format!("`\\{after}` is no replacement"));
            let first = after.chars().next().ok_or_else(bad)?;
            rest = match first {
                'g' => {
                    let (name, rest) =
                        after.strip_prefix("g<").and_then(|t| t.split_once('>')).ok_or_else(bad)?;
                    parts.push(Part::Group(name.to_owned()));
                    rest
                }
                '1'..='9' => {
                    let two = after.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_digit()));
                    let digits = two.unwrap_or(&after[..1]);
                    parts.push(Part::Group(digits.to_owned()));
                    &after[digits.len()..]
                }
                'n' | 't' | 'r' | '\\' => {
                    let letter = match first {
                        'n' => "\n",
                        't' => "\t",
                        'r' => "\r",
                        _ => "\\",
                    };
                    parts.push(Part::Text(letter.to_owned()));
                    &after[1..]
                }
                other if other.is_ascii_alphanumeric() => return Err(bad()),
                // Python keeps the backslash before what is no letter.
                other => {
                    parts.push(Part::Text(format!("\\{other}")));
                    &after[other.len_utf8()..]
                }
            };
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    fn expand(&self, found: &Captures<'_>, out: &mut String) -> Result<(), Error> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(name) => {
                    let group = match name.parse::<usize>() {
                        Ok(number) if number < found.len() => found.get(number),
                        Ok(number) => return Err(fault(format!("there is no group {number}"))),
                        Err(_) => found.name(name),
                    };
                    out.push_str(group.map(|group| group.as_str()).unwrap_or_default());
                }
            }
        }
        Ok(())
    }
}
