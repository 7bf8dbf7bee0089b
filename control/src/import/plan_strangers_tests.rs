//! Tests of the whole: what other people's repositories do that the guide's does not.

use super::tests::{IMAGE, assert_said, host, plan_of, planned, said, text};

const NIXOS: &str = "/etc/nixos/configuration.nix";

fn playbook(tasks: &str) -> String {
    let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    format!("- hosts: web\n  tasks:\n{tasks}")
}

#[test]
fn every_part_of_a_block_is_told_of_and_rescue_is_not_taken_over() {
    let tasks = playbook(&format!(
        "- always:\n    - copy: {{src: last.nix, dest: /etc/nixos/last.nix}}\n  block:\n    - copy: \
         {{src: c.nix, dest: {NIXOS}}}\n    - command: frobnicate\n  rescue:\n    - copy: {{src: \
         old.nix, dest: {NIXOS}}}\n    - command: mail root\n    - block:\n        - command: inner\n"
    ));
    let files = [
        ("playbook.yml", tasks.as_str()),
        ("c.nix", "{ }"),
        ("old.nix", "{ a = 1; }"),
        ("last.nix", "{ }"),
    ];
    let plan = plan_of(&files);
    assert!(!text(&plan, "hosts/web/configuration.nix").contains("a = 1"));
    assert!(plan.files.contains_key("hosts/web/last.nix"));
    assert_said(&plan, "playbook.yml", 4, &["/etc/nixos/last.nix", "taken over"]);
    assert_said(&plan, "playbook.yml", 6, &[NIXOS, "taken over"]);
    assert_said(&plan, "playbook.yml", 7, &["frobnicate", "not supported"]);
    assert_said(&plan, "playbook.yml", 9, &["copy", "not supported", "`rescue`"]);
    assert_said(&plan, "playbook.yml", 10, &["mail root", "not supported", "`rescue`"]);
    assert_said(&plan, "playbook.yml", 12, &["inner", "`rescue`"]);
}

#[test]
fn what_runs_at_times_or_elsewhere_is_not_taken_over() {
    let copy = |name: &str, more: &str| {
        format!("- copy: {{src: c.nix, dest: /etc/nixos/{name}.nix}}\n  {more}\n")
    };
    let tasks = [
        copy("always", "when: ansible_os_family == 'NixOS'"),
        copy("when", "when: is_web"),
        copy("never", "tags: [never, debug]"),
        copy("elsewhere", "delegate_to: localhost"),
        copy("local", "connection: local"),
        copy("once", "run_once: true"),
        "- include_tasks: more.yml\n  when: is_db\n- local_action: command frobnicate\n".to_owned(),
    ];
    let tasks = playbook(&tasks.concat());
    let more = "- copy: {src: c.nix, dest: /etc/nixos/included.nix}\n";
    let files = [("playbook.yml", tasks.as_str()), ("more.yml", more), ("c.nix", "{ }")];
    let plan = plan_of(&files);
    let written: Vec<&str> =
        plan.files.keys().map(String::as_str).filter(|name| name.ends_with(".nix")).collect();
    assert_eq!(written, ["hosts/web/always.nix"]);
    for (line, words) in [
        (5, "only when `is_web`"),
        (7, "`never`"),
        (9, "on `localhost`"),
        (11, "where Ansible runs"),
        (13, "`run_once`"),
        (17, "where Ansible runs"),
    ] {
        assert_said(&plan, "playbook.yml", line, &["not supported", words]);
    }
    assert_said(&plan, "playbook.yml", 4, &["when", "not needed", "NixOS"]);
    assert_said(&plan, "more.yml", 1, &["copy", "not supported", "when `is_db`"]);
}

#[test]
fn a_handler_a_play_and_an_import_that_run_at_times_are_not_taken_over() {
    let copy = |name: &str| format!("copy: {{src: c.nix, dest: /etc/nixos/{name}.nix}}");
    let site = format!(
        "- hosts: web\n  tags: never\n  tasks:\n    - {}\n- hosts: web\n  handlers:\n    - {}\n- \
         import_playbook: more.yml\n  when: x\n- hosts: localhost\n  tasks:\n    - {}\n",
        copy("a"),
        copy("b"),
        copy("d")
    );
    let more = format!("- hosts: web\n  tasks:\n    - {}\n", copy("c"));
    let files = [
        ("site.yml", site.as_str()),
        ("more.yml", &more),
        ("c.nix", "{ }"),
        ("hosts/web/configuration.nix", "{ }"),
    ];
    let plan = plan_of(&files);
    let nix = plan.files.keys().filter(|name| name.ends_with(".nix")).count();
    assert_eq!(nix, 1, "{:?}", plan.files.keys());
    assert_said(&plan, "site.yml", 4, &["not supported", "`never`"]);
    assert_said(&plan, "site.yml", 7, &["not supported", "notified"]);
    assert_said(&plan, "more.yml", 3, &["not supported", "when `x`"]);
    assert_said(&plan, "site.yml", 12, &["not supported", "where Ansible runs"]);
}

#[test]
fn a_playbook_that_two_templates_run_is_for_both() {
    let template = |label: &str| {
        let source = IMAGE.replace("\"web\"", &format!("\"{label}\""));
        format!(
            "{source}build {{\n  sources = [\"source.amazon-ebs.{label}\"]\n  provisioner \"ansible\" \
             {{\n    playbook_file = \"site.yml\"\n  }}\n}}\n"
        )
    };
    let tasks = format!("- hosts: all\n  tasks:\n    - copy: {{src: c.nix, dest: {NIXOS}}}\n");
    let (web, db) = (template("web"), template("db"));
    // What one of them does besides is no business of the other's.
    let after = format!(
        "  provisioner \"file\" {{\n    source = \"d.nix\"\n    destination = \"{NIXOS}\"\n  }}\n}}\n"
    );
    let mail = template("mail").trim_end().trim_end_matches('}').to_owned() + &after;
    let plan = plan_of(&[
        ("web/web.pkr.hcl", &web),
        ("db/db.pkr.hcl", &db),
        ("mail/mail.pkr.hcl", &mail),
        ("site.yml", &tasks),
        ("c.nix", "{ a = 1; }"),
        ("d.nix", "{ d = 1; }"),
    ]);
    assert!(text(&plan, "hosts/mail/configuration.nix").contains("d = 1"));
    let replaced = said(&plan, "site.yml", 3).into_iter().filter(|it| it.contains("not needed"));
    assert_eq!(replaced.count(), 1);
    for role in ["web", "db"] {
        assert!(text(&plan, &format!("hosts/{role}/configuration.nix")).contains("a = 1"));
        let taken = format!("hosts/{role}/configuration.nix");
        assert_said(&plan, "site.yml", 3, &["taken over", &taken]);
    }
}

#[test]
fn what_is_sensitive_is_written_nowhere() {
    let hcl = "variable \"token\" {\n  default = \"hunter2\"\n  sensitive = true\n}\n\
               variable \"key\" {\n  sensitive = true\n}\n\
               local \"derived\" {\n  expression = \"x-hunter2\"\n  sensitive = true\n}\n\
               source \"amazon-ebs\" \"web\" {\n  ami_name = \"web-${var.token}\"\n  \
               instance_type = \"t3.small\"\n  region = \"eu-west-1\"\n  source_ami = \"ami-0\"\n  \
               tags = { Token = var.token, Key = var.key, Derived = local.derived, Kind = \"web\" }\n}\n\
               build {\n  sources = [\"source.amazon-ebs.web\"]\n  provisioner \"shell\" {\n    inline \
               = [\"login ${var.token}\"]\n  }\n  provisioner \"ansible\" {\n    playbook_file = \
               \"p.yml\"\n    extra_arguments = [\"-e\", \"a=hunter2 b=${var.token}\"]\n  }\n}\n";
    let plan = plan_of(&[
        ("web.pkr.hcl", hcl),
        ("x.auto.pkrvars.hcl", "key = \"hunter2\"\n"),
        ("configuration.nix", "{ }"),
    ]);
    let image = &host(&plan, "web")["image"];
    assert_eq!(image["tags"].as_table().unwrap().len(), 1);
    assert!(!plan.files.values().any(|bytes| bytes.windows(7).any(|part| part == b"hunter2")));
    let told = format!("{:?}", plan.report);
    assert!(!told.contains("hunter2"), "{told}");
    assert_said(&plan, "web.pkr.hcl", 1, &["variable token", "look", "(sensitive)"]);
    assert_said(&plan, "x.auto.pkrvars.hcl", 1, &["key", "look", "(sensitive)"]);
    assert_said(&plan, "web.pkr.hcl", 17, &["tags", "look", "Token = (sensitive)"]);
    let old = r#"{"variables": {"token": "hunter2"}, "sensitive-variables": ["token"],
        "builders": [{"type": "amazon-ebs", "ami_name": "x-{{user `token`}}", "region": "r"}]}"#;
    let plan = plan_of(&[("packer.json", old), ("configuration.nix", "{ }")]);
    assert!(!format!("{plan:?}").contains("hunter2"));
}

#[test]
fn what_a_task_must_not_log_is_not_shown() {
    let tasks =
        playbook("- command: login hunter2\n  no_log: true\n- shell: ls\n  no_log: false\n");
    let files = [("playbook.yml", tasks.as_str()), ("hosts/web/configuration.nix", "{ }")];
    let plan = plan_of(&files);
    assert!(!format!("{:?}", plan.report).contains("hunter2"));
    assert_said(&plan, "playbook.yml", 3, &["command: (sensitive)"]);
    assert_said(&plan, "playbook.yml", 5, &["shell: ls"]);
}

#[test]
fn files_outside_of_a_role_of_ansible_are_found() {
    let tasks = "- copy:\n    src: ../../shared/c.nix\n    dest: /etc/nixos/configuration.nix\n\
                 - template: {src: ../files/u.nix, dest: /etc/nixos/u.nix}\n\
                 - copy: {src: ../../../../x.nix, dest: /etc/nixos/x.nix}\n";
    let plan = plan_of(&[
        ("site.yml", "- hosts: web\n  roles: [r]\n"),
        ("roles/r/tasks/main.yml", tasks),
        ("roles/shared/c.nix", "{ imports = [ ./u.nix ../y.nix ]; }"),
        ("roles/r/files/u.nix", "{ }"),
        ("roles/y.nix", "{ a = 1; }"),
    ]);
    let entry = text(&plan, "hosts/web/configuration.nix");
    assert_eq!(entry, "{ imports = [ ./u.nix ./shared/roles/y.nix ./floe.nix ]; }");
    assert_eq!(text(&plan, "hosts/web/shared/roles/y.nix"), "{ a = 1; }");
    assert_said(&plan, "roles/r/tasks/main.yml", 5, &["not supported", "`../../../../x.nix`"]);
}

#[test]
fn includes_in_loops_and_other_tasks_of_a_role_are_read() {
    let tasks = playbook(
        "- include_tasks: \"{{ item }}.yml\"\n  loop: [a, b]\n- include_role:\n    name: r\n    \
         tasks_from: other\n    apply: {tags: x}\n- include_role: {name: r, tasks_from: no}\n\
         - package: name={{ item }}\n  loop: [git, vim]\n",
    );
    let copy = |name: &str| format!("- copy: {{src: c.nix, dest: /etc/nixos/{name}.nix}}\n");
    let (a, b, main, other) = (copy("a"), copy("b"), copy("main"), copy("other"));
    let plan = plan_of(&[
        ("playbook.yml", &tasks),
        ("a.yml", &a),
        ("b.yml", &b),
        ("roles/r/tasks/main.yml", &main),
        ("roles/r/tasks/other.yml", &other),
        ("c.nix", "{ }"),
    ]);
    let written: Vec<&str> =
        plan.files.keys().map(String::as_str).filter(|name| name.ends_with(".nix")).collect();
    assert_eq!(written, ["hosts/web/a.nix", "hosts/web/b.nix", "hosts/web/other.nix"]);
    assert_said(&plan, "playbook.yml", 4, &["loop", "taken over"]);
    assert_said(&plan, "playbook.yml", 8, &["apply", "not supported"]);
    assert_said(&plan, "playbook.yml", 9, &["not supported", "`roles/r/tasks/no.yml`"]);
    assert_said(&plan, "playbook.yml", 11, &["loop", "not needed"]);
}

#[test]
fn a_role_that_cannot_evaluate_says_so() {
    let plan = plan_of(&[(
        "hosts/www/configuration.nix",
        "{\n  imports = [\n    ./hardware-configuration.nix\n    ../../../x.nix\n  ];\n}\n",
    )]);
    let file = "hosts/www/configuration.nix";
    assert_said(&plan, file, 3, &["hardware-configuration.nix", "not supported", "evaluate"]);
    assert_said(&plan, file, 4, &["x.nix", "not supported", "evaluate"]);
}

#[test]
fn a_file_of_theirs_with_our_name_does_not_win_over_ours() {
    let plan = plan_of(&[
        ("hosts/www/configuration.nix", "{ imports = [ ./floe.nix ]; }"),
        ("hosts/www/floe.nix", "{ ice = true; }"),
        ("hosts/www/host.toml", "system = \"mine\"\n"),
    ]);
    assert_ne!(host(&plan, "www")["system"].as_str(), Some("mine"));
    let told = plan.report.findings().iter().find(|it| it.file == "hosts/www/host.toml");
    assert_eq!(told.map(|it| it.outcome.word()), Some("look"));
    assert_eq!(plan.roles[0].agent, "floe-agent.nix");
    assert!(plan.roles[0].is_agent_ours);
    let entry = text(&plan, "hosts/www/configuration.nix");
    assert_eq!(entry, "{ imports = [ ./floe.nix ./floe-agent.nix ]; }");
    assert_eq!(text(&plan, "hosts/www/floe.nix"), "{ ice = true; }");
    let finding = plan.report.findings().iter().find(|it| it.what == "floe.nix").unwrap();
    assert!(finding.file == "hosts/www/floe.nix" && finding.outcome.word() != "not needed");
}

#[test]
fn braces_in_strings_of_nix_are_no_jinja_where_nothing_renders_them() {
    let plan = plan_of(&[(
        "hosts/www/configuration.nix",
        "{\n  a = \"{{ $labels.instance }}\";\n  b = \"{{ name }}\";\n}\n",
    )]);
    assert!(host(&plan, "www").get("files").is_none());
    let file = "hosts/www/configuration.nix";
    assert_eq!(said(&plan, file, 2), [""; 0]);
    assert_said(&plan, file, 3, &["{{ name }}", "look", "no playbook renders"]);
    let template = plan_of(&[("hosts/www/configuration.nix", "{ a = {{ name }}; }")]);
    assert_eq!(
        host(&template, "www")["files"]["configuration.nix"]["template"].as_bool(),
        Some(true)
    );
}

#[test]
fn what_includes_itself_ends() {
    let play = "- import_playbook: site.yml\n".repeat(6);
    let tasks = "- include_tasks: t.yml\n".repeat(6);
    let dependencies = |name: &str| format!("dependencies: [{name}, {name}, {name}]\n");
    let site = format!("{play}- hosts: web\n  tasks:\n    - include_tasks: t.yml\n  roles: [a]\n");
    let (a, b) = (dependencies("b"), dependencies("a"));
    let plan = plan_of(&[
        ("site.yml", &site),
        ("t.yml", &tasks),
        ("roles/a/meta/main.yml", &a),
        ("roles/b/meta/main.yml", &b),
        ("hosts/web/configuration.nix", "{ }"),
    ]);
    assert_said(&plan, "site.yml", 1, &["not supported", "imports itself"]);
    assert_said(&plan, "t.yml", 1, &["not supported", "includes itself"]);
    assert_said(&plan, "roles/b/meta/main.yml", 1, &["not supported", "includes itself"]);
}

#[test]
fn what_multiplies_is_refused() {
    let mut files = vec![
        ("site.yml".to_owned(), "- hosts: web\n  roles: [r0]\n".to_owned()),
        ("hosts/web/configuration.nix".to_owned(), "{ }".to_owned()),
    ];
    for level in 0..12 {
        let next = level + 1;
        let meta =
            format!("dependencies: [r{next}, r{next}, r{next}, r{next}, r{next}, r{next}]\n");
        files.push((format!("roles/r{level}/meta/main.yml"), meta));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let error = planned("a.org", &files).unwrap_err();
    assert!(error.to_string().contains("has more than 20000 tasks"), "{error}");
    assert!(!error.advice().is_empty());

    let locals: String = (0..60)
        .map(|n| format!("l{n} = [for a in var.many : [for b in var.many : a]]\n"))
        .collect();
    let many = vec!["\"x\""; 120].join(", ");
    let hcl =
        format!("variable \"many\" {{\n default = [{many}]\n}}\nlocals {{\n{locals}}}\n{IMAGE}");
    let error = planned("a.org", &[("web.pkr.hcl", &hcl)]).unwrap_err();
    assert!(error.to_string().contains("steps of evaluation"), "{error}");

    let loops = format!(
        "- hosts: web\n  tasks:\n    - copy: {{src: d/, dest: /etc/nixos/}}\n      loop: [{}]\n",
        vec!["x"; 9_000].join(", ")
    );
    let d: Vec<String> = (0..6).map(|n| format!("d/{n}.nix")).collect();
    let mut files = vec![("site.yml", loops.as_str())];
    files.extend(d.iter().map(|name| (name.as_str(), "{ }")));
    let error = planned("a.org", &files).unwrap_err();
    assert!(error.to_string().contains("the role `web` has more than 50000 files"), "{error}");
}
