//! Tests of what expressions mean.

use proptest::prelude::*;

use super::*;

fn scope(variables: &[(&str, &str)], locals: &[(&str, &str)]) -> Scope {
    let of = |named: &[(&str, &str)]| {
        let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), text.parse().unwrap());
        named.iter().map(pair).collect()
    };
    Scope::new(of(variables), of(locals), BTreeSet::new())
}

fn shown(scope: &Scope, text: &str) -> String {
    scope.meaning(&text.parse().unwrap()).shown()
}

#[test]
fn what_is_known_is_evaluated_and_the_rest_stays() {
    let scope = scope(
        &[("app", "\"www\""), ("empty", "env(\"X\")")],
        &[
            ("stamp", "formatdate(\"YYYY\", timestamp())"),
            ("name", "\"${var.app}-${local.stamp}\""),
            ("up", "upper(var.app)"),
            ("twice", "\"${local.up}${local.up}\""),
        ],
    );
    let cases = [
        ("local.twice", "WWW-WWW".replace('-', "").as_str().to_owned()),
        ("local.name", "www-${formatdate(\"YYYY\", timestamp())}".to_owned()),
        ("\"x-${local.name}\"", "x-www-${formatdate(\"YYYY\", timestamp())}".to_owned()),
        ("var.empty", "env(\"X\")".to_owned()),
        ("8 * 2", "16".to_owned()),
        ("var.app == \"www\" ? \"a\" : \"b\"", "a".to_owned()),
        ("join(\"-\", [for x in [\"a\", \"b\"] : upper(x)])", "A-B".to_owned()),
        ("format(\"%s_%d\", var.app, 3)", "www_3".to_owned()),
        ("lookup({a = \"b\"}, \"a\", \"c\")", "b".to_owned()),
        ("replace(\"a.b\", \".\", \"-\")", "a-b".to_owned()),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(&scope, text), expected, "{text}");
    }
    let reference = "\"${data.amazon-ami.nixos.id}\"".parse().unwrap();
    assert_eq!(scope.reference(&reference).unwrap(), ["data", "amazon-ami", "nixos", "id"]);
}

#[test]
fn circles_and_growth_end() {
    let circle = scope(&[], &[("a", "\"${local.b}x\""), ("b", "\"${local.a}${local.a}\"")]);
    assert!(shown(&circle, "local.a").contains("local."));
    let names: Vec<String> = (0..40).map(|n| format!("l{n}")).collect();
    let texts: Vec<String> =
        (0..40).map(|n| format!("\"${{local.l{}}}${{local.l{}}}\"", n + 1, n + 1)).collect();
    let mut locals: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    locals.push(("l40", "\"0123456789\""));
    shown(&scope(&[], &locals), "local.l0");
}

#[test]
fn what_grows_is_not_evaluated() {
    let list = |length: usize| format!("[{}]", vec!["\"x\""; length].join(", "));
    let long = format!("\"{}\"", "x".repeat(100_000));
    let (many, few) = (list(1000), list(20));
    let scope = scope(&[("many", &many), ("few", &few), ("long", &long)], &[]);
    let cases = [
        "[for a in var.many : [for b in var.many : [for c in var.many : a]]]",
        "[for a in var.many : [for b in a.list : b]]",
        "[for a in concat(var.many, var.many) : [for b in split(\"\", a) : b]]",
        "replace(var.long, \"\", var.long)",
        "replace(var.long, \"x\", var.long)",
        "join(var.long, var.many)",
        "format(\"%s%s%s%s\", var.long, var.long, var.long, var.long)",
        "[for a in var.few : var.long]",
        "\"${1 + 1}\"",
    ];
    for text in cases {
        let meaning = scope.meaning(&text.parse().unwrap());
        assert!(matches!(meaning, Meaning::Symbolic(_)), "{text}");
    }
    let small = "length(flatten([for a in var.few : [for b in var.few : b]]))";
    assert_eq!(shown(&scope, small), "400");
    assert!(!scope.is_exhausted());
}

#[test]
fn what_never_ends_is_known_to_be_too_much() {
    let scope = scope(&[("many", &format!("[{}]", vec!["1"; 900].join(", ")))], &[]);
    let text: Expression = "length([for a in var.many : upper(a)])".parse().unwrap();
    for _ in 0..5_000 {
        scope.meaning(&text);
    }
    assert!(scope.is_exhausted());
}

#[test]
fn what_is_sensitive_is_never_shown() {
    let of = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), text.parse().unwrap())).collect()
    };
    let variables = of(&[("token", "\"hunter2\""), ("token_name", "\"t\"")]);
    let locals = of(&[("a", "\"x-${var.token}\""), ("b", "upper(local.a)"), ("c", "var.token")]);
    let scope = Scope::new(variables, locals, BTreeSet::from(["var.token".to_owned()]));
    let cases = [
        ("var.token", "(sensitive)"),
        ("local.c", "(sensitive)"),
        ("\"${local.a}!\"", "x-${(sensitive)}!"),
        ("upper(var.token)", "(sensitive)"),
        ("{ a = var.token }", "(sensitive)"),
        ("var.token_name", "t"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(&scope, text), expected, "{text}");
    }
    assert!(!shown(&scope, "local.b").contains("hunter2"));
}

#[test]
fn a_division_by_zero_stays_as_it_is() {
    let scope = scope(&[], &[]);
    for text in ["1 / 0", "\"${1 % 0}\"", "[1e308 * 1e308]", "{a = -(1 / 0)}"] {
        assert!(matches!(scope.meaning(&text.parse().unwrap()), Meaning::Symbolic(_)), "{text}");
    }
}

proptest! {
    #[test]
    fn no_expression_panics(text in "[a-c0-9.+*/%\"${}()\\[\\]:,=?!<> -]{0,60}") {
        if let Ok(expression) = text.parse::<Expression>() {
            scope(&[("a", "1")], &[("b", "var.a")]).meaning(&expression);
        }
    }
}
