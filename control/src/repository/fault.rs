//! What is wrong with a file, and where: enough for a sentence, and for a picture of the line.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What: lower case, no full stop.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub advice: Option<String>,
    /// Where; `None` for what is said nowhere.
    pub place: Option<Place>,
}

impl Fault {
    /// A fault of the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None, place: None }
    }
}

/// In a sentence: `line 3: unknown field …; did you mean …?`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "line {}: ", place.line)?;
        }
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

/// A part of one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Its first character, counted from 1.
    pub column: usize,
    /// How many characters it has; 0 for a point between two.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// The bytes `span` of `file`; of several lines, the first.
    pub fn of_span(file: &str, span: Range<usize>) -> Option<Self> {
        let before = file.get(..span.start)?;
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let text = without_end(file.get(begin..)?.split('\n').next()?);
        let end = span.end.min(begin + text.len());
        let width = file.get(span.start..end).map_or(0, |part| part.chars().count());
        let column = file.get(begin..span.start)?.chars().count() + 1;
        Some(Self { line, column, width, text: text.to_owned() })
    }

    /// The character at `column` of `line`, as other programs say where an error is.
    pub fn at(file: &str, line: usize, column: usize) -> Option<Self> {
        let text = without_end(file.split('\n').nth(line.checked_sub(1)?)?);
        // Past the end of the line there is nothing to underline.
        let width = usize::from(column <= text.chars().count());
        Some(Self { line, column, width, text: text.to_owned() })
    }

    /// All of `line` but the white space around it.
    pub fn of_line(file: &str, line: usize) -> Option<Self> {
        let text = without_end(file.split('\n').nth(line.checked_sub(1)?)?);
        let before = text.chars().count() - text.trim_start().chars().count();
        let width = text.trim().chars().count();
        Some(Self { line, column: before + 1, width, text: text.to_owned() })
    }
}

fn without_end(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

/// What is wrong, collected, so that the operator hears of everything at once.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Named>);

/// A fault of the setting `name`, whose place is not looked up yet.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) message: String,
    pub(super) advice: Option<String>,
}

impl Faults {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `name` leads to the setting: `health.checks #2.timeout`.
    pub(super) fn add(&mut self, name: &str, message: String) {
        self.0.push(Named { name: name.to_owned(), message, advice: None });
    }

    /// As [`Faults::add`], with what to write instead, if that is known.
    pub(super) fn advise(&mut self, name: &str, message: String, advice: Option<String>) {
        self.0.push(Named { name: name.to_owned(), message, advice });
    }

    pub(super) fn take<T>(
        &mut self,
        name: &str,
        result: Result<T, impl fmt::Display>,
    ) -> Option<T> {
        result.map_err(|error| self.add(name, error.to_string())).ok()
    }

    pub(super) fn into_inner(self) -> Vec<Named> {
        self.0
    }
}

#[cfg(test)]
impl Faults {
    /// As sentences without places.
    pub(super) fn sentences(&self) -> Vec<String> {
        self.0.iter().map(|named| format!("{}: {}", named.name, named.message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_and_ends_with_its_line() {
        let file = "a = 1\r\nö = [\n 2 ]\n";
        let found = file.find('[').unwrap();
        let place = Place::of_span(file, found..file.len()).unwrap();
        assert_eq!((place.line, place.column, place.width), (2, 5, 1));
        assert_eq!(place.text, "ö = [");
        let first = Place::of_span(file, 0..100).unwrap();
        assert_eq!((first.text.as_str(), first.width), ("a = 1", 5));
        assert_eq!(Place::of_span(file, 100..101), None);
    }

    #[test]
    fn other_programs_count_likewise() {
        let place = Place::at("{\n  a = ;\n}\n", 2, 7).unwrap();
        assert_eq!((place.text.as_str(), place.width), ("  a = ;", 1));
        let line = Place::of_line("a\n  b c \r\n", 2).unwrap();
        assert_eq!((line.column, line.width, line.text.as_str()), (3, 3, "  b c "));
        assert_eq!(Place::at("{", 1, 2).unwrap().width, 0);
        assert_eq!(Place::at("{", 7, 1), None);
        assert_eq!(Place::at("{", 0, 1), None);
    }
}
