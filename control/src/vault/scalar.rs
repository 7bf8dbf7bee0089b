//! What a plain word of YAML means to Ansible, which reads YAML 1.1.
//!
//! As the resolver of PyYAML's `SafeLoader` has it (`yaml/resolver.py`): `yes` is true,
//! `0777` is 511, `1:30` is 90. One thing is not followed: a date stays the text that was
//! typed. In a template it prints as there; only arithmetic with it would differ.

use super::tree::Tree;

/// The value of a word that is neither quoted nor tagged.
pub(super) fn resolve(word: &str) -> Tree {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Tree::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Tree::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Tree::Bool(false);
        }
        _ => {}
    }
    if let Some(number) = int(word) {
        return Tree::Int(number);
    }
    match float(word) {
        Some(number) => Tree::Float(number),
        None => Tree::text(word.to_owned()),
    }
}

/// Text beyond 64 bits is no number here, and keeps its digits.
fn int(word: &str) -> Option<i64> {
    let (negative, digits) = sign(word);
    let plain = |digits: &str| digits.replace('_', "");
    let all = |text: &str, is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    let number = if let Some(bits) = digits.strip_prefix("0b") {
        all(bits, |c| matches!(c, '0' | '1' | '_'))
            .then(|| i64::from_str_radix(&plain(bits), 2).ok())??
    } else if let Some(hex) = digits.strip_prefix("0x") {
        all(hex, |c| c.is_ascii_hexdigit() || c == '_')
            .then(|| i64::from_str_radix(&plain(hex), 16).ok())??
    } else if digits == "0" {
        0
    } else if let Some(octal) = digits.strip_prefix('0') {
        all(octal, |c| matches!(c, '0'..='7' | '_'))
            .then(|| i64::from_str_radix(&plain(octal), 8).ok())??
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        let mut parts = digits.split(':');
        let first = parts.next().filter(|first| all(first, |c| c.is_ascii_digit() || c == '_'))?;
        let mut number: i64 = plain(first).parse().ok()?;
        for part in parts {
            number = number.checked_mul(60)?.checked_add(sixtieths(part)?)?;
        }
        number
    } else {
        return None;
    };
    Some(if negative { -number } else { number })
}

fn float(word: &str) -> Option<f64> {
    let (negative, digits) = sign(word);
    let signed = |number: f64| if negative { -number } else { number };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(signed(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if digits == word => return Some(f64::NAN),
        _ => {}
    }
    // A point is needed, and an exponent has a sign: `1e3` and `1.0e3` are text in YAML 1.1.
    let (whole, rest) = digits.split_once('.')?;
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let sound_exponent = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|e| begins(e) && !e.contains('_') && is_digits(e))
    });
    if !sound_exponent || !is_digits(fraction) {
        return None;
    }
    if whole.contains(':') {
        let mut parts = whole.split(':');
        let mut number: f64 = parts.next().filter(|p| begins(p))?.replace('_', "").parse().ok()?;
        for part in parts {
            // At most 59, which any float holds.
            number = number.mul_add(60.0, f64::from(i32::try_from(sixtieths(part)?).ok()?));
        }
        let fraction: f64 = format!("0.{}", fraction.replace('_', "")).parse().ok()?;
        return exponent.is_none().then(|| signed(number + fraction));
    }
    let bare = whole.is_empty() && begins(fraction) && digits == word;
    let sound = bare || (begins(whole) && is_digits(whole));
    if !sound {
        return None;
    }
    digits.replace('_', "").parse().ok().map(signed)
}

fn sign(word: &str) -> (bool, &str) {
    match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    }
}

/// One of the parts of `1:30`, after the first.
fn sixtieths(part: &str) -> Option<i64> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    part.parse().ok().filter(|number| digits && part.len() <= 2 && *number < 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values were given by PyYAML 6.0.
    #[test]
    fn words_mean_what_they_mean_to_pyyaml() {
        for (word, number) in [
            ("0777", 511),
            ("010", 8),
            ("0", 0),
            ("-12", -12),
            ("+12", 12),
            ("1_000", 1000),
            ("0x1F", 31),
            ("0b101", 5),
            ("1:30", 90),
            ("190:20:30", 685_230),
        ] {
            assert!(resolve(word) == Tree::Int(number), "{word}");
        }
        for (word, number) in [
            ("1.5", 1.5),
            ("-.inf", f64::NEG_INFINITY),
            ("1.", 1.0),
            (".5", 0.5),
            ("1.0e+3", 1000.0),
            ("190:20:30.15", 685_230.15),
        ] {
            assert!(resolve(word) == Tree::Float(number), "{word}");
        }
        for (word, yes) in [("yes", true), ("On", true), ("NO", false), ("off", false)] {
            assert!(resolve(word) == Tree::Bool(yes), "{word}");
        }
        for word in [
            "y",
            "n",
            "yEs",
            "08",
            "0o17",
            "1e3",
            "1.0e3",
            "1.2.3",
            "-",
            "+",
            ".",
            "1:99",
            "0x",
            "0b2",
            "2024-01-01",
            "12a",
            "-.5.",
            "99999999999999999999",
            "_1",
            "é",
        ] {
            assert!(resolve(word) == Tree::text(word.into()), "{word}");
        }
        assert!(resolve("~") == Tree::Null);
    }
}
