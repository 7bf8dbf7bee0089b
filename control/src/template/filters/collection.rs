//! Lists and maps: set theory, merging, and one as the other.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::arguments::{Arguments, fault};
use super::super::python;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("combine", combine);
    environment.add_filter("dict2items", dict2items);
    environment.add_filter("items2dict", items2dict);
    environment.add_filter("flatten", flatten);
    environment.add_filter("unique", |value: Value| Ok::<_, Error>(distinct(list(&value)?)));
    environment.add_filter("union", |one: Value, other: Value| {
        let mut all = list(&one)?;
        all.extend(list(&other)?);
        Ok::<_, Error>(distinct(all))
    });
    environment.add_filter("intersect", |one: Value, other: Value| {
        let other = list(&other)?;
        kept(&one, |value| other.contains(value))
    });
    environment.add_filter("difference", |one: Value, other: Value| {
        let other = list(&other)?;
        kept(&one, |value| !other.contains(value))
    });
    environment.add_filter("symmetric_difference", |one: Value, other: Value| {
        let (first, second) = (list(&one)?, list(&other)?);
        let mut all = kept(&one, |value| !second.contains(value))?;
        all.extend(kept(&other, |value| !first.contains(value))?);
        Ok::<_, Error>(all)
    });
    environment.add_test("subset", |one: Value, other: Value| {
        let other = list(&other)?;
        Ok::<_, Error>(list(&one)?.iter().all(|value| other.contains(value)))
    });
    environment.add_test("superset", |one: Value, other: Value| {
        let one = list(&one)?;
        Ok::<_, Error>(list(&other)?.iter().all(|value| one.contains(value)))
    });
    environment.add_test("contains", |one: Value, value: Value| match one.as_str() {
        Some(text) => Ok(text.contains(&python::string(&value)?)),
        None => Ok::<_, Error>(list(&one)?.contains(&value)),
    });
    environment
        .add_test("any", |value: Value| Ok::<_, Error>(list(&value)?.iter().any(Value::is_true)));
    environment
        .add_test("all", |value: Value| Ok::<_, Error>(list(&value)?.iter().all(Value::is_true)));
}

fn list(value: &Value) -> Result<Vec<Value>, Error> {
    if value.as_str().is_some() {
        return Err(fault("it is text, and no list"));
    }
    Ok(value.try_iter()?.collect())
}

fn distinct(values: Vec<Value>) -> Vec<Value> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

fn kept(one: &Value, is_kept: impl Fn(&Value) -> bool) -> Result<Vec<Value>, Error> {
    Ok(distinct(list(one)?.into_iter().filter(is_kept).collect()))
}

fn flatten(value: Value, given: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let given = Arguments::new(&["levels", "skip_nulls"], &given)?;
    let levels = given.whole("levels")?.and_then(|levels| usize::try_from(levels).ok());
    let skip = given.value("skip_nulls").is_none_or(Value::is_true);
    let mut found = Vec::new();
    flatten_into(&mut found, &value, levels.unwrap_or(64), skip)?;
    Ok(found)
}

fn flatten_into(
    found: &mut Vec<Value>,
    value: &Value,
    levels: usize,
    skip: bool,
) -> Result<(), Error> {
    for value in list(value)? {
        // As Ansible: what writes nothing in YAML is nothing.
        let nothing = value.is_none() || matches!(value.as_str(), Some("None" | "null"));
        if nothing && skip {
            continue;
        }
        if value.kind() == ValueKind::Seq && levels > 0 {
            flatten_into(found, &value, levels - 1, skip)?;
        } else {
            found.push(value);
        }
    }
    Ok(())
}

fn dict2items(value: Value, given: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let given = Arguments::new(&["key_name", "value_name"], &given)?;
    let (key, name) = names(&given)?;
    members(&value)?
        .into_iter()
        .map(|(of_key, of_value)| {
            Ok(Value::from_pairs([(key.clone(), of_key), (name.clone(), of_value)]))
        })
        .collect()
}

fn items2dict(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = Arguments::new(&["key_name", "value_name"], &given)?;
    let (key, name) = names(&given)?;
    let pairs: Result<Vec<_>, Error> = list(&value)?
        .iter()
        .map(|item| Ok((item.get_item(&key)?, item.get_item(&name)?)))
        .collect();
    Ok(Value::from_pairs(pairs?))
}

fn names(given: &Arguments) -> Result<(Value, Value), Error> {
    let key = given.text("key_name")?.unwrap_or_else(|| "key".into());
    let name = given.text("value_name")?.unwrap_or_else(|| "value".into());
    Ok((Value::from(key), Value::from(name)))
}

fn members(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.is_undefined() {
        return Err(python::undefined(value));
    }
    if value.kind() != ValueKind::Map {
        return Err(fault(format!("it is a {}, and no map", value.kind())));
    }
    value.try_iter()?.map(|key| Ok((key.clone(), value.get_item(&key)?))).collect()
}

/// How lists are merged.
#[derive(Clone, Copy)]
enum Lists {
    Replace,
    Keep,
    Append,
    Prepend,
}

fn combine(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (maps, given) = Arguments::after_places(&["recursive", "list_merge"], &given)?;
    let recursive = given.yes("recursive");
    let lists = match given.text("list_merge")?.as_deref().unwrap_or("replace") {
        "replace" => Lists::Replace,
        "keep" => Lists::Keep,
        "append" => Lists::Append,
        "prepend" => Lists::Prepend,
        other => return Err(fault(format!("list_merge='{other}' is not known"))),
    };
    let mut all = Vec::new();
    for map in std::iter::once(value).chain(maps) {
        if map.kind() == ValueKind::Seq {
            all.extend(list(&map)?);
        } else {
            all.push(map);
        }
    }
    let mut merged = Vec::new();
    for map in all {
        merged = merge(merged, members(&map)?, recursive, lists)?;
    }
    Ok(Value::from_pairs(merged))
}

fn merge(
    mut weak: Vec<(Value, Value)>,
    strong: Vec<(Value, Value)>,
    recursive: bool,
    lists: Lists,
) -> Result<Vec<(Value, Value)>, Error> {
    for (key, value) in strong {
        let Some((_, known)) = weak.iter_mut().find(|(known, _)| *known == key) else {
            weak.push((key, value));
            continue;
        };
        *known = match (known.kind(), value.kind()) {
            (ValueKind::Map, ValueKind::Map) if recursive => {
                let merged = merge(members(known)?, members(&value)?, recursive, lists)?;
                Value::from_pairs(merged)
            }
            (ValueKind::Seq, ValueKind::Seq) => match lists {
                Lists::Replace => value,
                Lists::Keep => known.clone(),
                Lists::Append => list(known)?.into_iter().chain(list(&value)?).collect(),
                Lists::Prepend => list(&value)?.into_iter().chain(list(known)?).collect(),
            },
            _ => value,
        };
    }
    Ok(weak)
}
