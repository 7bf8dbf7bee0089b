//! How values print where Python would print them.

use std::fmt::Write as _;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, Output, State};

/// Prints what `{{ … }}` gives; nothing prints nothing, as in Ansible.
pub(super) fn format(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    out.write_str(&text(value)?).map_err(Error::from)
}

/// `str(value)`, but nothing for `None`.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    if value.is_none() { Ok(String::new()) } else { string(value) }
}

/// `str(value)`.
pub(super) fn string(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => repr(value),
    }
}

/// `repr(value)`.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of minijinja may grow")]
fn repr(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(undefined(value)),
        ValueKind::None => Ok("None".into()),
        ValueKind::Bool => Ok(if value.is_true() { "True" } else { "False" }.into()),
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        ValueKind::Number => {
            Ok(f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float))
        }
        ValueKind::String => Ok(quoted(value.as_str().unwrap_or_default())),
        // Ansible makes lists of tuples.
        ValueKind::Seq | ValueKind::Iterable => {
            let values: Result<Vec<_>, Error> =
                value.try_iter()?.map(|value| repr(&value)).collect();
            Ok(format!("[{}]", values?.join(", ")))
        }
        ValueKind::Map => {
            let mut text = String::from("{");
            for (at, key) in value.try_iter()?.enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                let _ = write!(text, "{}: {}", repr(&key)?, repr(&value.get_item(&key)?)?);
            }
            text.push('}');
            Ok(text)
        }
        // An invalid value holds the error that made it.
        ValueKind::Invalid => Err(undefined(value)),
        _ => Ok(value.to_string()),
    }
}

/// The error of using an undefined value, which knows what it was.
pub(super) fn undefined(value: &Value) -> Error {
    match value.get_attr("") {
        Err(error) => error,
        Ok(_) => Error::from(minijinja::ErrorKind::UndefinedError),
    }
}

/// `repr` of text: single quotes, unless it holds those and no double ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `repr` of a float: as short as can be, with an exponent from 1e16 on and below 1e-4.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts were given by Python 3.11.
    #[test]
    fn numbers_and_text_print_as_in_python() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-2.5e300, "-2.5e+300"),
            (0.0, "0.0"),
        ] {
            assert_eq!(float(number), text);
        }
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("it's \"so\""), "'it\\'s \"so\"'");
        assert_eq!(quoted("a\n\\\u{1}é"), "'a\\n\\\\\\x01é'");
    }
}
