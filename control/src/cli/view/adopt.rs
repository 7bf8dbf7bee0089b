//! What the last run of Ansible adds to machines that become hosts.

use std::fmt::Write as _;

use floe_proto::time::Timestamp;
use serde::Serialize;

use super::{Page, View};

/// `floe adopt`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AdoptView {
    pub(crate) role: String,
    /// `null` where the role's flake has it.
    pub(crate) module: Option<ModuleView>,
    pub(crate) trust_root: String,
    pub(crate) ca: String,
    pub(crate) joins: Vec<JoinView>,
}

/// `floe hosts take-over`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TakenOverView {
    pub(crate) host: String,
}

impl View for TakenOverView {
    fn text(&self, _: Page) -> String {
        format!("{} is told what its role should run\n", self.host)
    }
}

/// The agent's module, and what it is told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModuleView {
    /// The directory of the module.
    pub(crate) tree: String,
    /// The role's floe.nix.
    pub(crate) settings: String,
}

/// What one machine joins by.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JoinView {
    pub(crate) host: String,
    /// The content of its join.toml; `null` where it was written to a file instead.
    pub(crate) content: Option<String>,
    /// The file that it was written to.
    pub(crate) file: Option<String>,
    pub(crate) expires: Timestamp,
}

impl View for AdoptView {
    fn text(&self, _: Page) -> String {
        let Self { role, trust_root, ca, .. } = self;
        let (before, module, switch) = self.module();
        let mut text = format!(
            r#"{before}# Into the playbook, for its last run: these tasks instead of its own `nixos-rebuild`.

- name: places for what follows
  ansible.builtin.file:
    path: "{{{{ item.path }}}}"
    state: directory
    mode: "{{{{ item.mode }}}}"
  loop:
    - {{ path: /etc/floe, mode: "0755" }}
    - {{ path: /etc/nixos/floe, mode: "0755" }}
    - {{ path: /var/lib/floe, mode: "0700" }}

{module}- name: the fleet's trust root and CA
  ansible.builtin.copy:
    src: "{{{{ item.src }}}}"
    dest: "{{{{ item.dest }}}}"
    mode: "0644"
  loop:
    - {{ src: "{trust_root}", dest: /etc/floe/trust.json }}
    - {{ src: "{ca}", dest: /etc/floe/ca.pem }}

- name: the join token
  ansible.builtin.copy:
    {join}
    dest: /var/lib/floe/join.toml
    owner: root
    group: root
    mode: "0600"

- name: the last switch that is not floe's
  ansible.builtin.command: {switch}
"#,
            join = self.join_source(),
        );
        for JoinView { host, content, file, expires } in &self.joins {
            let _ = write!(text, "\n# join.toml of {host}, good once and until {expires}");
            let _ = match (content, file) {
                (Some(content), _) => write!(text, ":\n{content}"),
                (None, Some(file)) => writeln!(text, ": {file}"),
                (None, None) => writeln!(text),
            };
        }
        let _ = write!(
            text,
            "\n# They join as {role} and wait. `floe push {role}` shows what would change on each, and asks.\n"
        );
        text
    }
}

impl AdoptView {
    /// What comes before the tasks, the task that brings the module, and the switch.
    fn module(&self) -> (String, String, String) {
        let Some(ModuleView { tree, settings }) = &self.module else {
            return (
                "# The role's flake has to hold floe's module and its settings already, without\n\
                 # `attestation = \"aws-iid\"`: by that a machine joins at once, and waits for nobody.\n"
                    .to_owned(),
                String::new(),
                format!("nixos-rebuild switch --flake /etc/nixos#{}", self.role),
            );
        };
        let before = "# Into configuration.nix of each machine, if it is not there:\n\
                      #     imports = [ ./floe.nix ];\n";
        let task = format!(
            r#"- name: the agent's module and its settings
  ansible.builtin.copy:
    src: "{{{{ item.src }}}}"
    dest: "{{{{ item.dest }}}}"
    mode: "0644"
  loop:
    - {{ src: "{tree}/", dest: /etc/nixos/floe/ }}
    - {{ src: "{settings}", dest: /etc/nixos/floe.nix }}

"#
        );
        (before.to_owned(), task, "nixos-rebuild switch -I floe=/etc/nixos/floe".to_owned())
    }

    /// Where Ansible gets a machine's join.toml from.
    fn join_source(&self) -> String {
        let file = self.joins.first().and_then(|join| join.file.as_ref());
        let directory = file.and_then(|file| file.rsplit_once('/')).map(|(directory, _)| directory);
        match directory {
            // The name of a host in the inventory is not the id that it gets here.
            Some(directory) => format!(r#"src: "{directory}/{{{{ floe_host }}}}.toml""#),
            None => r#"content: "{{ floe_join_toml }}""#.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(content: Option<&str>, file: Option<&str>) -> AdoptView {
        AdoptView {
            role: "www".into(),
            module: Some(ModuleView {
                tree: "/fleet/pins/floe".into(),
                settings: "/fleet/hosts/www/floe.nix".into(),
            }),
            trust_root: "/fleet/trust.json".into(),
            ca: "/fleet/.floe/operator/admin/ca.pem".into(),
            joins: vec![JoinView {
                host: "local-www-1".into(),
                content: content.map(str::to_owned),
                file: file.map(str::to_owned),
                expires: Timestamp::default(),
            }],
        }
    }

    #[test]
    fn what_the_last_run_adds_is_printed() {
        let page = || Page::endless(Timestamp::default());
        let shown = view(Some("host = \"local-www-1\"\ntoken = \"floe-join-1\"\n"), None);
        insta::assert_snapshot!(shown.text(page()));
        let written = view(None, Some("/fleet/.floe/join/local-www-1.toml")).text(page());
        assert!(written.contains("src: \"/fleet/.floe/join/{{ floe_host }}.toml\""), "{written}");
        assert!(!written.contains("token = "), "{written}");
        let flake = AdoptView { module: None, ..view(None, None) }.text(page());
        assert!(flake.contains("--flake /etc/nixos#www") && !flake.contains("floe.nix"), "{flake}");
    }
}
