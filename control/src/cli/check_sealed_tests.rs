//! The ways in which people break what secrets are made of.

use super::*;

const VAULT: &str = "group_vars/all/vault";
const SEALED: &str = include_str!("../vault/fixtures/v11");

/// A role with a template `motd`.
fn with_template(it: &Sandbox, text: &str) {
    it.write("hosts/www/motd", text);
    it.append(HOST_PATH, "\n[files.motd]\ntemplate = true\n");
}

pub(super) const CASES: &[Case] = &[
    ("variables, salts and templates that are right", |it| {
        it.write(VAULT, SEALED);
        let value: String = SEALED.lines().map(|line| format!("  {line}\n")).collect();
        it.write("group_vars/all/vars.yml", format!("a: 1\nb: !vault |\n{value}"));
        it.write("host_vars/www", "---\n");
        it.write("salts.toml", "[\"www/motd#a | password_hash\"]\nsha512_crypt = \"ab\"\n");
        it.append(HOST_PATH, "\n[secrets.a]\nvalue = \"{{ b | password_hash }}\"\n");
        with_template(it, "{% if a is defined %}{{ a | default('x') | b64encode }}{% endif %}\n");
    }),
    ("salts.toml was merged", |it| it.write("salts.toml", "<<<<<<< HEAD\n")),
    ("a salt was made up", |it| it.write("salts.toml", "[\"www/a#b\"]\nsha512_crypt = \"a$b\"\n")),
    ("recipients.toml was merged", |it| {
        it.write("recipients.toml", "[www]\n=======\n>>>>>>> branch\n");
    }),
    ("a key in recipients.toml was cut off", |it| {
        it.write("recipients.toml", "[www]\nlocal-a = \"b1o\"\n");
    }),
    ("a vault was cut off", |it| it.write(VAULT, &SEALED[..200])),
    ("a vault of an Ansible before 2.0", |it| it.write(VAULT, "$ANSIBLE_VAULT;1.0;AES\n3132\n")),
    ("variables are no YAML", |it| it.write("group_vars/all.yml", "a: 1\nb: [1\nc: 2\n")),
    ("a variable is there twice", |it| it.write("host_vars/www.yml", "a: 1\nb: 2\na: 3\n")),
    ("variables are a list", |it| it.write("group_vars/all/list.yml", "- a\n")),
    ("variables are no text", |it| it.write("group_vars/all/vars", b"a: caf\xe9\n")),
    ("a value that is sealed by itself was cut off", |it| {
        it.write("group_vars/web.yml", "a: 1\nb: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n");
    }),
    ("a template ends too early", |it| with_template(it, "one\n{% if a %}\ntwo\n")),
    ("a brace is missing", |it| with_template(it, "one\n  {{ a }\n")),
    ("filters and tests that nobody knows", |it| {
        with_template(it, "{{ a | to_yml }}\n{% if false %}{{ b is in_the_list }}{% endif %}\n");
    }),
    ("a template is executable", |it| {
        with_template(it, "#!/bin/sh\n");
        it.mode("hosts/www/motd", 0o755);
    }),
    ("a template is a link", |it| {
        it.write("hosts/www/other", "x");
        std::os::unix::fs::symlink("other", it.path("hosts/www/motd")).unwrap();
        it.append(HOST_PATH, "\n[files.motd]\ntemplate = true\n");
    }),
    ("secrets whose templates are not right", |it| {
        it.append(HOST_PATH, "\n[secrets.a]\nvalue = \"{{ b | password_hsah }}\"\n");
        it.append(HOST_PATH, "\n[secrets.c]\nvalue = \"{{ d\"\n");
    }),
    ("an identity of age in the role's directory", |it| {
        it.write("hosts/www/age.txt", "# created: today\nAGE-SECRET-KEY-1QQQQ\n");
    }),
    ("an identity among the recipients of age", |it| {
        it.append(
            "floe.toml",
            "[secrets]\nage_recipients = [\"AGE-SECRET-KEY-1QQQQ\", \"ssh-rsa A\"]\n",
        );
    }),
];
