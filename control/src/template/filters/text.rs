//! Text: quoting, indenting, comments, and what Jinja does with text where minijinja differs.

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::arguments::{Arguments, fault};
use super::super::python;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("string", |value: Value| python::string(&value));
    environment.add_filter("quote", |value: Value| Ok::<_, Error>(quote(&python::text(&value)?)));
    environment.add_filter("indent", indent);
    environment.add_filter("comment", comment);
    environment.add_filter("join", join);
    environment.add_filter("split", split);
    environment.add_filter("urlencode", urlencode);
}

/// As Python's `shlex.quote`.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn indent(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(&["width", "first", "blank"], &given)?;
    let text = python::string(&value)?;
    let width = match given.value("width") {
        Some(width) if width.as_str().is_some() => python::string(width)?,
        _ => {
            let width = given.whole("width")?.unwrap_or(4);
            " ".repeat(usize::try_from(width).map_err(|_| fault("`width` is negative"))?)
        }
    };
    let mut lines = text.split('\n');
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push('\n');
        if !line.is_empty() || given.yes("blank") {
            out.push_str(&width);
        }
        out.push_str(line);
    }
    Ok(if given.yes("first") { width + &out } else { out })
}

fn comment(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(
        &[
            "style",
            "newline",
            "beginning",
            "prefix",
            "prefix_count",
            "decoration",
            "postfix",
            "postfix_count",
            "end",
        ],
        &given,
    )?;
    let text = python::string(&value)?;
    let style = given.text("style")?.unwrap_or_else(|| "plain".into());
    let (beginning, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(fault(format!("comment('{other}') is not known"))),
    };
    let or = |name: &str, default: &str| {
        given.text(name).map(|given| given.unwrap_or_else(|| default.to_owned()))
    };
    let count = |name: &str| {
        let count = given.whole(name)?.unwrap_or(1);
        usize::try_from(count).map_err(|_| fault(format!("`{name}` is negative")))
    };
    let (newline, decoration) = (or("newline", "\n")?, or("decoration", decoration)?);
    let (beginning, end) = (or("beginning", beginning)?, or("end", end)?);
    let bare = decoration.trim_end();
    let (prefix, postfix) = (or("prefix", bare)?, or("postfix", bare)?);
    let mut out = String::new();
    if !beginning.is_empty() {
        out += &format!("{beginning}{newline}");
    }
    if prefix == newline {
        out += &newline.repeat(count("prefix_count")?);
    } else if !prefix.is_empty() {
        out += &format!("{prefix}{newline}").repeat(count("prefix_count")?);
    }
    let body = text.replace(&newline, &format!("{newline}{decoration}"));
    let body = format!("{decoration}{body}");
    // No white space ends a line that holds nothing else.
    out += &body.replace(&format!("{decoration}{newline}"), &format!("{bare}{newline}"));
    out += &format!("{newline}{postfix}").repeat(count("postfix_count")?);
    if !end.is_empty() {
        out += &format!("{newline}{end}");
    }
    Ok(out)
}

fn join(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(&["d", "attribute"], &given)?;
    let between = given.text("d")?.unwrap_or_default();
    let attribute = given.text("attribute")?;
    let parts: Result<Vec<_>, Error> = value
        .try_iter()?
        .map(|part| match &attribute {
            Some(name) => python::string(&part.get_attr(name)?),
            None => python::string(&part),
        })
        .collect();
    Ok(parts?.join(&between))
}

/// As Python's `str.split`: without a separator at any white space.
fn split(value: Value, given: Rest<ValueOrKwargs>) -> Result<Vec<String>, Error> {
    let given = Arguments::new(&["sep", "maxsplit"], &given)?;
    let text = python::string(&value)?;
    let most = given.whole("maxsplit")?.and_then(|most| usize::try_from(most).ok());
    let parts: Vec<&str> = match (given.text("sep")?.as_deref(), most) {
        (Some(""), _) => return Err(fault("the separator is empty")),
        (Some(separator), Some(most)) => text.splitn(most + 1, separator).collect(),
        (Some(separator), None) => text.split(separator).collect(),
        (None, None) => text.split_whitespace().collect(),
        (None, Some(_)) => return Err(fault("`maxsplit` needs a separator")),
    };
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// As Jinja's: `/` stays; in the query that a map becomes, a space is `+`.
fn urlencode(value: Value) -> Result<String, Error> {
    let encoded = |text: &str, kept: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            let c = char::from(byte);
            if c == ' ' && kept.is_empty() {
                out.push('+');
            } else if c.is_ascii_alphanumeric() || "_.-~".contains(c) || kept.contains(c) {
                out.push(c);
            } else {
                out += &format!("%{byte:02X}");
            }
        }
        out
    };
    if value.kind() == minijinja::value::ValueKind::Map {
        let mut parts = Vec::new();
        for name in value.try_iter()? {
            let of_name = python::string(&value.get_item(&name)?)?;
            parts.push(format!(
                "{}={}",
                encoded(&python::string(&name)?, ""),
                encoded(&of_name, "")
            ));
        }
        return Ok(parts.join("&"));
    }
    Ok(encoded(&python::string(&value)?, "/"))
}
