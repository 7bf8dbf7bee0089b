//! Tests of the whole: repositories as people have them, and what becomes of them.

use super::*;

pub(super) fn planned(name: &str, files: &[(&str, &str)]) -> Result<Plan, Error> {
    let tree = Tree::of(name, files);
    let variables = Variables::read(&tree, |_, _| None)?;
    plan(&tree, &variables, &"a.org".parse().unwrap())
}

pub(super) fn plan_of(files: &[(&str, &str)]) -> Plan {
    planned("a.org", files).unwrap()
}

pub(super) fn text(plan: &Plan, name: &str) -> String {
    let known: Vec<_> = plan.files.keys().collect();
    let bytes = plan.files.get(name).unwrap_or_else(|| panic!("no {name} in {known:?}"));
    String::from_utf8(bytes.clone()).unwrap()
}

pub(super) fn host(plan: &Plan, role: &str) -> toml::Table {
    host_file::parsed(&text(plan, &format!("hosts/{role}/host.toml")))
}

/// What was said of a line, `outcome: text`.
pub(super) fn said(plan: &Plan, file: &str, line: usize) -> Vec<String> {
    let is_it =
        |finding: &&super::super::Finding| finding.file == file && finding.line == Some(line);
    let found = plan.report.findings().iter().filter(is_it);
    found.map(|it| format!("{}: {}: {}", it.what, it.outcome.word(), it.outcome.text())).collect()
}

pub(super) fn assert_said(plan: &Plan, file: &str, line: usize, words: &[&str]) {
    let said = said(plan, file, line);
    let fits = said.iter().any(|said| words.iter().all(|word| said.contains(word)));
    assert!(fits, "{file}:{line} does not say {words:?} but {said:#?}");
}

pub(super) const IMAGE: &str = r#"
source "amazon-ebs" "web" {
  ami_name      = "web"
  instance_type = "t3.small"
  region        = "eu-west-1"
  source_ami    = "ami-0123456789abcdef0"
}
"#;

#[test]
fn variables_locals_and_loops_are_evaluated_and_what_a_build_knows_is_not() {
    let hcl = r#"
variable "app" {
  type        = string
  default     = "web"
  description = "what it is"
  validation {
    condition     = length(var.app) > 1
    error_message = "Too short."
  }
}
variable "region" {}
locals {
  stamp  = regex_replace(timestamp(), "[- TZ:]", "")
  name   = "${var.app}-${local.stamp}"
  labels = { team = "ops", kind = upper(var.app) }
  owners = [for o in ["4279", "62813091"] : o]
}
source "amazon-ebs" "web" {
  ami_name      = local.name
  instance_type = "m7g.large"
  region        = var.region
  ami_users     = ["123456789012"]
  source_ami_filter {
    filters = { name = "nixos/25.05*-aarch64-linux" }
    owners  = [join("", local.owners)]
    most_recent = true
  }
  tags = merge(local.labels, { Build = "${build.name}" })
  dynamic "run_tag" {
    for_each = local.labels
    content {
      key   = run_tag.key
      value = run_tag.value
    }
  }
}
build { sources = ["source.amazon-ebs.web"] }
"#;
    let plan = plan_of(&[
        ("web.pkr.hcl", hcl),
        ("prod.auto.pkrvars.hcl", "region = \"eu-west-1\"\n"),
        ("configuration.nix", "{ }"),
    ]);
    let host = host(&plan, "web");
    assert_eq!(host["system"].as_str(), Some("aarch64-linux"));
    let image = &host["image"];
    assert_eq!(image["ami_name"].as_str(), Some("web-{{ timestamp }}"));
    assert_eq!(image["region"].as_str(), Some("eu-west-1"));
    assert_eq!(image["source_ami_filter"]["owners"][0].as_str(), Some("427962813091"));
    assert_eq!(image["run_tags"]["kind"].as_str(), Some("WEB"));
    assert_eq!(plan.release.as_deref(), Some("25.05"));
    assert_said(&plan, "web.pkr.hcl", 22, &["ami_users", "not supported"]);
    // A build has a name only when it runs.
    assert_said(&plan, "web.pkr.hcl", 28, &["tags", "look", "build.name"]);
    assert_eq!(image["tags"]["team"].as_str(), Some("ops"));
    assert_said(&plan, "web.pkr.hcl", 6, &["validation", "not needed"]);
    assert_said(&plan, "prod.auto.pkrvars.hcl", 1, &["region", "replaced"]);
}

#[test]
fn a_template_of_json_says_the_same_as_one_of_hcl() {
    let json = r#"{
  "variables": {"region": "eu-west-1"},
  "builders": [{
    "type": "amazon-ebs", "name": "web",
    "ami_name": "web-{{timestamp}}",
    "instance_type": "t3.small", "region": "{{user `region`}}",
    "source_ami": "ami-0123456789abcdef0", "ssh_username": "root"
  }],
  "provisioners": [
    {"type": "file", "source": "machine.nix", "destination": "/etc/nixos/configuration.nix"},
    {"type": "shell", "inline": ["nixos-rebuild switch", "frobnicate"]}
  ]
}"#;
    let plan = plan_of(&[("packer.json", json), ("machine.nix", "{ }")]);
    let image = &host(&plan, "web")["image"];
    assert_eq!(image["ami_name"].as_str(), Some("web-{{ timestamp }}"));
    assert_eq!(image["region"].as_str(), Some("eu-west-1"));
    assert!(text(&plan, "hosts/web/configuration.nix").contains("./floe.nix"));
    assert_said(&plan, "packer.json", 11, &["frobnicate", "not supported"]);
    assert_said(&plan, "packer.json", 7, &["ssh_username", "not needed"]);

    let new = r#"{"source": {"amazon-ebs": {"web": {"ami_name": "web", "region": "eu-west-1",
        "instance_type": "t3.small", "source_ami": "ami-0123456789abcdef0"}}}}"#;
    let plan = plan_of(&[("web.pkr.json", new), ("configuration.nix", "{ }")]);
    assert_eq!(host(&plan, "web")["image"]["ami_name"].as_str(), Some("web"));
}

#[test]
fn several_sources_are_roles_of_their_own_and_others_are_named() {
    let hcl = format!(
        "{IMAGE}{}\nsource \"amazon-ebssurrogate\" \"zfs\" {{\n  region = \"x\"\n}}\n\
         build {{\n  sources = [\"source.amazon-ebs.web\", \"source.amazon-ebs.db\"]\n  \
         provisioner \"file\" {{\n    content = \"{{ }}\"\n    destination = \
         \"/etc/nixos/configuration.nix\"\n  }}\n}}\n",
        IMAGE.replace("web", "db")
    );
    let plan = plan_of(&[("images.pkr.hcl", &hcl)]);
    let roles: Vec<String> = plan.roles.iter().map(|it| it.role.to_string()).collect();
    assert_eq!(roles, ["db", "web"]);
    assert_eq!(
        text(&plan, "hosts/db/configuration.nix"),
        text(&plan, "hosts/web/configuration.nix")
    );
    assert_said(&plan, "images.pkr.hcl", 16, &["amazon-ebssurrogate", "not supported"]);
    assert_said(&plan, "images.pkr.hcl", 17, &["region", "not supported"]);
}

#[test]
fn each_image_of_a_directory_gets_what_its_own_build_brings() {
    let build = |label: &str| {
        let source = IMAGE.replace("\"web\"", &format!("\"{label}\""));
        format!(
            "{source}build {{\n  sources = [\"source.amazon-ebs.{label}\"]\n  provisioner \"file\" {{\n\
             content = \"{{ networking.hostName = \\\"{label}\\\"; }}\"\n\
             destination = \"/etc/nixos/configuration.nix\"\n}}\n}}\n"
        )
    };
    let (web, db) = (build("web"), build("db"));
    let plan = plan_of(&[("packer/web.pkr.hcl", &web), ("packer/db.pkr.hcl", &db)]);
    for role in ["web", "db"] {
        let nix = text(&plan, &format!("hosts/{role}/configuration.nix"));
        assert!(nix.contains(&format!("hostName = \"{role}\"")), "{role}: {nix}");
    }
}

#[test]
fn without_ansible_the_text_in_packer_is_the_configuration() {
    let hcl = format!(
        "{IMAGE}build {{\n  sources = [\"source.amazon-ebs.web\"]\n  provisioner \"file\" {{\n    \
         destination = \"/etc/nixos/configuration.nix\"\n    content = <<-EOT\n      \
         {{ pkgs, ... }}: {{\n        ec2.hvm = true;\n      }}\n    EOT\n  }}\n  provisioner \
         \"shell\" {{\n    inline = [\"nixos-rebuild switch\"]\n  }}\n}}\n"
    );
    let plan = plan_of(&[("web.pkr.hcl", &hcl)]);
    assert_eq!(
        text(&plan, "hosts/web/configuration.nix"),
        "{ pkgs, ... }: {\n  imports = [ ./floe.nix ];\n  ec2.hvm = true;\n}\n"
    );
}

#[test]
fn what_is_uploaded_and_moved_is_meant_for_where_it_ends() {
    let hcl = format!(
        "{IMAGE}build {{\n  sources = [\"source.amazon-ebs.web\"]\n  provisioner \"file\" {{\n    \
         source = \"nixos/\"\n    destination = \"/etc/nixos\"\n  }}\n  provisioner \"file\" {{\n    \
         source = \"c.nix\"\n    destination = \"/tmp/c.nix\"\n  }}\n  provisioner \"shell\" {{\n    \
         inline = [\"sudo mv /tmp/c.nix /etc/nixos/configuration.nix\", \"mv /x /etc/nixos/y\"]\n  }}\n}}\n"
    );
    let files = [("web.pkr.hcl", hcl.as_str()), ("c.nix", "{ }"), ("nixos/hw.nix", "{ }")];
    let plan = plan_of(&files);
    assert!(text(&plan, "hosts/web/configuration.nix").contains("./floe.nix"));
    assert_eq!(text(&plan, "hosts/web/hw.nix"), "{ }");
    assert_said(&plan, "web.pkr.hcl", 19, &["mv /tmp/c.nix", "taken over"]);
    assert_said(&plan, "web.pkr.hcl", 19, &["mv /x", "not supported"]);
}

const ROLES: [(&str, &str); 8] = [
    (
        "site.yml",
        "- hosts: web\n  become: true\n  vars: {conf: /etc/nixos}\n  roles:\n    - role: nixos\n      \
         tags: [x]\n",
    ),
    (
        "roles/nixos/tasks/main.yml",
        "- name: Files\n  ansible.builtin.template:\n    src: \"{{ item }}.j2\"\n    dest: \"{{ conf \
         }}/{{ item }}\"\n    mode: \"0600\"\n  loop: [configuration.nix, users.nix]\n  notify: \
         Rebuild\n- include_tasks: more.yml\n- ansible.builtin.user:\n    name: ada\n  when: \
         ansible_os_family == 'NixOS'\n",
    ),
    (
        "roles/nixos/tasks/more.yml",
        "- ansible.builtin.copy: src=motd dest=/etc/motd\n- ansible.builtin.copy:\n    src: hardware/\n    \
         dest: /etc/nixos/hardware/\n- block:\n    - name: Collect\n      command: nix-collect-garbage \
         -d\n  rescue:\n    - debug: msg=x\n",
    ),
    ("roles/nixos/handlers/main.yml", "- name: Rebuild\n  command: nixos-rebuild switch\n"),
    (
        "roles/nixos/templates/configuration.nix.j2",
        "{ ... }:\n{\n  imports = [\n    ./users.nix\n  ];\n  networking.hostName = \"{{ name }}\";\n}\n",
    ),
    (
        "roles/nixos/templates/users.nix.j2",
        "{\n  users.users.ada.hashedPassword = \"{{ ada.password | password_hash('sha512') }}\";\n}\n",
    ),
    ("roles/nixos/files/motd", "hello"),
    ("roles/nixos/files/hardware/disk.nix", "{ }"),
];

#[test]
fn roles_of_ansible_are_followed() {
    let mut files = ROLES.to_vec();
    files.push(("inventory.ini", "[web]\nweb1 ansible_host=10.0.0.1\nweb2\n"));
    files.push((
        "group_vars/all.yml",
        "name: www\nada:\n  password: !vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    6162\n",
    ));
    let plan = plan_of(&files);
    assert_eq!(plan.roles.len(), 1);
    assert!(
        text(&plan, "hosts/web/configuration.nix").contains("    ./users.nix\n    ./floe.nix\n")
    );
    assert_eq!(text(&plan, "hosts/web/hardware/disk.nix"), "{ }");
    let host = host(&plan, "web");
    assert_eq!(
        host["secrets"]["ada-password"]["value"].as_str(),
        Some("{{ ada.password | password_hash('sha512') }}")
    );
    assert_eq!(host["files"]["configuration.nix"]["template"].as_bool(), Some(true));
    assert!(host["files"].get("users.nix").is_none());
    let tasks = "roles/nixos/tasks/main.yml";
    assert_said(&plan, tasks, 5, &["mode", "not needed"]);
    assert_said(&plan, tasks, 10, &["user", "users.users.ada"]);
    assert_said(&plan, tasks, 11, &["when", "not needed"]);
    assert_said(&plan, "roles/nixos/tasks/more.yml", 1, &["environment.etc.\"motd\""]);
    assert_said(&plan, "roles/nixos/tasks/more.yml", 7, &["nix-collect-garbage", "replaced"]);
    assert_said(&plan, "roles/nixos/tasks/more.yml", 8, &["rescue", "replaced"]);
    // A plain variable needs no warning.
    assert_said(
        &plan,
        "roles/nixos/templates/configuration.nix.j2",
        6,
        &["taken over", "rendered"],
    );
}

#[test]
fn a_variable_that_is_nowhere_is_named() {
    let plan = plan_of(&ROLES);
    assert_said(&plan, "roles/nixos/templates/users.nix.j2", 2, &["look", "`ada.password`"]);
}

#[test]
fn what_windows_wrote_is_read() {
    let hcl = format!("\u{feff}{IMAGE}").replace('\n', "\r\n");
    let yml = "- hosts: all\r\n  tasks:\r\n    - copy: {src: c.nix, dest: /etc/nixos/configuration.nix}\r\n";
    let plan = plan_of(&[("web.pkr.hcl", &hcl), ("playbook.yml", yml), ("c.nix", "{ }\r\n")]);
    assert_eq!(text(&plan, "hosts/web/configuration.nix"), "{\n  imports = [ ./floe.nix ]; }\r\n");
    assert_said(&plan, "web.pkr.hcl", 3, &["ami_name", "taken over"]);
}

#[test]
fn with_nix_alone_a_directory_is_a_role() {
    let plan = plan_of(&[
        ("mail/configuration.nix", "{ imports = [ ./hw.nix ]; }"),
        ("mail/hw.nix", "{ }"),
        ("README.md", "x"),
        ("mail/vault_password", "hunter2"),
    ]);
    assert_eq!(plan.roles[0].role.as_str(), "mail");
    assert!(plan.files.contains_key("hosts/mail/hw.nix"));
    let words: Vec<_> =
        plan.report.findings().iter().map(|it| (it.file.as_str(), it.outcome.word())).collect();
    assert!(words.contains(&("README.md", "not needed")));
    assert!(words.contains(&("mail/vault_password", "look")));
    assert!(!plan.files.values().any(|bytes| bytes.windows(7).any(|part| part == b"hunter2")));
}

#[test]
fn an_image_that_is_not_whole_stays_a_comment() {
    let plan = plan_of(&[
        (
            "web.pkr.hcl",
            "source \"amazon-ebs\" \"web\" {\n  ami_name = \"web\"\n  region = env(\"R\")\n}\n",
        ),
        ("configuration.nix", "{ }"),
    ]);
    assert!(host(&plan, "web").get("image").is_none());
    assert!(text(&plan, "hosts/web/host.toml").contains("# ami_name = \"web\"\n"));
    assert_said(&plan, "web.pkr.hcl", 3, &["region", "not supported", "env"]);
}

#[test]
fn instances_with_arm_are_known_by_their_types() {
    for (name, is_arm) in [
        ("t4g.large", true),
        ("c7gn.xlarge", true),
        ("a1.large", true),
        ("t3.small", false),
        ("g4dn.xlarge", false),
        ("g5g.xlarge", true),
    ] {
        assert_eq!(is_graviton(name), is_arm, "{name}");
    }
}

/// Every line with a key or a task is told of, or stands in what is.
fn untold<'a>(plan: &Plan, files: &[(&'a str, &'a str)]) -> Vec<(&'a str, usize, &'a str)> {
    let mut untold = Vec::new();
    for (name, text) in files {
        for (number, line) in (1..).zip(text.lines()) {
            let is_key =
                line.contains(" = ") || line.trim_end().ends_with(':') || line.contains(": ");
            if is_key && said(plan, name, number).is_empty() {
                untold.push((*name, number, line));
            }
        }
    }
    untold
}

#[test]
fn nothing_of_tasks_and_options_is_dropped_in_silence() {
    let tasks = "- hosts: web\n  gather_facts: false\n  frobnicate: 1\n  tasks:\n    - odd.thing.module:\n        \
                 a: b\n        c: d\n      register: x\n      frobnicated: y\n    - copy:\n        src: c.nix\n        \
                 dest: /etc/nixos/configuration.nix\n        backup: true\n        strange: z\n";
    let hcl = "source \"amazon-ebs\" \"web\" {\n  subnet_id = \"x\"\n  frobnicate = 1\n  odd {\n    a = 1\n  }\n}\n\
               build {\n  name = \"x\"\n  provisioner \"chef\" {\n    run_list = []\n  }\n  \
               post-processor \"vagrant\" {\n    output = \"x\"\n  }\n}\nfrobnicate \"x\" {\n  a = 1\n}\n";
    let files = [("playbook.yml", tasks), ("web.pkr.hcl", hcl), ("c.nix", "{ }")];
    let plan = plan_of(&files);
    // These lines open what is told of line by line.
    let opens = ["  tasks:", "        src: c.nix", "        dest: /etc/nixos/configuration.nix"];
    let left: Vec<_> =
        untold(&plan, &files).into_iter().filter(|(.., line)| !opens.contains(line)).collect();
    assert_eq!(left, []);
}

#[test]
fn every_option_of_the_guides_template_is_told_of() {
    let hcl = include_str!(
        "../../../tests/fixtures/seed/fossable.org/hosts/www.fossable.org/www.pkr.hcl"
    );
    let files = [("hosts/www/www.pkr.hcl", hcl), ("hosts/www/configuration.nix", "{ }")];
    let plan = plan_of(&files);
    // What stands in objects and in texts is told of where those begin.
    let inner = ["      ", "    name =", "    root-", "    virtualization-"];
    let left: Vec<_> = untold(&plan, &files)
        .into_iter()
        .filter(|(_, _, line)| line.contains(" = ") && !inner.iter().any(|it| line.starts_with(it)))
        .collect();
    assert_eq!(left, []);
}
