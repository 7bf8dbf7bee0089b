//! Which lock files hosts can use (catalogue T059).

use super::*;

const HASH: &str = "sha256-7u/RihPpWbE905S1sCBgeQC0STl5qeAeQnkf9MxdkB4=";

/// A lock file with these nodes beside the root, whose inputs they are.
fn lock(nodes: &[(&str, &str)]) -> FlakeLock {
    let inputs: Vec<_> = nodes.iter().map(|(name, _)| format!("\"{name}\": \"{name}\"")).collect();
    let nodes: String = nodes.iter().map(|(name, node)| format!(", \"{name}\": {node}")).collect();
    let inputs = inputs.join(", ");
    let text = format!(
        "{{\"nodes\": {{\"root\": {{\"inputs\": {{{inputs}}}}}{nodes}}}, \"root\": \"root\", \
         \"version\": 7}}"
    );
    FlakeLock::parse(&text).unwrap()
}

fn node(locked: &str) -> String {
    let locked = locked.replace("HASH", &format!("\"narHash\": \"{HASH}\""));
    format!("{{\"locked\": {{{locked}}}, \"original\": {{\"type\": \"indirect\", \"id\": \"x\"}}}}")
}

/// What is said of an input that is locked to this.
fn fault(locked: &str) -> Option<Fault> {
    let mut faults = lock(&[("it", &node(locked))]).faults();
    assert!(faults.len() < 2, "{faults:?}");
    faults.pop()
}

#[test]
fn what_is_locked_to_a_hash_and_can_be_fetched_is_fine() {
    for good in [
        r#""type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": "1", HASH"#,
        r#""type": "git", "url": "https://example.org/x.git", "rev": "1", HASH"#,
        r#""type": "git", "url": "ssh://git@example.org/x.git", "rev": "1", HASH"#,
        r#""type": "tarball", "url": "http://127.0.0.1/x.tar.gz", HASH"#,
    ] {
        assert_eq!(fault(good), None, "{good}");
    }
    assert_eq!(lock(&[]).faults(), []);
    assert_eq!(lock(&[("a", &node("\"type\": \"github\", HASH"))]).inputs(), BTreeSet::from(["a"]));
}

#[test]
fn t059_what_a_host_cannot_have_or_cannot_hold_to_is_refused() {
    let input = || "it".to_owned();
    for (bad, said) in [
        (r#""type": "github", "rev": "1""#, Fault::NoHash { input: input() }),
        (r#""type": "github", "narHash": "sha256-AAAA""#, Fault::NoHash { input: input() }),
        (r#""type": "github", "narHash": "md5-AAAA""#, Fault::NoHash { input: input() }),
        (r#""type": "indirect", "id": "nixpkgs", HASH"#, Fault::Indirect { input: input() }),
        (r#""type": "git", "url": "file:///srv/x", HASH"#, Fault::Here { input: input() }),
        (r#""type": "git", "url": "/srv/x", HASH"#, Fault::Here { input: input() }),
        (r#""type": "hg", "url": "../x", HASH"#, Fault::Here { input: input() }),
        (r#""type": "tarball", "url": "file:///x.tar.gz", HASH"#, Fault::Here { input: input() }),
        (r#""type": "path", "path": "/srv/x", HASH"#, Fault::Outside { input: input() }),
        (r#""type": "path", "path": "../x", HASH"#, Fault::Outside { input: input() }),
        (r#""type": "path", "path": "a/../../x", HASH"#, Fault::Outside { input: input() }),
        (r#""type": "path", HASH"#, Fault::Outside { input: input() }),
        (r#""type": "path", "path": "./sub", HASH"#, Fault::NoParent { input: input() }),
    ] {
        assert_eq!(fault(bad), Some(said), "{bad}");
    }
    let not_locked = [Fault::NotLocked { input: input() }];
    assert_eq!(lock(&[("it", r#"{"original": {}}"#)]).faults(), not_locked);
    assert_eq!(lock(&[("it", r#"{"locked": {"type": "github"}}"#)]).faults(), not_locked);
    let nowhere = lock(&[("it", r#"{"inputs": {"x": "gone", "y": ["it", "x"]}, "original": {}}"#)]);
    let missing = Fault::Missing { input: "gone".into() };
    assert_eq!(nowhere.faults(), [missing, not_locked[0].clone()]);
}

#[test]
fn a_path_is_relative_to_the_input_that_names_it() {
    let within = |path: &str, parent: &str| {
        let locked = format!("\"type\": \"path\", \"path\": \"{path}\"");
        node(&locked).replacen('{', &format!("{{\"parent\": {parent}, "), 1)
    };
    let beside = within("../b", r#"["a"]"#);
    assert_eq!(lock(&[("a", &within("./a", "[]")), ("b", &beside)]).faults(), []);
    assert_eq!(lock(&[("a", &within("x/../a", "[]"))]).faults(), []);
    assert_eq!(lock(&[("a", &within("x/../../a", "[]"))]).faults().len(), 1);
    // What is fetched is a tree of its own.
    let fetched = node("\"type\": \"github\", HASH");
    let outside = [Fault::Outside { input: "b".into() }];
    assert_eq!(lock(&[("a", &fetched), ("b", &beside)]).faults(), outside);
    assert_eq!(lock(&[("a", &fetched), ("b", &within("./b", r#"["a"]"#))]).faults(), []);
    // And nothing leads round in a circle.
    let circle = lock(&[("a", &within("./x", r#"["b"]"#)), ("b", &within("./x", r#"["a"]"#))]);
    assert_eq!(circle.faults().len(), 2);
}

#[test]
fn what_is_no_lock_file_is_named_by_its_line() {
    let said = |text: &str| FlakeLock::parse(text).unwrap_err();
    assert_eq!(said("{\n  \"version\": 7,\n"), Fault::Malformed { line: 3 });
    assert_eq!(said("{\"version\": 8, \"new\": 1}"), Fault::Version { version: 8 });
    assert_eq!(said("{\"version\": 4}"), Fault::Version { version: 4 });
    assert_eq!(
        said(r#"{"version": 7, "root": "r\u001b", "nodes": {}}"#),
        Fault::Missing { input: "r\\u{1b}".into() }
    );
    assert_eq!(said(&" ".repeat(MAX_BYTES + 1)), Fault::TooLong);
}

#[test]
fn nix_is_called_with_this_and_nothing_else() {
    let attribute = "www.fossable.org".parse().unwrap();
    let called = building(Path::new("/a b/role"), &attribute, Some(Path::new("/a b/result")));
    let called: Vec<_> = called.iter().map(|argument| argument.to_str().unwrap()).collect();
    insta::assert_snapshot!(called.join("\n"));
}

#[test]
fn a_path_says_nothing_else_in_a_url() {
    assert_eq!(in_url(Path::new("/a-b/c_d.e/f")), "/a-b/c_d.e/f");
    assert_eq!(in_url(Path::new("/a b&c?d=e%f#g/ö")), "/a%20b%26c%3Fd%3De%25f%23g/%C3%B6");
}
