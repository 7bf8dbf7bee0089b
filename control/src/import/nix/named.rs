//! The files that a Nix file names by paths.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lex::{Kind, Reading, Tokens};

/// A path in a Nix file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Named {
    pub(in crate::import) range: Range<usize>,
    /// From 1.
    pub(in crate::import) line: usize,
    /// As it is written: `./a.nix`, `/etc/nixos/b.nix`, `<c/d>`.
    pub(in crate::import) path: String,
    /// Whether the file asks itself whether there is such a file.
    pub(in crate::import) is_optional: bool,
}

/// Every path of `text` that is written out, in order.
pub(in crate::import) fn named(text: &str, is_template: bool) -> Vec<Named> {
    let reading = if is_template { Reading::Template } else { Reading::Nix };
    let tokens = Tokens::of(text, reading).list;
    let text_of = |at: usize| {
        let token = tokens.get(at)?;
        text.get(token.range.clone())
    };
    let asked = (1..tokens.len()).filter(|at| text_of(at - 1) == Some("pathExists"));
    let asked: BTreeSet<&str> = asked.filter_map(text_of).collect();
    let mut lines = 1;
    let mut seen = 0;
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !matches!(token.kind, Kind::Path | Kind::SearchPath) {
            continue;
        }
        // What is put together is only known when Nix reads it.
        let touches = |other: Option<usize>, end: bool| {
            let other = other.and_then(|at| tokens.get(at));
            other.is_some_and(|other| match end {
                true => {
                    other.range.end == token.range.start
                        && matches!(other.kind, Kind::Close(_) | Kind::Jinja(_))
                }
                false => {
                    other.range.start == token.range.end
                        && matches!(other.kind, Kind::Open(_) | Kind::Jinja(_))
                }
            })
        };
        if touches(at.checked_sub(1), true) || touches(Some(at + 1), false) {
            continue;
        }
        lines += text.get(seen..token.range.start).unwrap_or_default().matches('\n').count();
        seen = token.range.start;
        let path = text.get(token.range.clone()).unwrap_or_default().to_owned();
        let is_optional = asked.contains(path.as_str());
        found.push(Named { range: token.range.clone(), line: lines, path, is_optional });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_where_they_are_code_and_whole() {
        let text = "{\n  imports = [ ./a.nix <b/c> ]; # ./no.nix\n  d = \"./no.nix\";\n  \
                    e = ./${f}/no.nix;\n  g = ../h;\n}\n";
        let found: Vec<(usize, String)> =
            named(text, false).into_iter().map(|it| (it.line, it.path)).collect();
        let expected = [(2, "./a.nix"), (2, "<b/c>"), (5, "../h")];
        assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
        assert!(named("{ a = ./{{ b }}.nix; }", true).is_empty());
        let asked = "if builtins.pathExists ./a.nix then ./a.nix else ./b.nix";
        let optional: Vec<bool> = named(asked, false).iter().map(|it| it.is_optional).collect();
        assert_eq!(optional, [true, true, false]);
    }
}
