//! Tests of the tokens.

use proptest::prelude::*;

use super::*;

fn kinds(text: &str, reading: Reading) -> Vec<(Kind, &str)> {
    let tokens = Tokens::of(text, reading);
    tokens.list.into_iter().map(|it| (it.kind, &text[it.range])).collect()
}

#[test]
fn paths_are_no_keywords_and_no_brackets() {
    let text = "[ ./in/with.nix ../let <a/b> ~/x a//b https://x.org/{y} a / b ]";
    let paths: Vec<&str> = kinds(text, Reading::Nix)
        .into_iter()
        .filter(|(kind, _)| matches!(kind, Kind::Path | Kind::SearchPath | Kind::Uri))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(paths, ["./in/with.nix", "../let", "<a/b>", "~/x", "https://x.org/"]);
    assert_eq!(kinds("./${x}.nix", Reading::Nix)[0], (Kind::Path, "./"));
}

#[test]
fn jinja_is_seen_where_it_is_rendered_and_only_there() {
    let text = "# {% if x %}\n{ a = \"{{ y }}\"; /* {{ z }} */ } # {# w #}";
    let of = |reading| {
        let jinja = |(kind, text)| matches!(kind, Kind::Jinja(_)).then_some(text);
        kinds(text, reading).into_iter().filter_map(jinja).collect::<Vec<_>>()
    };
    assert_eq!(of(Reading::Template), ["{% if x %}", "{{ y }}", "{{ z }}", "{# w #}"]);
    assert!(of(Reading::Nix).is_empty());
    let raw = "{% raw %}{{ x }}{% endraw %}{{ y }}";
    let found = kinds(raw, Reading::Template);
    assert_eq!(found[0].1, "{% raw %}{{ x }}{% endraw %}");
    assert_eq!(found[1].1, "{{ y }}");
}

#[test]
fn what_nix_can_read_is_no_template() {
    for text in ["{ a = \"{{ x }}\"; }", "{ a = { b = { }; }; }}", "{ /* {{ */ }", "{# x\n}"] {
        assert!(!Tokens::is_template(text), "{text}");
    }
    for text in ["{ a = {{ x }}; }", "{ {% if x %} }"] {
        assert!(Tokens::is_template(text), "{text}");
    }
}

proptest! {
    #[test]
    fn every_token_is_in_the_text_and_after_the_one_before(
        text in "[a-c{}()\\[\\]\"'$#%=.;:*/\\\\<>~ \n]{0,80}|\\PC{0,80}"
    ) {
        for reading in [Reading::Nix, Reading::Template] {
            let mut end = 0;
            for token in Tokens::of(&text, reading).list {
                prop_assert!(token.range.start >= end && token.range.end > token.range.start);
                prop_assert!(text.get(token.range.clone()).is_some());
                end = token.range.end;
            }
        }
    }
}
