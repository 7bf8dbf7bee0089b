use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(default)]
    soak: Option<String>,
    #[serde(default)]
    checks: Vec<Check>,
    #[serde(default)]
    files: BTreeMap<String, File>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    #[serde(rename = "timeout")]
    _timeout: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "template")]
    _template: bool,
}

fn faults(text: &str) -> Vec<Fault> {
    match parse::<Sample>(text, Path::new("x.toml")) {
        Err(Error::Wrong { faults, .. }) => faults,
        other => panic!("{other:?}"),
    }
}

fn sentences(text: &str) -> Vec<String> {
    faults(text).iter().map(ToString::to_string).collect()
}

#[test]
fn every_field_that_does_not_fit_is_named_in_one_pass() {
    let found = sentences(
        "name = 'n'\nsoack = '1s'\nsoak = 1\n[[checks]]\ntimeout = '1'\n[[checks]]\ntimeout = 2\n\
         [files.x]\ntemplate = true\nmode = 1\n[zzz]\n",
    );
    assert_eq!(
        found,
        [
            "line 2: unknown field `soack` (did you mean `soak`?)",
            "line 3: invalid type: integer `1`, expected a string",
            "line 5: invalid type: string \"1\", expected u32",
            "line 10: unknown field `mode`, expected `template`",
            "line 11: unknown field `zzz`, expected one of `name`, `soak`, `checks`, `files`",
        ]
    );
}

#[test]
fn what_was_taken_out_is_not_called_missing() {
    assert_eq!(sentences("name = 1\n").len(), 1);
    let missing = faults("soak = '1s'\n");
    assert_eq!(missing, [Fault::of_file("missing field `name`")]);
    let [inner] = &faults("name = 'n'\n[files.x]\n")[..] else { panic!("one") };
    assert_eq!(inner.place.as_ref().map(|place| place.line), Some(2));
}

#[test]
fn slips_of_syntax_come_once_for_each_line() {
    let found = sentences("name = 'n\nsoak = = 2\nname = 'm'\n");
    assert!(found[0].starts_with("line 1: "), "{found:?}");
    assert!(found[1].starts_with("line 2: "), "{found:?}");
    let twice = sentences("name = 'a'\nname = 'b'\n");
    assert!(twice[0].contains("line 2") && twice[0].contains("duplicate key"), "{twice:?}");
}

#[test]
fn a_setting_is_found_by_its_name() {
    let text = "name = 'n'\n[[checks]]\ntimeout = 1\n[[checks]]\ntimeout = 22\n\
                [files.\"a.b\"]\ntemplate = true\n[files.a]\ntemplate = false\n";
    let (sample, document) = parse::<Sample>(text, Path::new("x.toml")).unwrap();
    assert_eq!((sample.name.as_str(), sample.checks.len(), sample.files.len()), ("n", 2, 2));
    assert_eq!(sample.soak, None);
    let line = |name: &str| document.place(name).map(|place| (place.line, place.column));
    assert_eq!(line("name"), Some((1, 8)));
    assert_eq!(line("checks #2.timeout"), Some((5, 11)));
    assert_eq!(line("checks #2.unit").map(|place| place.0), Some(4));
    assert_eq!(line("files.a.b.template"), Some((7, 12)));
    assert_eq!(line("files.a.template"), Some((9, 12)));
    assert_eq!(line("elsewhere"), None);
}
