use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::template::{Algorithm, Unsalted};
use crate::vault::yaml;

/// Gives salts that tell their keys.
#[derive(Default)]
struct Told(BTreeMap<String, Algorithm>);

impl Salts for Told {
    fn salt(&mut self, key: &str, _: &str, algorithm: Algorithm) -> Result<String, Unsalted> {
        self.0.insert(key.to_owned(), algorithm);
        let digits: String = key.chars().filter(char::is_ascii_digit).collect();
        let length = if algorithm == Algorithm::Bcrypt { 22 } else { 8 };
        Ok(format!("{digits:x>length$}"))
    }
}

fn variables(text: &str) -> Variables {
    let mut open = |_: &str| Err("sealed".to_owned());
    Variables::from(yaml::read(text, &mut open).unwrap().tree)
}

fn rendered(text: &str, of: &str) -> Result<String, Error> {
    render("www/a.nix", text, &variables(of), &mut Told::default()).map(|text| text.to_string())
}

#[test]
fn the_line_of_the_seed_becomes_a_digest_with_a_kept_salt() {
    let of = "hosts: {www: {users: {root: {password: hunter2}}}}";
    let text = "hashedPassword = \"{{ hosts.www.users.root.password | password_hash }}\";\n";
    let mut salts = Told::default();
    let once = render("www/a.nix", text, &variables(of), &mut salts).unwrap();
    assert!(once.starts_with("hashedPassword = \"$6$rounds=656000$xxxxxxxx$"), "{}", *once);
    assert_eq!(
        salts.0.into_iter().collect::<Vec<_>>(),
        [("www/a.nix#hosts.www.users.root.password | password_hash".into(), Algorithm::Sha512)]
    );
    assert_eq!(*once, rendered(text, of).unwrap());
}

#[test]
fn each_password_takes_a_salt_of_its_own() {
    let text = "{{ 'a' | password_hash('sha256', rounds=1000) }} {{ 'b' | password_hash('blowfish', rounds=4) }}";
    let mut salts = Told::default();
    render("x", text, &variables("{}"), &mut salts).unwrap();
    let keys: Vec<_> = salts.0.into_iter().collect();
    assert_eq!(
        keys,
        [
            ("x#'a' | password_hash('sha256', rounds=1000)".into(), Algorithm::Sha256),
            ("x#'b' | password_hash('blowfish', rounds=4)".into(), Algorithm::Bcrypt)
        ]
    );
}

#[test]
fn a_salt_stays_whatever_is_added_and_a_loop_takes_one_for_each() {
    let of = "a: x\nb: y\nall: [p, q]\nc: \"{{ 'hunter2' | password_hash(rounds=1000) }}\"\n";
    let taken = |text: &str| -> Vec<String> {
        let mut salts = Told::default();
        render("f", text, &variables(of), &mut salts).unwrap();
        salts.0.into_keys().collect()
    };
    let a = "{{ a | password_hash(rounds=1000) }}\n";
    let key = "f#a | password_hash(rounds=1000)";
    assert_eq!(taken(a), [key]);
    assert_eq!(
        taken(&format!("{{{{ b|password_hash(rounds=1000) }}}}\n{a}")),
        [key, "f#b|password_hash(rounds=1000)"]
    );
    let each = "{% for it in all %}{{ it|password_hash(rounds=1000) }}{% endfor %}";
    let key = "f#it|password_hash(rounds=1000)";
    assert_eq!(taken(each), [key.to_owned(), format!("{key} #2")]);
    assert_eq!(taken("{{ c }}"), ["f#variable c"]);
}

#[test]
fn what_is_not_there_is_named_with_line_and_the_nearest_name() {
    let of = "hosts: {www: {users: {root: {password: x}}}}\nport: 80";
    let error = rendered("one\ntwo {{ hosts.www.users.rot.password }}\n", of).unwrap_err();
    assert_eq!(error.to_string(), "`www/a.nix` line 2: `hosts.www.users.rot` is not defined");
    assert!(error.advice().starts_with("was `hosts.www.users.root` meant?"), "{}", error.advice());
    for text in [
        "{{ prt }}",
        "{{ prt | upper }}",
        "{{ prt | quote }}",
        "{% if prt %}{% endif %}",
        "{{ 1 + prt }}",
    ] {
        let error = rendered(text, of).unwrap_err();
        assert!(error.to_string().contains("`prt` is not defined"), "{text}: {error}");
        assert!(error.advice().contains("`port`"), "{text}: {}", error.advice());
    }
    assert!(!rendered("{{ nothing_like_it }}", of).unwrap_err().advice().contains("meant"));
}

#[test]
fn what_a_variable_names_is_followed_and_a_circle_is_found() {
    let of = "a: '{{ b }}/{{ c[0] }}'\nb: '{{ n }}'\nc: ['{{ b }}x']\nn: 8\nbad: '{{ nobody }}'\n\
              one: '{{ two }}'\ntwo: '{{ one }}'\nlist: '{{ c }}'\nraw: !unsafe '{{ b }}'";
    assert_eq!(rendered("{{ a }}", of).unwrap(), "8/8x");
    assert_eq!(rendered("{{ b + 1 }} {{ list[0] }}", of).unwrap(), "9 8x", "types are kept");
    assert_eq!(rendered("{{ raw }}", of).unwrap(), "{{ b }}");
    let circle = rendered("{{ one }}", of).unwrap_err().to_string();
    assert!(circle.contains("is made of itself"), "{circle}");
    let bad = rendered("{{ bad }}", of).unwrap_err().to_string();
    assert!(
        bad.contains("`nobody` is not defined") || bad.contains("`bad` names what is not"),
        "{bad}"
    );
}

#[test]
fn nothing_of_the_machine_flows_in() {
    for text in [
        "{{ lookup('env', 'HOME') }}",
        "{{ query('file', '/etc/passwd') }}",
        "{{ 'x' | expanduser }}",
        "{{ 9 | random }}",
        "{{ omit }}",
        "{{ now() }}",
        "{% include '/etc/passwd' %}",
        "{{ debug() }}",
        "{{ 'x' | realpath }}",
        "{{ lookup('password', '/dev/null') }}",
    ] {
        assert!(rendered(text, "{}").is_err(), "{text}");
    }
    let error = rendered("{{ lookup('env', 'HOME') }}", "{}").unwrap_err().to_string();
    assert!(error.contains("`lookup('env')` is refused"), "{error}");
}

#[test]
fn text_without_marks_is_no_template() {
    assert!(!is_template("{ pkgs, ... }: { a = \"${b}\"; }"));
    assert!(is_template("x = {{ y }}") && is_template("{# a #}") && is_template("{% raw %}"));
}

#[test]
fn neither_values_nor_templates_print() {
    let shown = format!("{:?}", variables("password: hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_brings_it_down(text in "[a-z{}%#| '(),.0-9\n-]{0,60}") {
        let _ = rendered(&text, "a: 1\nb: {c: x}");
    }

    #[test]
    fn what_is_no_template_stays_as_it_is(text in "[^{]{0,80}") {
        prop_assert_eq!(rendered(&text, "{}").unwrap(), text);
    }

    #[test]
    fn base64_and_json_come_back(text in "\\PC{0,40}") {
        let of = format!("t: !unsafe {}", serde_json::to_string(&text).unwrap());
        let read = rendered("{{ t | b64encode | b64decode }}", &of).unwrap();
        prop_assert_eq!(&read, &text);
        prop_assert_eq!(rendered("{{ t | to_json | from_json }}", &of).unwrap(), text);
    }
}
