//! The functions of HCL that templates of images use and whose answer is known now. What
//! depends on when and where a build runs (`timestamp`, `env`, `file`, `uuidv4`…) is not
//! declared: an expression with it stays as it is written.

use hcl::Value;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};

type Answer = Result<Value, String>;

/// Longer than any text of a template; what is put together stops there.
const MOST_BYTES: usize = 256 << 10;

/// Declares them all.
pub(super) fn declare(context: &mut Context<'_>) {
    let functions: [(&str, Func); 35] = [
        ("upper", |args| text(&args, 0).map(|text| text.to_uppercase().into())),
        ("lower", |args| text(&args, 0).map(|text| text.to_lowercase().into())),
        ("trimspace", |args| text(&args, 0).map(|text| text.trim().into())),
        ("chomp", |args| text(&args, 0).map(|text| text.trim_end_matches(['\n', '\r']).into())),
        ("trim", |args| {
            let cut = text(&args, 1)?;
            Ok(text(&args, 0)?.trim_matches(|c| cut.contains(c)).into())
        }),
        ("trimprefix", |args| {
            let (text, prefix) = (text(&args, 0)?, text(&args, 1)?);
            Ok(text.strip_prefix(&prefix).unwrap_or(&text).into())
        }),
        ("trimsuffix", |args| {
            let (text, suffix) = (text(&args, 0)?, text(&args, 1)?);
            Ok(text.strip_suffix(&suffix).unwrap_or(&text).into())
        }),
        ("startswith", |args| Ok(text(&args, 0)?.starts_with(&text(&args, 1)?).into())),
        ("endswith", |args| Ok(text(&args, 0)?.ends_with(&text(&args, 1)?).into())),
        ("replace", replace),
        ("substr", substr),
        ("split", |args| {
            let separator = text(&args, 0)?;
            Ok(text(&args, 1)?.split(&separator).collect())
        }),
        ("join", join),
        ("format", format),
        ("concat", |args| {
            (0..args.len())
                .map(|at| list(&args, at))
                .collect::<Result<Vec<_>, _>>()
                .map(|lists| lists.into_iter().flatten().collect())
        }),
        ("flatten", |args| list(&args, 0).map(|values| Value::Array(flatten(values)))),
        ("compact", |args| {
            let kept = |value: &Value| !value.is_null() && value.as_str() != Some("");
            Ok(list(&args, 0)?.into_iter().filter(kept).collect())
        }),
        ("distinct", |args| {
            let mut known: Vec<Value> = Vec::new();
            let list = list(&args, 0)?;
            bounded(list.len().saturating_mul(list.len()))?;
            for value in list {
                if !known.contains(&value) {
                    known.push(value);
                }
            }
            Ok(known.into())
        }),
        ("reverse", |args| Ok(list(&args, 0)?.into_iter().rev().collect())),
        ("sort", |args| {
            let mut words: Vec<String> =
                list(&args, 0)?.iter().map(word).collect::<Result<_, _>>()?;
            words.sort();
            Ok(words.into())
        }),
        ("element", |args| {
            let list = list(&args, 0)?;
            let at = number(&args, 1)?.checked_rem(list.len()).ok_or("an empty list")?;
            list.get(at).cloned().ok_or_else(|| "an empty list".into())
        }),
        ("contains", |args| {
            let wanted = args.get(1).ok_or("too few arguments")?;
            Ok(list(&args, 0)?.contains(wanted).into())
        }),
        ("length", |args| match args.first() {
            Some(Value::Array(list)) => Ok(list.len().into()),
            Some(Value::Object(map)) => Ok(map.len().into()),
            Some(Value::String(text)) => Ok(text.chars().count().into()),
            Some(_) | None => Err("neither a list nor a text".into()),
        }),
        ("merge", |args| {
            let mut merged = hcl::Map::new();
            for value in args.iter().filter(|value| !value.is_null()) {
                let map = value.as_object().ok_or("no object")?;
                merged.extend(map.clone());
            }
            Ok(merged.into())
        }),
        ("lookup", |args| {
            let map = args.first().and_then(Value::as_object).ok_or("no object")?;
            let found = map.get(&text(&args, 1)?).or_else(|| args.get(2));
            found.cloned().ok_or_else(|| "no such key".into())
        }),
        ("keys", |args| {
            let map = args.first().and_then(Value::as_object).ok_or("no object")?;
            let mut keys: Vec<String> = map.keys().cloned().collect();
            keys.sort();
            Ok(keys.into())
        }),
        ("values", |args| {
            let map = args.first().and_then(Value::as_object).ok_or("no object")?;
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            Ok(pairs.into_iter().map(|(_, value)| value.clone()).collect())
        }),
        ("coalesce", |args| {
            let given = |value: &&Value| !value.is_null() && value.as_str() != Some("");
            args.iter().find(given).cloned().ok_or_else(|| "nothing but nulls".into())
        }),
        ("tostring", |args| text(&args, 0).map(Value::from)),
        ("tonumber", |args| {
            let number = text(&args, 0)?.parse::<i64>();
            number.map(Value::from).map_err(|_| "no whole number".into())
        }),
        ("tobool", |args| match text(&args, 0)?.as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err("neither true nor false".into()),
        }),
        ("tolist", |args| list(&args, 0).map(Value::from)),
        ("toset", |args| list(&args, 0).map(Value::from)),
        ("tomap", |args| args.first().cloned().ok_or_else(|| "too few arguments".into())),
        ("jsonencode", |args| {
            let value = args.first().ok_or("too few arguments")?;
            serde_json::to_string(value).map(Value::from).map_err(|error| error.to_string())
        }),
    ];
    for (name, function) in functions {
        let any = FuncDef::builder().variadic_param(ParamType::Any).build(function);
        context.declare_func(name, any);
    }
}

fn text(args: &FuncArgs, at: usize) -> Result<String, String> {
    word(args.get(at).ok_or("too few arguments")?)
}

/// A text, or what HCL makes a text of by itself.
pub(super) fn word(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(bool) => Ok(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("no text".into()),
    }
}

fn list(args: &FuncArgs, at: usize) -> Result<Vec<Value>, String> {
    args.get(at).and_then(Value::as_array).cloned().ok_or_else(|| "no list".into())
}

fn number(args: &FuncArgs, at: usize) -> Result<usize, String> {
    let number = args.get(at).and_then(Value::as_u64);
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| "no number".into())
}

fn flatten(values: Vec<Value>) -> Vec<Value> {
    let inner = |value| match value {
        Value::Array(values) => flatten(values),
        value @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)) => vec![value],
    };
    values.into_iter().flat_map(inner).collect()
}

fn replace(args: FuncArgs) -> Answer {
    let (text, from, to) = (text(&args, 0)?, text(&args, 1)?, text(&args, 2)?);
    // Between slashes it is a regular expression of Go's kind.
    if from.len() > 1 && from.starts_with('/') && from.ends_with('/') {
        return Err("regular expressions are not replaced".into());
    }
    // One more before, after and between all of it, where nothing is to be replaced.
    let times =
        if from.is_empty() { text.chars().count() + 1 } else { text.matches(&from).count() };
    bounded(times.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replace(&from, &to).into())
}

fn bounded(length: usize) -> Result<(), String> {
    if length > MOST_BYTES { Err("the text gets too long".into()) } else { Ok(()) }
}

fn substr(args: FuncArgs) -> Answer {
    let (text, from) = (text(&args, 0)?, number(&args, 1)?);
    let length = args.get(2).and_then(Value::as_i64).ok_or("no number")?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(text.chars().skip(from).take(length).collect::<String>().into())
}

fn join(args: FuncArgs) -> Answer {
    let separator = text(&args, 0)?;
    let (mut words, mut length) = (Vec::new(), 0_usize);
    for value in args.iter().skip(1) {
        for value in value.as_array().ok_or("no list")? {
            let word = word(value)?;
            length = length.saturating_add(word.len() + separator.len());
            bounded(length)?;
            words.push(word);
        }
    }
    Ok(words.join(&separator).into())
}

/// `%s`, `%d`, `%v`, `%q` and `%%`; widths and the like are not understood.
fn format(args: FuncArgs) -> Answer {
    let pattern = text(&args, 0)?;
    let mut values = args.iter().skip(1);
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        bounded(out.len())?;
        if char != '%' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('s' | 'd' | 'v') => out += &word(values.next().ok_or("too few arguments")?)?,
            Some('q') => out += &format!("{:?}", word(values.next().ok_or("too few arguments")?)?),
            Some(_) | None => return Err("this format is not understood".into()),
        }
    }
    Ok(out.into())
}
