//! Tests of the scanner.

use proptest::prelude::*;

use super::super::lex::Reading;
use super::*;

fn scanned(text: &str) -> Places {
    scan(text, &Tokens::of(text, Reading::Template))
}

fn options(text: &str) -> Vec<String> {
    assert!(Tokens::of(text, Reading::Template).is_whole, "{text}");
    let places = scanned(text);
    places.options.iter().map(|option| option.path.join(".")).collect()
}

#[test]
fn an_option_is_found_with_its_whole_path() {
    let cases = [
        ("{ a.b = \"{{ x }}\"; }", "a.b"),
        ("{ pkgs, ... }: { a = { b = { c = \"{{ x | f(\"y\") }}\"; }; }; }", "a.b.c"),
        ("{ a.\"b.c\".d = \"{{ x }}\"; }", "a.b.c.d"),
        ("{ config = lib.mkIf (a == b) { c = \"{{ x }}\"; }; }", "config.c"),
        ("let y = 1; in { a = [ { b = \"{{ x }}\"; } ]; }", "a.b"),
        ("{ a = with lib; let c = { d = 1; }; in { b = \"{{ x }}\"; }; }", "a.b"),
        ("{ a = { pkgs, lib ? x, ... }: rec { b = \"{{ x }}\"; }; }", "a.b"),
        ("{ # c = \"\n a = /* x */ \"{{ x }}\" /* y */ ; }", "a"),
    ];
    for (text, path) in cases {
        assert_eq!(options(text), [path], "{text}");
    }
}

#[test]
fn what_is_more_than_one_expression_is_no_such_option() {
    let cases = [
        "{ a = \"x{{ x }}\"; }",
        "{ a = \"{{ x }}{{ y }}\"; }",
        "{ a = \"{{ x }}\" + b; }",
        "{ a = \"{{ x }}\" {{ y }}; }",
        "{ a = f \"{{ x }}\"; }",
        "{ a = [ \"{{ x }}\" ]; }",
        "{ a = ''{{ x }}''; }",
        "{ a = \"${b}{{ x }}\"; }",
    ];
    for text in cases {
        assert!(options(text).is_empty(), "{text}");
        assert!(!scanned(text).jinja.is_empty(), "{text}");
    }
}

#[test]
fn strings_hide_what_is_in_them() {
    let text = r#"{ a = '' ''' } ''${ ''\n ${ b "}" } " ''; c = "\" } $${ "; d = "{{ x }}"; }"#;
    assert_eq!(options(text), ["d"]);
}

proptest! {
    #[test]
    fn no_text_panics_or_loops(
        text in "[a-c{}()\\[\\]\"'$#%=.;:*/\\\\ \n]{0,80}|\\PC{0,80}"
    ) {
        scanned(&text);
    }
}
