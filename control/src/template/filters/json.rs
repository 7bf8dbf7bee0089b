//! JSON as Python writes it: spaces after separators, everything beyond ASCII escaped.

use std::fmt::Write as _;

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::arguments::{Arguments, fault};
use super::super::python;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("to_json", to_json);
    environment.add_filter("tojson", to_json);
    environment.add_filter("to_nice_json", to_nice_json);
    environment.add_filter("from_json", from_json);
}

const NAMES: &[&str] = &["indent", "sort_keys", "ensure_ascii"];

fn to_json(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(NAMES, &given)?;
    write_with(&value, &given, given.whole("indent")?, given.yes("sort_keys"))
}

fn to_nice_json(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(NAMES, &given)?;
    let sorted = given.value("sort_keys").is_none_or(Value::is_true);
    write_with(&value, &given, Some(given.whole("indent")?.unwrap_or(4)), sorted)
}

fn write_with(
    value: &Value,
    given: &Arguments,
    indent: Option<i64>,
    sorted: bool,
) -> Result<String, Error> {
    let ascii = given.value("ensure_ascii").is_none_or(Value::is_true);
    let indent =
        indent.map(usize::try_from).transpose().map_err(|_| fault("`indent` is negative"))?;
    let writer = Writer { indent, sorted, ascii };
    let mut out = String::new();
    writer.value(&mut out, value, 0)?;
    Ok(out)
}

fn from_json(value: Value) -> Result<Value, Error> {
    let text = python::string(&value)?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| fault(format!("from_json: line {}: it is no JSON", error.line())))?;
    Ok(value_of(value))
}

fn value_of(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(yes) => Value::from(yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (None, Some(number), _) => Value::from(number),
            (None, None, number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text),
        Json::Array(values) => values.into_iter().map(value_of).collect(),
        Json::Object(members) => {
            Value::from_pairs(members.into_iter().map(|(name, value)| (name, value_of(value))))
        }
    }
}

struct Writer {
    indent: Option<usize>,
    sorted: bool,
    ascii: bool,
}

impl Writer {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of minijinja may grow")]
    fn value(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
            ValueKind::Number => {
                let number = f64::try_from(value.clone())?;
                out.push_str(&match python::float(number).as_str() {
                    "inf" => "Infinity".to_owned(),
                    "-inf" => "-Infinity".to_owned(),
                    "nan" => "NaN".to_owned(),
                    plain => plain.to_owned(),
                });
            }
            ValueKind::String => self.text(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let values: Vec<_> = value.try_iter()?.collect();
                self.listed(out, ['[', ']'], &values, depth, |out, value| {
                    self.value(out, value, depth + 1)
                })?;
            }
            ValueKind::Map => {
                let mut names: Vec<_> = value.try_iter()?.collect();
                if self.sorted {
                    names.sort();
                }
                self.listed(out, ['{', '}'], &names, depth, |out, name| {
                    self.text(out, &python::string(name)?);
                    out.push_str(": ");
                    self.value(out, &value.get_item(name)?, depth + 1)
                })?;
            }
            ValueKind::Undefined | ValueKind::Invalid => return Err(python::undefined(value)),
            other => return Err(fault(format!("a {other} cannot be JSON"))),
        }
        Ok(())
    }

    fn listed(
        &self,
        out: &mut String,
        [open, close]: [char; 2],
        items: &[Value],
        depth: usize,
        mut write: impl FnMut(&mut String, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push_str(if self.indent.is_some() { "," } else { ", " });
            }
            self.line(out, depth + 1);
            write(out, item)?;
        }
        if !items.is_empty() {
            self.line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn text(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}
