//! Numbers and truth, from what people wrote.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::arguments::{Arguments, fault};
use super::super::python;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("bool", |value: Value| truth(&value));
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("ternary", ternary);
    environment.add_filter("mandatory", mandatory);
    environment.add_test("truthy", |value: Value| value.is_true());
    environment.add_test("falsy", |value: Value| !value.is_true());
}

/// Where Ansible warns and takes what it does not know for false, this is an error.
fn truth(value: &Value) -> Result<bool, Error> {
    if value.is_none() {
        return Ok(false);
    }
    match python::string(value)?.to_lowercase().as_str() {
        "yes" | "on" | "true" | "1" => Ok(true),
        "no" | "off" | "false" | "0" => Ok(false),
        _ => Err(fault("`bool` takes yes, no, on, off, true, false, 1, 0")),
    }
}

/// What is no number is `default`, as in Jinja.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of minijinja may grow")]
fn int(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = Arguments::new(&["default", "base"], &given)?;
    let default = given.value("default").cloned().unwrap_or_else(|| Value::from(0));
    let base = given.whole("base")?.unwrap_or(10);
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| fault("`base` must be from 2 to 36"))?;
    let found = match value.kind() {
        ValueKind::Undefined | ValueKind::Invalid => return Err(python::undefined(&value)),
        ValueKind::Bool => Some(i64::from(value.is_true())),
        ValueKind::Number => value.as_i64().or_else(|| whole(f64::try_from(value.clone()).ok()?)),
        ValueKind::String => {
            let text = python::string(&value)?.trim().to_lowercase();
            let prefix = match base {
                2 => "0b",
                8 => "0o",
                16 => "0x",
                _ => "",
            };
            let digits = text.strip_prefix(prefix).unwrap_or(&text).replace('_', "");
            i64::from_str_radix(&digits, base).ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    };
    Ok(found.map_or(default, Value::from))
}

/// Towards zero, as Python's `int(float)`.
fn whole(number: f64) -> Option<i64> {
    let text = format!("{:.0}", number.trunc());
    text.parse().ok()
}

fn float(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = Arguments::new(&["default"], &given)?;
    let default = given.value("default").cloned().unwrap_or_else(|| Value::from(0.0));
    let text = python::string(&value)?;
    Ok(text.trim().parse::<f64>().map_or(default, Value::from))
}

fn ternary(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = Arguments::new(&["true_val", "false_val", "none_val"], &given)?;
    if value.is_undefined() {
        return Err(python::undefined(&value));
    }
    let name = match (value.is_none(), given.value("none_val")) {
        (true, Some(other)) if !other.is_none() => "none_val",
        (true, _) => "false_val",
        (false, _) if value.is_true() => "true_val",
        (false, _) => "false_val",
    };
    given.value(name).cloned().ok_or_else(|| fault(format!("`{name}` is missing")))
}

fn mandatory(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = Arguments::new(&["msg"], &given)?;
    match given.text("msg")? {
        Some(message) if value.is_undefined() => Err(fault(message)),
        None if value.is_undefined() => Err(python::undefined(&value)),
        Some(_) | None => Ok(value),
    }
}
