use data_encoding::{BASE64, BASE64URL};
use proptest::prelude::*;

use super::*;

fn find(secret: &[u8], text: &[u8]) -> Vec<Leak> {
    let scan = Scan::new([("a.secret", secret)]).unwrap();
    scan.find([(Path::new("x.nix"), text)])
}

#[test]
fn file_line_name_and_form_are_told() {
    let leaks = find(b"correct horse", b"one\ntwo\npassword = \"correct horse\";\n");
    let leak = Leak { file: "x.nix".into(), line: 3, secret: "a.secret".into(), form: Form::Plain };
    assert_eq!(leaks, [leak]);
    assert!(find(b"correct horse", b"correct\nhorse").is_empty());
}

#[test]
fn what_is_escaped_is_found() {
    let secret = "a\"b\\c ${d} ''e é/\n".trim();
    for (text, form) in [
        ("a\\\"b\\\\c ${d} ''e é/", Form::Json),
        ("a\\\"b\\\\c ${d} ''e \\u00e9/", Form::Json),
        ("a\\\"b\\\\c \\${d} ''e é/", Form::Nix),
        ("a\"b\\c ''${d} '''e é/", Form::Nix),
        ("a%22b%5Cc%20%24%7Bd%7D%20%27%27e%20%C3%A9%2F", Form::Url),
        ("a%22b%5Cc%20%24%7Bd%7D%20%27%27e%20%C3%A9/", Form::Url),
    ] {
        let leaks = find(secret.as_bytes(), format!("x = {text};").as_bytes());
        assert_eq!(leaks.iter().map(|leak| leak.form).collect::<Vec<_>>(), [form], "{text}");
    }
}

#[test]
fn a_key_of_several_lines_is_found_where_it_was_indented() {
    let key =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----\n";
    let indented: String = key.lines().map(|line| format!("    {line}\n")).collect();
    let leaks = find(key.as_bytes(), format!("key = ''\n{indented}'';").as_bytes());
    assert_eq!(leaks.iter().map(|leak| leak.line).collect::<Vec<_>>(), [3]);
    assert!(find(key.as_bytes(), b"-----BEGIN PRIVATE KEY-----\n").is_empty());
}

#[test]
fn what_is_too_short_is_said_and_not_looked_for() {
    let scan = Scan::new([("pin", b"12345".as_slice()), ("none", b""), ("long", b"123456")]);
    let scan = scan.unwrap();
    assert_eq!(scan.too_short(), ["pin"]);
    let leaks = scan.find([(Path::new("x"), b"12345 123456".as_slice())]);
    assert_eq!(leaks.iter().map(|leak| leak.secret.as_str()).collect::<Vec<_>>(), ["long"]);
}

#[test]
fn what_is_wrapped_is_told_with_the_line_that_it_begins_in() {
    let text = format!("one\n{}", BASE64.encode(&[b'x'; 48]));
    let wrapped = format!("{text}\n{}", BASE64.encode(b"correct horse battery"));
    let wrapped = wrapped.replace("Y29ycmVjdC", "Y29y\ncmVjdC");
    let leaks = find(b"correct horse battery", wrapped.as_bytes());
    let told: Vec<_> = leaks.iter().map(|leak| (leak.line, leak.form)).collect();
    assert_eq!(told, [(3, Form::Base64)]);
}

#[test]
fn each_secret_is_told_once_in_each_file() {
    let scan = Scan::new([("one", b"secret-1".as_slice()), ("two", b"secret-2")]).unwrap();
    let text = b"secret-1 secret-2 secret-1".as_slice();
    let leaks = scan.find([(Path::new("a"), text), (Path::new("b"), text)]);
    assert_eq!(leaks.len(), 4);
    assert!(!format!("{scan:?}{leaks:?}").contains("secret-1"));
}

proptest! {
    #[test]
    fn whatever_stands_around_it_each_encoding_is_found(
        secret in proptest::collection::vec(any::<u8>(), 8..40),
        before in proptest::collection::vec(any::<u8>(), 0..40),
        after in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let secret = secret.trim_ascii();
        prop_assume!(secret.len() >= 8);
        let all = [&before, secret, &after].concat();
        for written in [
            all.clone(),
            HEXLOWER.encode(&all).into_bytes(),
            HEXUPPER.encode(&all).into_bytes(),
            BASE64.encode(&all).into_bytes(),
            BASE64URL.encode(&all).into_bytes(),
        ] {
            prop_assert!(!find(secret, &written).is_empty());
        }
    }

    #[test]
    fn what_is_not_there_is_not_found(
        secret in "[a-z]{8,20}",
        text in "[A-Z0-9 \n]{0,200}",
    ) {
        // Upper case hexadecimal and base64 have letters of the text; the value has not.
        prop_assume!(forms(secret.as_bytes()).iter().all(|(_, written)| {
            !text.as_bytes().windows(written.len()).any(|at| at == written.as_slice())
        }));
        prop_assert!(find(secret.as_bytes(), text.as_bytes()).is_empty());
    }

    #[test]
    fn text_that_json_escapes_is_found(secret in "\\PC{6,30}", before in "[a-z]{0,9}") {
        prop_assume!(secret.trim().len() == secret.len());
        let written = serde_json::to_string(&format!("{before}{secret}")).unwrap();
        prop_assert!(!find(secret.as_bytes(), written.as_bytes()).is_empty());
    }
}

proptest! {
    // Each builds a scan, which takes long where nothing is optimised.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_wrapped_is_found_whatever_the_columns(
        secret in proptest::collection::vec(any::<u8>(), 8..80),
        before in proptest::collection::vec(any::<u8>(), 0..90),
        columns in prop_oneof![Just(64usize), Just(76), 4..80usize],
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\n      ")],
    ) {
        let secret = secret.trim_ascii();
        prop_assume!(secret.len() >= 8);
        let all = [&before, secret, b"end"].concat();
        let scan = Scan::new([("a.secret", secret)]).unwrap();
        for written in [BASE64.encode(&all), BASE64URL.encode(&all), HEXLOWER.encode(&all)] {
            let lines: Vec<_> = written.as_bytes().chunks(columns).collect();
            let wrapped = [b"x = ''\n  ", lines.join(end.as_bytes()).as_slice(), b"\n'';"].concat();
            prop_assert!(!scan.find_in(Path::new("x.nix"), &wrapped).is_empty());
        }
    }
}
