//! What becomes of tasks that bring no file to `/etc/nixos`, by their modules.

use super::arguments::Arguments;
use crate::import::report::Outcome;
use crate::import::shell;

/// `ansible.builtin.copy` is `copy`.
pub(super) fn short(module: &str) -> &str {
    let is_known = ["ansible.builtin.", "ansible.legacy.", "ansible.posix.", "community.general."];
    is_known.iter().find_map(|prefix| module.strip_prefix(prefix)).unwrap_or(module)
}

/// Whether the module brings files that can be read here.
pub(super) fn brings_files(module: &str) -> bool {
    matches!(module, "copy" | "template" | "synchronize" | "win_copy" | "win_template")
}

/// Whether each element of a loop around the module is read: what it brings, or includes.
pub(super) fn is_read(module: &str) -> bool {
    let includes = ["include_tasks", "import_tasks", "include", "include_role", "import_role"];
    brings_files(module) || includes.contains(&module)
}

/// What becomes of a task of `module`.
pub(super) fn outcome(module: &str, arguments: &Arguments) -> Outcome {
    let write =
        |what: &str| Outcome::NotSupported(format!("write it in configuration.nix: {what}"));
    let name = || {
        let named = arguments.get("name").or_else(|| arguments.get("pkg"));
        named.filter(|name| !name.contains("{{")).unwrap_or("<name>")
    };
    match module {
        "shell" | "command" | "raw" | "script" => {
            shell::outcome(arguments.free.as_deref().unwrap_or_default())
        }
        "nixos_rebuild" => shell::outcome("nixos-rebuild switch"),
        "reboot" => shell::outcome("reboot"),
        "file" => file(arguments),
        "lineinfile" | "blockinfile" | "replace" | "ini_file" | "assemble" => {
            let path = arguments.get("path").or_else(|| arguments.get("dest")).unwrap_or("x");
            let path = path.trim_start_matches("/etc/");
            write(&format!(
                "the option that makes this file, or environment.etc.\"{path}\".text for all of it"
            ))
        }
        "service" | "systemd" | "systemd_service" | "sysvinit" => {
            let is_lasting =
                arguments.get("enabled").is_some() || arguments.get("masked").is_some();
            if is_lasting {
                write(&format!("services.{}.enable, or systemd.services", name()))
            } else {
                Outcome::NotNeeded(
                    "a switch restarts what changed; a [[health.checks]] `unit` watches it".into(),
                )
            }
        }
        "package" | "apt" | "dnf" | "yum" | "pip" | "npm" | "gem" | "apk" | "pacman"
        | "homebrew" | "nix" => write(&format!("environment.systemPackages = [ pkgs.{} ]", name())),
        "user" => write(&format!("users.users.{}; its password as a secret", name())),
        "group" => write(&format!("users.groups.{}", name())),
        "authorized_key" => {
            let user = arguments.get("user").unwrap_or("<name>");
            write(&format!("users.users.{user}.openssh.authorizedKeys.keys"))
        }
        "cron" | "at" => write("a systemd.timers.<name> with its service"),
        "hostname" => write(&format!("networking.hostName = \"{}\"", name())),
        "timezone" => write(&format!("time.timeZone = \"{}\"", name())),
        "locale_gen" => write("i18n.defaultLocale"),
        "sysctl" => write(&format!("boot.kernel.sysctl.\"{}\"", name())),
        "modprobe" | "kernel_blacklist" => {
            write("boot.kernelModules, boot.blacklistedKernelModules")
        }
        "mount" | "filesystem" | "parted" | "lvol" | "lvg" => write("fileSystems.\"/path\""),
        "ufw" | "firewalld" | "iptables" => write("networking.firewall.allowedTCPPorts"),
        "seboolean" | "selinux" => Outcome::NotNeeded("NixOS has no SELinux".into()),
        "git" | "subversion" => write("pkgs.fetchgit by hash, or a pin of floe.lock"),
        "get_url" | "uri" | "unarchive" => write("pkgs.fetchurl or pkgs.fetchzip, by hash"),
        "docker_container"
        | "docker_compose"
        | "docker_compose_v2"
        | "docker_image"
        | "podman_container"
        | "community.docker.docker_container"
        | "community.docker.docker_compose_v2" => {
            write("virtualisation.oci-containers.containers.<name>")
        }
        "wait_for" | "wait_for_connection" | "ping" | "pause" | "assert" | "fail" => {
            Outcome::Replaced(
                "[[health.checks]] of host.toml: what must hold after a switch".into(),
            )
        }
        "debug" | "setup" | "gather_facts" | "meta" | "stat" | "slurp" | "service_facts"
        | "package_facts" | "group_by" | "find" | "tempfile" => {
            Outcome::NotNeeded("it changes nothing on the machine".into())
        }
        "set_fact" | "include_vars" | "add_host" => Outcome::NotSupported(
            "write the variable into group_vars/all, where templates find it".into(),
        ),
        "fetch" => Outcome::NotSupported("floe takes no files from hosts".into()),
        _ => Outcome::NotSupported(
            "floe does not know this module; write what it should achieve in configuration.nix"
                .into(),
        ),
    }
}

fn file(arguments: &Arguments) -> Outcome {
    let path =
        arguments.get("path").or_else(|| arguments.get("dest")).or_else(|| arguments.get("name"));
    let path = path.unwrap_or_default();
    if path == "/etc/nixos" || path.starts_with("/etc/nixos/") {
        return Outcome::NotNeeded(
            "the role's files are hosts/<role>/; /etc/nixos of a host is not used".into(),
        );
    }
    match arguments.get("state") {
        Some("absent") => shell::outcome(&format!("rm -rf {path}")),
        Some("directory" | "link" | "hard" | "touch" | "file") | Some(_) | None => {
            let kind = if arguments.get("state") == Some("link") { "L" } else { "d" };
            Outcome::NotSupported(format!(
                "write it in configuration.nix: systemd.tmpfiles.rules = [ \"{kind} {path} …\" ]"
            ))
        }
    }
}

/// What becomes of the arguments of a task that brings files to `/etc/nixos`.
pub(super) fn of_argument(key: &str) -> Outcome {
    match key {
        "owner" | "group" | "mode" | "directory_mode" | "seuser" | "serole" | "setype"
        | "selevel" | "attributes" | "unsafe_writes" | "follow" | "local_follow" => {
            Outcome::NotNeeded("the role's files lie in the Nix store on hosts".into())
        }
        "backup" | "force" | "checksum" | "archive" | "delete" | "recursive" | "rsync_opts"
        | "compress" | "times" | "perms" | "links" | "partial" | "mode_sync" => {
            Outcome::NotNeeded("a bundle is the role's directory as it is, and signed".into())
        }
        "validate" => Outcome::Replaced("Nix, which `floe push` asks to read the files".into()),
        "remote_src" => Outcome::NotSupported("floe copies nothing from host to host".into()),
        "lstrip_blocks"
        | "trim_blocks"
        | "newline_sequence"
        | "variable_start_string"
        | "variable_end_string"
        | "block_start_string"
        | "block_end_string"
        | "output_encoding"
        | "comment_start_string"
        | "comment_end_string" => {
            Outcome::NotSupported("templates are rendered with Ansible's defaults".into())
        }
        "decrypt" => Outcome::NotNeeded("what is sealed stays sealed".into()),
        _ => Outcome::NotSupported("floe does not know this argument".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_its_short_name() {
        assert_eq!(short("ansible.builtin.copy"), "copy");
        assert_eq!(short("amazon.aws.ec2_instance"), "amazon.aws.ec2_instance");
        let with = |pairs: &[(&str, &str)]| Arguments {
            free: None,
            named: pairs.iter().map(|(k, v)| ((*k).into(), 1, (*v).into())).collect(),
        };
        let cases = [
            ("package", vec![("name", "nginx")], "pkgs.nginx"),
            ("file", vec![("path", "/srv"), ("state", "directory")], "d /srv"),
            ("hostname", vec![("name", "www")], "networking.hostName = \"www\""),
            ("service", vec![("name", "x"), ("state", "restarted")], "a switch restarts"),
            ("file", vec![("path", "/root/.ssh"), ("state", "absent")], "sealing"),
        ];
        for (module, arguments, expected) in cases {
            let outcome = outcome(module, &with(&arguments));
            assert!(outcome.text().contains(expected), "{module}: {}", outcome.text());
        }
    }
}
