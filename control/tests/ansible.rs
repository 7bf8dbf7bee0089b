//! Templates and vaults beside real Ansible's.
//!
//! `tests/ansible/table.json` holds what real Ansible rendered. That the table is right, and that
//! each opens the other's vaults, takes real Ansible: a virtual environment below the target
//! directory, made of PyPI once. Where that cannot be had, these tests say so and are skipped.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs the real binary"
)]

mod fleet;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use fleet::Fleet;
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
fn the_table_is_what_real_ansible_renders() {
    if !*PREPARED {
        return;
    }
    let compared = ansible(&[]);
    let said = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(compared.status.success(), "{said}{}", String::from_utf8_lossy(&compared.stderr));
}

#[tokio::test]
async fn each_opens_what_the_other_sealed() {
    if !*PREPARED {
        return;
    }
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

#[test]
fn ansible_reads_what_floe_changed_in_its_vault() {
    if !*PREPARED {
        return;
    }
    let fleet = Fleet::begin();
    let path = |name: &str| fleet.path(name).display().to_string();
    let sound = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(path("password"), "correct horse\n").unwrap();
    fs::create_dir_all(path("group_vars/all")).unwrap();
    let (vault, id) = (path("group_vars/all/vault"), format!("prod@{}", path("password")));
    let with_id = ["--vault-id", &id];
    fs::write(&vault, "# ours\ndb: {user: www, password: old} # why\n").unwrap();
    sound(ansible(&[&["vault", "encrypt"], &with_id[..], &[&vault]].concat()));
    let alone = sound(ansible(
        &[&["vault", "encrypt_string"], &with_id[..], &["--name", "alone", "old"]].concat(),
    ));
    fs::write(path("group_vars/all/vars.yml"), format!("{alone}\n")).unwrap();
    let host = "system = 'x86_64-linux'\n[secrets.db]\nvalue = '{{ db.password }}'\n\
                [secrets.alone]\nvalue = '{{ alone }}'\n";
    fs::write(path("hosts/www/host.toml"), host).unwrap();
    fs::write(path("new"), "it's: {new}\n").unwrap();
    for secret in ["db", "alone"] {
        let set = ["secrets", "set", "www", secret, "--from", &path("new")];
        let file = path("password");
        fleet.floe_with(&[("FLOE_VAULT_PASSWORD_FILE", &file)], &set).ends(0);
    }
    let view = |name: &str| {
        sound(ansible(&[&["vault", "decrypt"], &with_id[..], &["--output", "-", name]].concat()))
    };
    assert_eq!(view(&vault), "# ours\ndb: {user: www, password: \"it's: {new}\"} # why\n");
    let text = fs::read_to_string(path("group_vars/all/vars.yml")).unwrap();
    assert!(
        text.starts_with("alone: !vault |\n          $ANSIBLE_VAULT;1.2;AES256;prod\n"),
        "{text}"
    );
    let sealed: String = text.lines().skip(1).map(|line| format!("{}\n", line.trim())).collect();
    fs::write(path("alone"), sealed.trim_start()).unwrap();
    assert_eq!(view(&path("alone")), "it's: {new}");
}

/// Whether real Ansible is here, or could be fetched.
static PREPARED: LazyLock<bool> = LazyLock::new(|| {
    let prepared = ansible(&["--prepare"]);
    if !prepared.status.success() {
        let said = String::from_utf8_lossy(&prepared.stderr);
        let last = said.lines().last().unwrap_or_default();
        #[expect(clippy::print_stderr, reason = "who reads the test's output should know")]
        {
            eprintln!("skipped: real Ansible takes python3 with venv, and PyPI once: {last}");
        }
    }
    prepared.status.success()
});

fn ansible(arguments: &[&str]) -> Output {
    let mut command = Command::new(folder().join("compare"));
    command.args(arguments).env("FLOE_CACHE", env!("CARGO_TARGET_TMPDIR")).output().unwrap()
}
