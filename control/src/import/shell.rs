//! What a line of shell does to a NixOS machine, and what does it from now on. Lines are
//! recognized by what they run first; everything else is not guessed at.

use super::report::Outcome;

/// The commands of a script: without comments, continued lines joined.
pub(super) fn commands(script: &str) -> Vec<(usize, String)> {
    let mut commands: Vec<(usize, String)> = Vec::new();
    let mut is_continued = false;
    for (at, line) in script.lines().enumerate() {
        let line = line.trim();
        let text = line.strip_suffix('\\').unwrap_or(line);
        match commands.last_mut() {
            Some((_, known)) if is_continued => *known += &format!(" {}", text.trim()),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => commands.push((at + 1, text.trim().to_owned())),
        }
        is_continued = line.ends_with('\\');
    }
    commands
}

/// What becomes of `command`, which may be several by `&&`, `|` and `;`: the worst that becomes
/// of one of them, since the line stands in the report once.
pub(super) fn outcome(command: &str) -> Outcome {
    let parts = command.split(['\n', ';', '|']).flat_map(|part| part.split("&&"));
    let outcomes = parts.map(str::trim).filter(|part| !part.is_empty()).map(single);
    let severity = |outcome: &Outcome| match outcome {
        Outcome::NotSupported(_) => 4,
        Outcome::Look(_) => 3,
        Outcome::Replaced(_) => 2,
        Outcome::NotNeeded(_) => 1,
        Outcome::Taken(_) | Outcome::Written(..) => 0,
    };
    // Of equals, the first.
    let worst = outcomes.reduce(|a, b| if severity(&b) > severity(&a) { b } else { a });
    worst.unwrap_or_else(|| Outcome::NotNeeded("it does nothing".into()))
}

fn single(command: &str) -> Outcome {
    let words: Vec<&str> =
        command.split_whitespace().skip_while(|word| is_before_a_command(word)).collect();
    let Some((program, arguments)) = words.split_first() else {
        return Outcome::NotNeeded("it does nothing".into());
    };
    let program = program.rsplit('/').next().unwrap_or(program);
    let first = arguments.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    match (program, first) {
        ("nixos-rebuild", _) if arguments.contains(&"--rollback") => Outcome::Replaced(
            "going back: the agent does so by itself, and `floe push --revert` for all hosts".into(),
        ),
        ("nixos-rebuild", "switch" | "boot" | "test" | "build" | "dry-activate" | "dry-build") => {
            Outcome::Replaced("`floe push`: the agent builds, tries, and keeps or goes back".into())
        }
        ("nix-collect-garbage" | "nix-store", _)
            if program == "nix-collect-garbage" || arguments.contains(&"--gc") =>
        {
            Outcome::Replaced(
                "sealing, which collects garbage in images; on hosts `nix.gc` and `floe-agent gc`"
                    .into(),
            )
        }
        ("nix-store", _) if arguments.contains(&"--optimise") => {
            Outcome::Replaced("`nix.optimise.automatic` in configuration.nix".into())
        }
        ("nix-channel", _) => Outcome::Replaced(
            "floe.lock, which pins nixpkgs by its hash; channels are never looked at".into(),
        ),
        ("rm" | "shred", _) if is_identity(arguments) => Outcome::Replaced(
            "sealing: identity, host keys, /root/.ssh, /etc/ec2-metadata, logs and histories \
             leave every image"
                .into(),
        ),
        ("systemctl", "restart" | "reload" | "daemon-reload" | "start" | "stop" | "status" | "is-active" | "reload-or-restart") => {
            Outcome::NotNeeded(
                "a switch restarts what changed; a [[health.checks]] `unit` watches it".into(),
            )
        }
        ("systemctl", "enable" | "disable" | "mask") => Outcome::NotSupported(
            "write it in configuration.nix: services.<name>.enable, or \
             systemd.services.<name>.enable = false"
                .into(),
        ),
        ("reboot", _) | ("systemctl", "reboot") | ("shutdown", _) => {
            Outcome::Replaced("`reboot = \"if-needed\"` in [activation] of host.toml".into())
        }
        ("nix-env", _) | ("nix", "profile") => Outcome::NotSupported(
            "add the package to environment.systemPackages in configuration.nix".into(),
        ),
        ("mkdir" | "chown" | "chmod" | "touch" | "install", _) => Outcome::NotSupported(
            "write it in configuration.nix: systemd.tmpfiles.rules = [ \"d /path 0755 user group\" ]"
                .into(),
        ),
        ("useradd" | "usermod" | "passwd" | "chpasswd" | "groupadd", _) => {
            Outcome::NotSupported("write it in configuration.nix: users.users.<name>".into())
        }
        ("curl" | "wget", _) => Outcome::NotSupported(
            "fetch it by hash in configuration.nix: pkgs.fetchurl { url = …; hash = …; }".into(),
        ),
        ("git", "clone" | "pull") => Outcome::NotSupported(
            "fetch it by hash in configuration.nix: pkgs.fetchgit, or a pin of floe.lock".into(),
        ),
        ("hostnamectl" | "hostname", _) => {
            Outcome::NotSupported("write it in configuration.nix: networking.hostName".into())
        }
        ("sleep" | "echo" | "true" | "set" | "sync" | "cd" | "export" | "exit" | "date" | "uname" | "cloud-init", _) => {
            Outcome::NotNeeded("it changes nothing on the machine".into())
        }
        _ => Outcome::NotSupported(
            "floe runs no commands on hosts; write what it should achieve in configuration.nix \
             (for what must run: a systemd service with Type = \"oneshot\")"
                .into(),
        ),
    }
}

/// `sudo`, and variables for the one command.
fn is_before_a_command(word: &str) -> bool {
    let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    matches!(word, "sudo" | "exec" | "time" | "env" | "-E" | "-i" | "-H") || is_assignment
}

/// Whether everything that is removed is what sealing removes anyway.
fn is_identity(arguments: &[&str]) -> bool {
    let paths: Vec<&&str> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let sealed = [
        "/etc/ec2-metadata",
        "/etc/ssh/ssh_host_",
        "/root/.ssh",
        "/root/.bash_history",
        "/etc/machine-id",
        "/var/log/",
        "/var/lib/cloud",
        "/tmp/",
        "/home/",
    ];
    let is_home = |path: &str| path.contains("/.ssh") || path.contains("history");
    !paths.is_empty()
        && paths.iter().all(|path| {
            sealed.iter().any(|known| path.starts_with(known))
                && (!path.starts_with("/home/") || is_home(path))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_what_it_runs() {
        let cases = [
            ("nixos-rebuild switch", "replaced"),
            (
                "sudo NIX_PATH=x /run/current-system/sw/bin/nixos-rebuild --upgrade switch",
                "replaced",
            ),
            ("nix-collect-garbage -d", "replaced"),
            ("nixos-rebuild switch --rollback", "replaced"),
            ("rm -rf /etc/ec2-metadata /etc/ssh/ssh_host_* /root/.ssh", "replaced"),
            ("rm -rf /srv/data", "not supported"),
            ("rm -rf /root/.ssh /srv/data", "not supported"),
            ("systemctl restart nginx && sleep 5", "not needed"),
            ("systemctl enable nginx", "not supported"),
            ("nixos-rebuild switch && make install", "not supported"),
            ("frobnicate", "not supported"),
            ("", "not needed"),
        ];
        for (command, word) in cases {
            assert_eq!(outcome(command).word(), word, "{command}");
        }
    }

    #[test]
    fn a_script_is_its_commands() {
        let script = "#!/bin/sh\n\n# one\nnixos-rebuild \\\n  switch\nreboot\n";
        let commands = commands(script);
        assert_eq!(commands, [(4, "nixos-rebuild switch".into()), (6, "reboot".into())]);
    }
}
