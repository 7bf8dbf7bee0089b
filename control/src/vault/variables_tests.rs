use super::*;
use crate::vault::seal;

fn password() -> Password {
    Password::new(b"hunter2").unwrap()
}

struct Repository(tempfile::TempDir);

impl Repository {
    fn of(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(directory)
    }

    fn read(&self) -> Result<Variables, Error> {
        Variables::read(self.0.path(), "www.a.b", Some(&password()))
    }

    fn needs_password(&self) -> bool {
        Variables::need_password(self.0.path(), "www.a.b").unwrap()
    }
}

fn sealed(text: &str) -> String {
    seal(text.as_bytes(), &password(), None).unwrap()
}

/// The value of `name`, as text.
fn value(variables: &Variables, name: &str) -> Option<String> {
    match variables.tree().member(name) {
        Some(Tree::Text(text)) => Some(text.to_string()),
        _ => None,
    }
}

#[test]
fn files_are_read_in_the_order_of_names_and_the_hosts_own_last() {
    let repository = Repository::of(&[
        ("group_vars/all/a.yml", "one: a\ntwo: a\nthree: a\nfour: a"),
        ("group_vars/all/b", "two: b\nthree: b"),
        ("group_vars/all/sub/c.json", "{\"three\": \"c\"}"),
        ("group_vars/all/.d.yml", "one: hidden"),
        ("group_vars/all/e.yml~", "one: backup"),
        ("group_vars/all/f.txt", "one: other"),
        ("host_vars/www.a.b.yml", "four: host"),
    ]);
    let variables = repository.read().unwrap();
    let values = ["one", "two", "three", "four"].map(|name| value(&variables, name).unwrap());
    assert_eq!(values, ["a", "b", "c", "host"]);
    assert!(variables.secrets().is_empty() && !repository.needs_password());
}

#[test]
fn every_leaf_of_a_sealed_file_and_every_sealed_value_is_a_secret() {
    let inline: String = sealed("of a value").lines().map(|line| format!("    {line}\n")).collect();
    let repository = Repository::of(&[
        ("group_vars/all/vault", &sealed("a: {b: [x, 12, yes]}\nc: ~\n")),
        ("group_vars/all/vars", &format!("open: seen\nshut: !vault |\n{inline}")),
    ]);
    assert!(repository.needs_password());
    let variables = repository.read().unwrap();
    let secrets: Vec<_> =
        variables.secrets().iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(secrets, [("shut", "of a value"), ("a.b[0]", "x"), ("a.b[1]", "12")]);
    assert_eq!(value(&variables, "shut").unwrap(), "of a value");
    let shown = format!("{variables:?}");
    assert!(shown.contains("shut") && !shown.contains("of a value"), "{shown}");
}

#[test]
fn without_a_password_a_sealed_file_is_named_and_an_open_one_read() {
    let read = |repository: &Repository| Variables::read(repository.0.path(), "www", None);
    let open = Repository::of(&[("group_vars/all.yml", "a: b")]);
    assert_eq!(value(&read(&open).unwrap(), "a").unwrap(), "b");
    for text in [sealed("a: b"), "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\n".into()] {
        let error = read(&Repository::of(&[("group_vars/all/vault", &text)])).unwrap_err();
        assert!(matches!(error, Error::NoPassword { .. }), "{error}");
        assert!(error.to_string().starts_with("`group_vars/all/vault`"), "{error}");
    }
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let sentence =
        |text: &str| Repository::of(&[("group_vars/all", text)]).read().unwrap_err().to_string();
    assert_eq!(
        sentence("a: 1\na: 2\n"),
        "`group_vars/all` is not right: line 2: `a` is there twice"
    );
    assert!(sentence("- a\n").contains("line 1: it is no map"));
    let quoted = sentence(&sealed("a: !hunter2-Secret\n"));
    assert!(quoted.contains("line 1") && !quoted.contains("hunter2"), "{quoted}");
    let other = seal(b"a: b", &Password::new(b"other").unwrap(), None).unwrap();
    assert_eq!(sentence(&other), "could not open `group_vars/all`");
}

#[test]
fn a_repository_without_variables_has_none() {
    let variables = Repository::of(&[]).read().unwrap();
    assert!(*variables.tree() == Tree::Map(Vec::new()));
}

#[test]
fn every_file_is_found_also_of_a_host_whose_name_has_dots() {
    let repository = Repository::of(&[
        ("group_vars/all/vault", "a: 1"),
        ("group_vars/README.md", "no variables"),
        ("host_vars/db.a.b", "a: 1"),
        ("host_vars/www.a.b/vault", "a: 1"),
        ("hosts/db.a.b/host.toml", ""),
    ]);
    let root = repository.0.path();
    let found = Variables::all_files(root).unwrap();
    let shown: Vec<_> = found.iter().map(|path| path.strip_prefix(root).unwrap()).collect();
    let expected = ["group_vars/all/vault", "host_vars/db.a.b", "host_vars/www.a.b/vault"];
    assert_eq!(shown, expected.map(Path::new));
}
