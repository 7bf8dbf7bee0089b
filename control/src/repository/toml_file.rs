//! Reads one TOML file: bounded, and everything that is wrong with it with its place.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::error::Error;
use super::fault::{Fault, Faults, Place};
use super::suggest::nearest;

/// Longer than any file that a person writes for us.
const MAX_BYTES: u64 = 1 << 20;

/// More faults than anybody reads at once.
const MAX_FAULTS: usize = 50;

/// The text of `path`.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let mut file = std::fs::File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1);
    file.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        let fault = Fault::of_file(format!("it has more than {MAX_BYTES} bytes"));
        return Err(wrong(path, vec![fault]));
    }
    Ok(text)
}

/// `text` as `T`, and where everything stands in it; `path` is where it came from.
pub(super) fn parse<'a, T: DeserializeOwned>(
    text: &'a str,
    path: &Path,
) -> Result<(T, Document<'a>), Error> {
    let (table, faults) = DeTable::parse_recoverable(text);
    let document = Document { text, table };
    if !faults.is_empty() {
        return Err(wrong(path, document.syntax_faults(&faults)));
    }
    match document.read() {
        Ok(read) => Ok((read, document)),
        Err(faults) => Err(wrong(path, faults)),
    }
}

/// The error for a file with `faults`.
pub(super) fn wrong(path: &Path, faults: Vec<Fault>) -> Error {
    Error::Wrong { path: path.to_owned(), faults }
}

/// A file whose TOML was read, with the places of everything in it.
#[derive(Debug)]
pub(super) struct Document<'a> {
    text: &'a str,
    table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// The places of what could be read of `text`.
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, table: DeTable::parse_recoverable(text).0 }
    }

    /// Where `name` is said, as `health.checks #2.timeout`; or the table that it is missing in.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        let mut span = None;
        let (mut table, mut rest) = (self.table.get_ref(), name);
        while let Some((key, value, after)) = step(table, rest) {
            let (value, after) = numbered(value, after);
            let inner = value.get_ref().as_table();
            let next = after.strip_prefix('.');
            // A table spans lines; its name is what a person looks for.
            span = Some(match inner {
                Some(_) if value.span().is_empty() => key,
                Some(_) => first_line(self.text, value.span(), key),
                None => value.span(),
            });
            let (Some(inner), Some(next)) = (inner, next) else { break };
            (table, rest) = (inner, next);
        }
        Place::of_span(self.text, span?)
    }

    /// The faults with their places, as an error of `path`.
    pub(super) fn wrong(&self, path: &Path, faults: Faults) -> Error {
        let fault = |named: super::fault::Named| Fault {
            place: self.place(&named.name),
            message: format!("{}: {}", named.name, named.message),
            advice: named.advice,
        };
        wrong(path, in_order(faults.into_inner().into_iter().map(fault).collect()))
    }

    /// One for each line, since a slip makes nonsense of what follows it.
    fn syntax_faults(&self, errors: &[toml::de::Error]) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        for error in errors.iter().take(MAX_FAULTS) {
            let fault = self.fault(error);
            let line = |fault: &Fault| fault.place.as_ref().map(|place| place.line);
            if !faults.iter().any(|known| line(known) == line(&fault)) {
                faults.push(fault);
            }
        }
        in_order(faults)
    }

    /// Reads it as `T`. What does not fit is taken out, and the rest is tried again: so the
    /// next fault is found as well.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Fault>> {
        let (mut faults, mut taken) = (Vec::new(), BTreeSet::new());
        let mut table = self.table.clone();
        while faults.len() < MAX_FAULTS {
            let error = match T::deserialize(Deserializer::from(table.clone())) {
                Ok(read) if faults.is_empty() => return Ok(read),
                Ok(_) => break,
                Err(error) => error,
            };
            // What was taken out, or is there under a mistyped name, is not missing.
            if !missing(error.message()).is_some_and(|field| taken.contains(field)) {
                taken.extend(guess(error.message()).map(str::to_owned));
                faults.push(self.fault(&error));
            }
            let span = error.span().filter(|span| *span != self.table.span());
            match span.and_then(|span| take_out(table.get_mut(), &span)) {
                Some(key) => drop(taken.insert(key)),
                None => break,
            }
        }
        Err(in_order(faults))
    }

    /// What the parser or serde said, with its place.
    pub(super) fn fault(&self, error: &toml::de::Error) -> Fault {
        let message = error.message().trim().replace('\n', ", ");
        // What the whole file lacks is nowhere in it.
        let span = error.span().filter(|span| *span != self.table.span());
        let place = span.and_then(|span| Place::of_span(self.text, span));
        let advice = guess(&message).map(|known| format!("did you mean `{known}`?"));
        // The guess is shorter than the list that it was taken from.
        let guessed = advice.as_ref().and_then(|_| message.split_once(", expected"));
        let message = guessed.map_or(message.as_str(), |(said, _)| said).to_owned();
        Fault { message, advice, place }
    }
}

/// The entry of `table` that `name` begins with, and what is left of the name. Keys may hold
/// dots, so the longest wins.
fn step<'t, 'n, 'a>(
    table: &'t DeTable<'a>,
    name: &'n str,
) -> Option<(Range<usize>, &'t Spanned<DeValue<'a>>, &'n str)> {
    let found = table.iter().filter_map(|(key, value)| {
        let rest = name.strip_prefix(&**key.get_ref())?;
        let ends = rest.is_empty() || rest.starts_with('.') || rest.starts_with(" #");
        ends.then(|| (key.span(), value, rest))
    });
    found.min_by_key(|(_, _, rest)| rest.len())
}

/// For `#2`, the second of an array.
fn numbered<'t, 'n, 'a>(
    value: &'t Spanned<DeValue<'a>>,
    name: &'n str,
) -> (&'t Spanned<DeValue<'a>>, &'n str) {
    let Some(after) = name.strip_prefix(" #") else { return (value, name) };
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (number, rest) = after.split_at(digits);
    let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    match index.and_then(|index| value.get_ref().as_array()?.get(index)) {
        Some(item) => (item, rest),
        None => (value, rest),
    }
}

/// `span` if it lies in one line, else the `key`.
fn first_line(text: &str, span: Range<usize>, key: Range<usize>) -> Range<usize> {
    let one_line = text.get(span.clone()).is_some_and(|part| !part.contains('\n'));
    if one_line { span } else { key }
}

/// The field that is missing, where that is the fault (`serde::de::Error::missing_field`).
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// As a reader of the file meets them.
fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.place.as_ref().map(|place| (place.line, place.column)));
    faults
}

/// Removes the smallest entry of `table` that `span` is in, and says its key.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    if let Some(key) = table.iter_mut().find_map(|(_, value)| take_out_of_value(value, span)) {
        return Some(key);
    }
    let found = table
        .iter()
        .find(|(key, value)| is_within(span, &key.span()) || is_within(span, &value.span()));
    let key = found.map(|(key, _)| key.get_ref().clone().into_owned())?;
    table.remove(key.as_str());
    Some(key)
}

fn take_out_of_value(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(items) => {
            if let Some(key) = items.iter_mut().find_map(|item| take_out_of_value(item, span)) {
                return Some(key);
            }
            // An item of a list has no name.
            let at = items.iter().position(|item| is_within(span, &item.span()))?;
            let all = std::mem::replace(items, DeArray::new()).into_iter().enumerate();
            *items = all.filter(|(index, _)| *index != at).map(|(_, item)| item).collect();
            Some(String::new())
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

fn is_within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && !outer.is_empty()
}

/// What may be meant, by serde's own messages (`serde::de::Error::unknown_field` and others).
fn guess(message: &str) -> Option<&str> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    let (word, expected) = rest.split_once('`')?;
    // Every other part stands between backticks.
    nearest(word, expected.split('`').skip(1).step_by(2))
}

#[cfg(test)]
#[path = "toml_file_tests.rs"]
mod tests;
