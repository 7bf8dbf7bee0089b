//! Where a NixOS module is to import one file more: in the list that `imports` of the module
//! itself names, whatever is nested in it, and nowhere else.

use std::ops::Range;

use super::lex::{Bracket, Kind, Token, Tokens};
use super::places::Kind as JinjaKind;

/// Where the file is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Import {
    /// It is already.
    There,
    /// Once this is written where it says.
    Insert(Vec<(usize, String)>),
    /// Nobody can say for sure; where `imports` stands, if it does.
    Unsure(Option<usize>),
}

/// Where `file`, such as `./floe.nix`, is imported by the module `text`.
pub(super) fn import(text: &str, tokens: &Tokens, file: &str) -> Import {
    let reader = Reader { text, list: &tokens.list };
    let Some(body) = reader.body().filter(|_| tokens.is_whole) else {
        return Import::Unsure(None);
    };
    let found = match reader.imports(&body) {
        Imports::One(value) => value,
        Imports::None(start) => {
            let line = format!("\n  imports = [ {file} ];");
            return reader.sure(vec![(start, line)], None);
        }
        Imports::Unclear(at) => return Import::Unsure(Some(at)),
    };
    let value = reader.list.get(found).unwrap_or_default();
    let is_file = |token: &&Token| token.kind == Kind::Path && reader.text_of(token) == file;
    if value.iter().any(|token| is_file(&token)) {
        return Import::There;
    }
    let (Some(first), Some(last)) = (value.first(), value.last()) else {
        return Import::Unsure(None);
    };
    let start = Some(first.range.start);
    let end_of_list = first.partner.filter(|_| first.kind == Kind::Open(Bracket::Square));
    let end_of_list = end_of_list.and_then(|at| reader.list.get(at));
    let inserts = match end_of_list {
        Some(end) if reader.is_whole_operand(end, last) => {
            vec![reader.in_list(end.range.start, file)]
        }
        // Whatever the value is, it is one operand in brackets.
        Some(_) | None => {
            vec![(first.range.start, format!("[ {file} ] ++ (")), (last.range.end, ")".to_owned())]
        }
    };
    reader.sure(inserts, start)
}

enum Imports {
    /// The tokens of its value.
    One(Range<usize>),
    /// Where the first binding would stand.
    None(usize),
    /// Twice, inherited, or in parts; where that stands.
    Unclear(usize),
}

struct Reader<'a> {
    text: &'a str,
    list: &'a [Token],
}

impl<'a> Reader<'a> {
    fn text_of(&self, token: &Token) -> &'a str {
        self.text.get(token.range.clone()).unwrap_or_default()
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.list.get(at).map(|token| token.kind)
    }

    fn is_name(&self, at: usize, name: &str) -> bool {
        self.list.get(at).is_some_and(|it| it.kind == Kind::Name && self.text_of(it) == name)
    }

    /// The tokens between the braces of the module: after what it is given, and what it lets be.
    fn body(&self) -> Option<Range<usize>> {
        let (mut at, mut end) = (0, self.list.len());
        loop {
            if at >= end {
                return None;
            }
            let partner = self.list.get(at)?.partner;
            at = match (self.kind(at)?, self.kind(at + 1)) {
                (Kind::Jinja(JinjaKind::Statement | JinjaKind::Comment), _) => at + 1,
                (Kind::Name, _) if self.is_name(at, "let") => self.after_in(at, end)?,
                (Kind::Name, _) if self.is_name(at, "with") || self.is_name(at, "assert") => {
                    self.semicolon(at + 1, end)? + 1
                }
                (Kind::Name, _) if self.is_name(at, "rec") => at + 1,
                (Kind::Name, Some(Kind::Mark(':' | '@'))) => at + 2,
                (Kind::Open(Bracket::Round), _) => {
                    // Only where nothing is made of what is in it.
                    let close = partner.filter(|close| self.is_end(close + 1, end))?;
                    end = close;
                    at + 1
                }
                (Kind::Open(Bracket::Brace), _) => {
                    let close = partner?;
                    match (self.kind(close + 1).filter(|_| close + 1 < end), self.kind(close + 2)) {
                        (Some(Kind::Mark(':')), _) => close + 2,
                        (Some(Kind::Mark('@')), Some(Kind::Name)) => close + 4,
                        _ if self.is_end(close + 1, end) => return Some(at + 1..close),
                        _ => return None,
                    }
                }
                _ => return None,
            };
        }
    }

    /// Whether nothing but statements of Jinja stands between `at` and `end`.
    fn is_end(&self, at: usize, end: usize) -> bool {
        let rest = self.list.get(at..end).unwrap_or_default();
        rest.iter().all(|token| matches!(token.kind, Kind::Jinja(_)))
    }

    /// What `imports` is in the attributes that `body` holds.
    fn imports(&self, body: &Range<usize>) -> Imports {
        let start = body.start.checked_sub(1).and_then(|open| self.list.get(open));
        let start = start.map_or(0, |open| open.range.end);
        let mut found = None;
        let mut at = body.start;
        while at < body.end {
            let here = self.list.get(at).map_or(0, |token| token.range.start);
            let unclear = Imports::Unclear(here);
            let Some(end) = self.semicolon(at, body.end) else { return unclear };
            let path: Vec<&Token> = self.path(at, end);
            let says = |token: &&&Token| self.text_of(token).trim_matches('"') == "imports";
            let is_inherited = path.first().is_some_and(|token| self.text_of(token) == "inherit");
            let first = path.first().filter(says);
            match (is_inherited, first, path.len()) {
                (true, ..) if path.iter().any(|token| says(&token)) => return unclear,
                (false, Some(_), 1) if found.is_none() => {
                    let equals = (at..end).find(|at| self.kind(*at) == Some(Kind::Mark('=')));
                    found = equals.map(|equals| equals + 1..end);
                }
                (false, Some(_), _) => return unclear,
                (true | false, ..) => {}
            }
            at = end + 1;
        }
        found.map_or(Imports::None(start), Imports::One)
    }

    /// The names before the `=` of a binding, or all of an `inherit`; a quoted name is one.
    fn path(&self, from: usize, end: usize) -> Vec<&'a Token> {
        let tokens = self.list.get(from..end).unwrap_or_default().iter();
        let names = tokens.take_while(|token| token.kind != Kind::Mark('='));
        names.filter(|it| matches!(it.kind, Kind::Name | Kind::Text)).collect()
    }

    /// The `;` that ends the expression around `from`: not one of a `let`, `with` or `assert` in
    /// it, nor of what stands in brackets.
    fn semicolon(&self, from: usize, end: usize) -> Option<usize> {
        let (mut at, mut own) = (from, 0_usize);
        while at < end {
            let token = self.list.get(at)?;
            at = match token.kind {
                Kind::Open(_) | Kind::Quote(_) => token.partner? + 1,
                Kind::Name if self.is_name(at, "let") => self.after_in(at, end)?,
                Kind::Name if self.is_name(at, "with") || self.is_name(at, "assert") => {
                    own += 1;
                    at + 1
                }
                Kind::Mark(';') if own == 0 => return Some(at),
                Kind::Mark(';') => {
                    own -= 1;
                    at + 1
                }
                Kind::Close(_)
                | Kind::EndQuote(_)
                | Kind::Text
                | Kind::Name
                | Kind::Path
                | Kind::SearchPath
                | Kind::Uri
                | Kind::Mark(_)
                | Kind::Jinja(_) => at + 1,
            };
        }
        None
    }

    /// What stands after the `in` of the `let` at `from`.
    fn after_in(&self, from: usize, end: usize) -> Option<usize> {
        let (mut at, mut open) = (from, 0_usize);
        while at < end {
            let token = self.list.get(at)?;
            if matches!(token.kind, Kind::Open(_) | Kind::Quote(_)) {
                at = token.partner? + 1;
                continue;
            }
            if self.is_name(at, "let") {
                open += 1;
            } else if self.is_name(at, "in") {
                open -= 1;
                if open == 0 {
                    return Some(at + 1);
                }
            }
            at += 1;
        }
        None
    }

    /// Whether the list that `end` closes is an operand by itself, of `++` or of nothing.
    fn is_whole_operand(&self, end: &Token, last: &Token) -> bool {
        let behind = self.text.get(end.range.end..).unwrap_or_default();
        end == last || behind.trim_start().starts_with("++")
    }

    /// In the list that ends before `end`; a list with a line for each is continued that way.
    fn in_list(&self, end: usize, file: &str) -> (usize, String) {
        let before = self.text.get(..end).unwrap_or_default();
        let last = before.rsplit('\n').next().unwrap_or_default();
        if last.trim().is_empty() && before.contains('\n') {
            let line = before.trim_end().rsplit('\n').next().unwrap_or_default();
            let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
            // Not behind the last element, where a comment may begin.
            return (end - last.len(), format!("{indent}{file}\n"));
        }
        let is_apart = before.ends_with(char::is_whitespace);
        (end, if is_apart { format!("{file} ") } else { format!(" {file}") })
    }

    /// Only where Jinja leaves out nothing around it: not within its `if` or `for`.
    fn sure(&self, inserts: Vec<(usize, String)>, imports: Option<usize>) -> Import {
        let depth = |place: usize| {
            let before = self.list.iter().take_while(|token| token.range.end <= place);
            before.fold(0_i32, |depth, token| depth + self.nesting(token))
        };
        if inserts.iter().any(|(place, _)| depth(*place) != 0) {
            return Import::Unsure(imports);
        }
        Import::Insert(inserts)
    }

    /// 1 for what opens something in Jinja, -1 for what ends it.
    fn nesting(&self, token: &Token) -> i32 {
        if token.kind != Kind::Jinja(JinjaKind::Statement) {
            return 0;
        }
        let inside = self.text_of(token).trim_start_matches(['{', '%', '-', '+', ' ', '\n', '\t']);
        let word = inside.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        match word {
            "if" | "for" | "macro" | "call" | "filter" | "block" | "autoescape" | "with" => 1,
            word if word.starts_with("end") && word != "endraw" && word != "endset" => -1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lex::Reading;
    use super::*;

    fn imported(text: &str) -> Option<String> {
        match import(text, &Tokens::of(text, Reading::Template), "./floe.nix") {
            Import::There => Some(text.to_owned()),
            Import::Insert(inserts) => {
                let mut out = text.to_owned();
                for (at, what) in inserts.iter().rev() {
                    out.insert_str(*at, what);
                }
                Some(out)
            }
            Import::Unsure(_) => None,
        }
    }

    #[test]
    fn a_list_of_the_module_itself_is_continued() {
        let cases = [
            ("{ }", "{\n  imports = [ ./floe.nix ]; }"),
            ("{ imports = [ ]; }", "{ imports = [ ./floe.nix ]; }"),
            ("{ imports = [./a.nix]; }", "{ imports = [./a.nix ./floe.nix]; }"),
            ("{ imports = [ a ] ++ b; }", "{ imports = [ a ./floe.nix ] ++ b; }"),
            (
                "{ imports = [\n    ./a.nix # why\n  ];\n}",
                "{ imports = [\n    ./a.nix # why\n    ./floe.nix\n  ];\n}",
            ),
            (
                "{ imports = [ (import ./x.nix [ a ]) (f { imports = [ b ]; }) ]; }",
                "{ imports = [ (import ./x.nix [ a ]) (f { imports = [ b ]; }) ./floe.nix ]; }",
            ),
            (
                "{ lib, ... }@args: let x = { imports = [ y ]; }; in with lib; rec { imports = [ ]; }",
                "{ lib, ... }@args: let x = { imports = [ y ]; }; in with lib; rec { imports = [ \
                 ./floe.nix ]; }",
            ),
            (
                "{ a.b = { imports = [ x ]; }; }",
                "{\n  imports = [ ./floe.nix ]; a.b = { imports = [ x ]; }; }",
            ),
            (
                "({ ... }: { imports = [ ./in/let.nix ]; })",
                "({ ... }: { imports = [ ./in/let.nix ./floe.nix ]; })",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(imported(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn any_other_value_becomes_an_operand() {
        let cases = [
            "map f [ a ]",
            "let x = [ a ]; in x ++ [ b ]",
            "if a then [ b ] else [ c ]",
            "with lib; optional a ./b.nix",
            "lib.optionals (a) [ b ] ++ [ (c [ d ]) ]",
            "(import ./list.nix).all",
        ];
        for value in cases {
            let text = format!("{{ a = 1; imports = {value}; b = [ ]; }}");
            let expected = format!("{{ a = 1; imports = [ ./floe.nix ] ++ ({value}); b = [ ]; }}");
            assert_eq!(imported(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn where_it_cannot_be_sure_it_changes_nothing() {
        let cases = [
            "import ./x.nix",
            "f { imports = [ a ]; }",
            "{ imports = [ a ]; } // { imports = [ b ]; }",
            "if a then { imports = [ ]; } else { imports = [ ]; }",
            "{ inherit (x) imports; }",
            "{ imports.a = [ ]; }",
            "{ {% if a %} imports = [ b ]; {% else %} imports = [ c ]; {% endif %} }",
            "{ {% if a %} imports = [ b ]; {% endif %} }",
            "{ a = [ ",
            "{ a = ( ]; }",
        ];
        for text in cases {
            assert_eq!(imported(text), None, "{text}");
        }
        let there = "{ imports = [ ./a.nix ./floe.nix ]; }";
        assert_eq!(imported(there).as_deref(), Some(there));
        let said = "{ # ./floe.nix\n imports = [ ]; }";
        assert!(imported(said).is_some_and(|text| text.contains("[ ./floe.nix ]")));
    }
}
