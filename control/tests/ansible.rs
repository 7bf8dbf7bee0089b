//! Templates and vaults beside real Ansible's.
//!
//! `tests/ansible/table.json` holds what real Ansible rendered. That we render the same is
//! looked at each time; that the table is right, and that each opens the other's vaults,
//! takes real Ansible: `cargo test -p floe --test ansible -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use floe::template::{self, Algorithm, Salts, Unsalted};
use floe::vault::{self, Password, Variables};
use serde::Deserialize;

/// One template, and what became of it; `None` is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    template: String,
    ansible: Option<String>,
    /// What we make of it instead.
    #[serde(default)]
    ours: Option<String>,
    /// Why that is right. Without it, ours must be the same.
    #[serde(default)]
    why: Option<String>,
}

struct NoSalts;

impl Salts for NoSalts {
    fn salt(&mut self, _: &str, _: &str, _: Algorithm) -> Result<String, Unsalted> {
        Err(Unsalted)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ansible")
}

fn variables() -> Variables {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("group_vars")).unwrap();
    fs::copy(folder().join("variables.yml"), root.path().join("group_vars/all")).unwrap();
    Variables::read(root.path(), "www", None).unwrap()
}

#[test]
fn templates_are_rendered_as_ansible_renders_them() {
    let table = fs::read_to_string(folder().join("table.json")).unwrap();
    let table: Vec<Case> = serde_json::from_str(&table).unwrap();
    assert!(table.len() >= 60, "{} templates", table.len());
    let variables = variables();
    let mut differences = String::new();
    for Case { template, ansible, ours, why } in &table {
        let rendered = template::render("table", template, &variables, &mut NoSalts);
        let rendered = rendered.map(|text| text.to_string());
        let expected = if why.is_some() { ours } else { ansible };
        if rendered.as_ref().ok() != expected.as_ref() {
            differences +=
                &format!("{template:?}\n  expected {expected:?}\n  rendered {rendered:?}\n");
        }
        assert!(
            why.is_none() || ours != ansible,
            "{template}: it is the same, so no reason is needed"
        );
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
#[ignore = "makes a virtual environment with real Ansible from PyPI, once"]
fn the_table_is_what_real_ansible_renders() {
    let compared = ansible(&[]);
    let said = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(compared.status.success(), "{said}{}", String::from_utf8_lossy(&compared.stderr));
}

#[tokio::test]
#[ignore = "makes a virtual environment with real Ansible from PyPI, once"]
async fn each_opens_what_the_other_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("password"), "correct horse \n").unwrap();
    let password = Password::of_file(Path::new(&path("password"))).await.unwrap();
    let texts = ["", "x", "0123456789abcdef", "a: Grüße\nb: [1, 2]\n", &"long ".repeat(5000)];
    for (number, text) in texts.iter().enumerate() {
        for label in [None, Some("prod")] {
            let name = path(&format!("{number}-{}", label.unwrap_or("default")));
            let id = format!("{}@{}", label.unwrap_or("default"), path("password"));
            let sealed = vault::seal(text.as_bytes(), &password, label).unwrap();
            fs::write(&name, sealed).unwrap();
            let viewed = ansible(&["vault", "decrypt", "--vault-id", &id, "--output", "-", &name]);
            assert!(viewed.status.success(), "{}", String::from_utf8_lossy(&viewed.stderr));
            assert_eq!(String::from_utf8_lossy(&viewed.stdout), *text);

            fs::write(&name, text).unwrap();
            let chosen = label.unwrap_or("default");
            let sealed = ansible(&[
                "vault",
                "encrypt",
                "--vault-id",
                &id,
                "--encrypt-vault-id",
                chosen,
                &name,
            ]);
            assert!(sealed.status.success(), "{}", String::from_utf8_lossy(&sealed.stderr));
            let sealed = fs::read(&name).unwrap();
            assert_eq!(vault::label(&sealed).unwrap().as_deref(), label);
            assert_eq!(vault::open(&sealed, &password).unwrap().as_slice(), text.as_bytes());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits for its program, however long")]
fn ansible(arguments: &[&str]) -> Output {
    std::process::Command::new(folder().join("compare")).args(arguments).output().unwrap()
}
