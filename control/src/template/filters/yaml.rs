//! YAML as PyYAML writes it for Ansible: names sorted, and quotes only where they are needed.
//!
//! Not followed: lines are not folded at 80 columns, and text of several lines stands
//! between double quotes. What is read from it is the same.

use std::fmt::Write as _;

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::arguments::{Arguments, fault};
use super::super::python;
use super::super::scope::plain_value;
use crate::vault::{Tree, yaml};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("to_yaml", |value: Value, given: Rest<ValueOrKwargs>| {
        let given = Arguments::new(NAMES, &given)?;
        write(&value, &given, 2, Flow::Leaves)
    });
    environment.add_filter("to_nice_yaml", |value: Value, given: Rest<ValueOrKwargs>| {
        let given = Arguments::new(NAMES, &given)?;
        write(&value, &given, 4, Flow::Never)
    });
    environment.add_filter("from_yaml", |value: Value| {
        if value.is_none() {
            return Ok(value);
        }
        let text = python::string(&value)?;
        let mut open = |_: &str| Err("`!vault` is not opened by a filter".to_owned());
        let document = yaml::read(&text, &mut open);
        document
            .map(|document| plain_value(&document.tree))
            .map_err(|found| fault(format!("from_yaml: line {}: {}", found.line, found.why)))
    });
}

const NAMES: &[&str] = &["indent", "default_flow_style", "sort_keys", "width", "explicit_start"];

/// Which lists and maps stand on one line.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Never,
    /// Those that hold no others.
    Leaves,
    Always,
}

fn write(value: &Value, given: &Arguments, indent: usize, flow: Flow) -> Result<String, Error> {
    let flow = match given.value("default_flow_style") {
        None => flow,
        Some(style) if style.is_none() => Flow::Leaves,
        Some(style) if style.is_true() => Flow::Always,
        Some(_) => Flow::Never,
    };
    let step = given.whole("indent")?.map_or(Ok(indent), usize::try_from);
    // Outside of this PyYAML takes 2.
    let step = step.ok().filter(|step| (2..10).contains(step)).unwrap_or(2);
    let sorted = given.value("sort_keys").is_none_or(Value::is_true);
    let writer = Writer { step, flow, sorted };
    let mut out = String::new();
    if given.yes("explicit_start") {
        out.push_str("---\n");
    }
    if is_collection(value) {
        writer.block(&mut out, value, 0, false)?;
    } else {
        out.push_str(&scalar(value)?);
        out.push('\n');
    }
    Ok(out)
}

struct Writer {
    step: usize,
    flow: Flow,
    sorted: bool,
}

impl Writer {
    /// Writes a list or map from column `indent`; `begun` where the cursor is there already.
    fn block(
        &self,
        out: &mut String,
        value: &Value,
        indent: usize,
        begun: bool,
    ) -> Result<(), Error> {
        if self.is_on_one_line(value)? {
            self.one_line(out, value)?;
            out.push('\n');
            return Ok(());
        }
        let is_map = value.kind() == ValueKind::Map;
        for (at, item) in self.items(value)?.into_iter().enumerate() {
            if at > 0 || !begun {
                out.extend(std::iter::repeat_n(' ', indent));
            }
            if is_map {
                let _ = write!(out, "{}:", scalar(&item)?);
                let member = value.get_item(&item)?;
                if !is_collection(&member) || self.is_on_one_line(&member)? {
                    out.push(' ');
                    self.one_line(out, &member)?;
                    out.push('\n');
                } else {
                    out.push('\n');
                    // A list in a map begins where its name does.
                    let more = if member.kind() == ValueKind::Map { self.step } else { 0 };
                    self.block(out, &member, indent + more, false)?;
                }
            } else if !is_collection(&item) || self.is_on_one_line(&item)? {
                out.push_str("- ");
                self.one_line(out, &item)?;
                out.push('\n');
            } else {
                out.push('-');
                out.extend(std::iter::repeat_n(' ', self.step - 1));
                self.block(out, &item, indent + self.step, true)?;
            }
        }
        Ok(())
    }

    fn one_line(&self, out: &mut String, value: &Value) -> Result<(), Error> {
        if !is_collection(value) {
            out.push_str(&scalar(value)?);
            return Ok(());
        }
        let is_map = value.kind() == ValueKind::Map;
        out.push(if is_map { '{' } else { '[' });
        for (at, item) in self.items(value)?.into_iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            if is_map {
                let _ = write!(out, "{}: ", flow_scalar(&item)?);
                self.in_flow(out, &value.get_item(&item)?)?;
            } else {
                self.in_flow(out, &item)?;
            }
        }
        out.push(if is_map { '}' } else { ']' });
        Ok(())
    }

    fn in_flow(&self, out: &mut String, value: &Value) -> Result<(), Error> {
        if is_collection(value) {
            return self.one_line(out, value);
        }
        out.push_str(&flow_scalar(value)?);
        Ok(())
    }

    /// The values of a list, or the names of a map.
    fn items(&self, value: &Value) -> Result<Vec<Value>, Error> {
        let mut items: Vec<_> = value.try_iter()?.collect();
        if self.sorted && value.kind() == ValueKind::Map {
            items.sort();
        }
        Ok(items)
    }

    fn is_on_one_line(&self, value: &Value) -> Result<bool, Error> {
        let is_map = value.kind() == ValueKind::Map;
        let mut items = Vec::new();
        for item in value.try_iter()? {
            items.push(if is_map { value.get_item(&item)? } else { item });
        }
        Ok(items.is_empty()
            || match self.flow {
                Flow::Never => false,
                Flow::Leaves => !items.iter().any(is_collection),
                Flow::Always => true,
            })
    }
}

fn is_collection(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
}

fn flow_scalar(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) if text.contains([',', '?', '[', ']', '{', '}', ':']) && !is_special(text) => {
            Ok(single(text))
        }
        _ => scalar(value),
    }
}

/// A value that is neither list nor map.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of minijinja may grow")]
fn scalar(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "null".into(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => match python::float(f64::try_from(value.clone())?).as_str() {
            "inf" => ".inf".into(),
            "-inf" => "-.inf".into(),
            "nan" => ".nan".into(),
            // YAML 1.1 wants a point in every float.
            plain if !plain.contains('.') => plain.replacen('e', ".0e", 1),
            plain => plain.into(),
        },
        _ => {
            let text = python::string(value)?;
            if is_special(&text) {
                double(&text)
            } else if is_plain(&text) {
                text
            } else {
                single(&text)
            }
        }
    })
}

/// Whether only double quotes can hold it.
fn is_special(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

/// As `analyze_scalar` of PyYAML: whether it is read as the same text without quotes.
fn is_plain(text: &str) -> bool {
    let mut open = |_: &str| Err(String::new());
    let same = yaml::read(text, &mut open)
        .is_ok_and(|document| document.tree == Tree::text(text.to_owned()));
    let first = text.chars().next();
    let begins = |marks: &str| first.is_some_and(|first| marks.contains(first));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // A day or a time, which YAML 1.1 would read as one.
    let is_time =
        digits == 4 && text[4..].starts_with('-') && (text.len() == 10 || text.contains(':'));
    let is_mark = begins("#,[]{}&*!|>'\"%@`=:")
        || (begins("-?") && text[1..].chars().next().is_none_or(char::is_whitespace));
    let is_structure = ["---", "...", " "].iter().any(|begin| text.starts_with(begin))
        || [" ", ":"].iter().any(|end| text.ends_with(end))
        || [": ", " #"].iter().any(|inside| text.contains(inside))
        || text == "<<";
    same && !(is_mark || is_structure || is_time)
}

fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn double(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_special(&c.to_string()) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
