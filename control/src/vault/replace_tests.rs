use proptest::prelude::*;

use super::*;
use crate::vault::Tree;

fn route(way: &str) -> Route {
    let mut steps = way.split(['.', '[']).map(|step| match step.strip_suffix(']') {
        Some(at) => Step::At(at.parse().unwrap()),
        None => Step::Name(step.to_owned()),
    });
    let Some(Step::Name(first)) = steps.next() else { panic!("{way}") };
    Route::new(first, steps.collect())
}

fn replaced(text: &str, way: &str, new: &str) -> String {
    replace(text, &route(way), new).map_or_else(|error| error.to_string(), |it| it.to_string())
}

/// What was there, the way to the value, the new value, and what is there then.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("a: old # why\nb: 1\n", "a", "new", "a: \"new\" # why\nb: 1\n"),
    ("# head\n\nb: 1\na: 'it''s'   # why\n", "a", "don't", "# head\n\nb: 1\na: 'don''t'   # why\n"),
    ("a: \"o\\\"ld\"\nb: 1", "a", "n\"e\\w", "a: \"n\\\"e\\\\w\"\nb: 1"),
    ("a: 1\n", "a", "yes", "a: \"yes\"\n"),
    (
        "a: {b: [x, {c: old}], d: e} # why\n",
        "a.b[1].c",
        "n, e",
        "a: {b: [x, {c: \"n, e\"}], d: e} # why\n",
    ),
    ("ä:\n  ö: 'ü' # ß\n  c: é\n", "ä.ö", "ñ", "ä:\n  ö: 'ñ' # ß\n  c: é\n"),
    ("a:\n- b: old\n  c: 1\n- d\n", "a[0].b", "new", "a:\n- b: \"new\"\n  c: 1\n- d\n"),
    ("a:\n  - old\n  - x\n", "a[0]", "1\n2\n", "a:\n  - |\n    1\n    2\n  - x\n"),
    (
        "a: |\n  one\n\n  two\n\n# why\nb: 1\n",
        "a",
        "three\n\n four\n",
        "a: |\n  three\n\n   four\n\n# why\nb: 1\n",
    ),
    ("a: |  # why\n    one\nb: 1\n", "a", "x\ny", "a: |-  # why\n    x\n    y\nb: 1\n"),
    ("a: >-\n  one\n  two\nb: 1\n", "a", "three", "a: |-\n  three\nb: 1\n"),
    ("a: |\n  one\nb: 1\n", "a", "", "a: \"\"\nb: 1\n"),
    ("a: |\n  one", "a", "two\n", "a: |\n  two"),
    ("a: old\nb: 1\n", "a", "1\n 2\n", "a: |\n  1\n   2\nb: 1\n"),
    ("a:\n  b: old # why\n", "a.b", "  1\n2", "a:\n  b: |2- # why\n      1\n    2\n"),
    ("a: one\n  two\n  three\nb: 1\n", "a", "new", "a: \"new\"\nb: 1\n"),
    ("a: 'one\n  two' # why\nb: 1\n", "a", "new", "a: 'new' # why\nb: 1\n"),
    ("a: !vault |\n  one\n  two\nb: 1\n", "a", "3\n4\n", "a: !vault |\n  3\n  4\nb: 1\n"),
    (
        // As `ansible-vault encrypt_string` indents.
        "a: !vault |\n          one\n          two\nb: 1\n",
        "a",
        "3\n4\n",
        "a: !vault |\n          3\n          4\nb: 1\n",
    ),
    ("a: !unsafe old\n", "a", "{{ x }}", "a: !unsafe \"{{ x }}\"\n"),
    ("---\na: old\n...\n", "a", "new", "---\na: \"new\"\n...\n"),
    ("{\"a\": \"old\", \"b\": 1}", "a", "1\n2", "{\"a\": \"1\\n2\", \"b\": 1}"),
    ("a: old\n", "a", "\u{7f}\u{2028}\r\u{1f600}", "a: \"\\u007f\\u2028\\r\u{1f600}\"\n"),
    (
        "b: &it {c: 1}\na: {d: *it, e: old}\n",
        "a.e",
        "new",
        "b: &it {c: 1}\na: {d: *it, e: \"new\"}\n",
    ),
    ("a: &it old\n", "a", "new", "a: &it \"new\"\n"),
    // What is not sure.
    (
        "a: &it old\nb: *it\n",
        "a",
        "new",
        "`a` is written in a way that only a person should change",
    ),
    (
        "a: &it old\nb: *it\n",
        "b",
        "new",
        "`b` is written in a way that only a person should change",
    ),
    (
        "b: &it {c: 1}\na: {<<: *it}\n",
        "a.c",
        "new",
        "`a.c` is written in a way that only a person should change",
    ),
    ("a: !!int 1\n", "a", "new", "`a` is written in a way that only a person should change"),
    ("a: {b: 1}\n", "a", "new", "`a` is not a single value"),
    ("a: {b: 1}\n", "a.c", "new", "`a.c` is not there"),
    ("a: [1]\n", "a[1]", "new", "`a[1]` is not there"),
    ("a: [1\n", "a", "new", "it cannot be read as variables"),
];

#[test]
fn one_value_changes_and_nothing_else() {
    let mut differences = String::new();
    for (text, way, new, expected) in CASES {
        let found = replaced(text, way, new);
        if found != *expected {
            differences += &format!("{text:?}\n  expected {expected:?}\n  found    {found:?}\n");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn a_value_that_is_not_there_yet_gets_its_place_or_is_refused() {
    for text in ["a:\nb: 1\n", "a: ~\nb: 1\n", "a: # why\nb: 1\n", "a:"] {
        match replace(text, &route("a"), "new") {
            Ok(changed) => {
                assert!(changed.contains("a: ") && changed.contains("new"), "{changed:?}")
            }
            Err(error) => assert!(matches!(error, Error::Unsure { .. }), "{text:?}: {error}"),
        }
    }
}

proptest! {
    /// Whatever the value: it is what is read again, and the rest is what it was.
    #[test]
    fn whatever_is_written_is_read_again(
        new in "\\PC{0,12}[\\n\\t '\":#\\\\{}|>-]{0,3}\\PC{0,12}\\n{0,2}",
        shape in 0..6usize,
    ) {
        let text = [
            "# one\na: old # two\nb: [1]\n",
            "# one\na: 'old' # two\nb: [1]\n",
            "# one\na: | # two\n  o\n\n  ld\n\nb: [1] # three\n",
            "# one\nx:\n  - a: >+ # two\n      old\n\n  - b: 1\n",
            "# one\nx: {a: old, # two\n  b: 1}\n",
            "# one\nx:\n- - 1\n  - old # two\n",
        ][shape];
        let way = ["a", "a", "a", "x[0].a", "x.a", "x[0][1]"][shape];
        let changed = replace(text, &route(way), &new).unwrap();
        let read = read(&changed).unwrap();
        prop_assert!(route(way).value(&read.tree) == Some(&Tree::text(new)));
        prop_assert!(changed.contains("# one\n") && changed.contains("# two\n"));
    }
}
