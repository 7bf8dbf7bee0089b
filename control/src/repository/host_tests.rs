use floe_proto::reboot::Policy;

use super::*;

fn parse(text: &str) -> Result<HostFile, String> {
    HostFile::parse(text, Path::new("host.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_soak_time_may_be_zero_and_a_deadline_may_not() {
    assert!(parse("system = 'x86_64-linux'\n[health]\nsoak = '0s'").is_ok());
    assert!(parse("system = 'x86_64-linux'\n[activation]\nprobation = '0s'").is_err());
}

#[test]
fn the_least_that_must_be_said_is_the_system() {
    let file = parse("system = 'aarch64-linux'").unwrap();
    assert_eq!(file.code.entry_inside(), Some("configuration.nix".into()));
    assert_eq!(file.activation.deadline_seconds, 90);
    assert_eq!(file.health, Health { soak_seconds: 10, checks: Vec::new() });
}

#[test]
fn when_hosts_reboot_is_said_or_never() {
    let with = |text: &str| parse(&format!("system = 'x86_64-linux'\n[activation]\n{text}"));
    assert!(with("").unwrap().activation.reboot.is_never());
    let reboot = with("reboot = 'if-needed'\nreboot_window = '23:00-01:00'").unwrap();
    assert_eq!(reboot.activation.reboot.policy, Policy::IfNeeded);
    assert_eq!(reboot.activation.reboot.window.unwrap().to_string(), "23:00-01:00");
    assert!(with("reboot = 'sometimes'").unwrap_err().contains("`if-needed`"));
    assert!(with("reboot_window = '23:00-01:00'").unwrap_err().contains("never reboot"));
    assert!(with("reboot = 'always'\nreboot_window = '23-1'").unwrap_err().contains("02:00"));
}

#[test]
fn each_kind_of_check_can_be_said() {
    let file = parse(
        "system = 'x86_64-linux'
         [[health.checks]]
         unit = 'nginx.service'
         [[health.checks]]
         http = 'http://127.0.0.1:80/'
         status = 204
         timeout = '2s'
         [[health.checks]]
         tcp = '127.0.0.1:22'
         [[health.checks]]
         command = ['/bin/true', '-x']",
    )
    .unwrap();
    let shown: Vec<_> = file.health.checks.iter().map(|c| c.probe.to_string()).collect();
    assert_eq!(
        shown,
        [
            "unit nginx.service",
            "http http://127.0.0.1:80/ = 204",
            "tcp 127.0.0.1:22",
            "command /bin/true -x"
        ]
    );
    assert_eq!(file.health.checks[1].timeout_seconds, 2);
}

#[test]
fn every_fault_is_named_at_once() {
    let error = parse(
        "system = 'x86'
         entry = '../x.nix'
         [health]
         soak = '2m'
         [[health.checks]]
         unit = '--now'
         [[health.checks]]
         tcp = '127.0.0.1'
         http = 'http://x/'
         [[health.checks]]
         http = 'https://x/'
         status = 99
         timeout = '91s'
         [[health.checks]]
         command = ['true']
         [activation]
         ignore_units = ['x']",
    )
    .unwrap_err();
    insta::assert_snapshot!(error.replace("; ", "\n"));
}

#[test]
fn what_is_not_known_is_refused() {
    assert!(parse("system = 'x86_64-linux'\n[healt]").unwrap_err().contains("line 2"));
    assert!(parse("").unwrap_err().contains("missing field `system`"));
}

/// The first block of TOML of docs/repository.md is a `host.toml`.
#[test]
fn what_is_documented_is_read() {
    let page = include_str!("../../../docs/repository.md");
    let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = parse(text).unwrap();
    assert_eq!((file.health.checks.len(), file.secrets.len(), file.templates.len()), (4, 2, 1));
    assert!(file.image.is_some() && file.stack.is_some());
    let lock = page.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next()).unwrap();
    lock.parse::<floe_proto::payload::lock::Lock>().unwrap();
}

#[test]
fn a_role_of_a_flake_is_called_as_its_directory_is() {
    let read = |text: &str| {
        let text = format!("system = 'x86_64-linux'\n{text}");
        HostFile::parse(&text, Path::new("hosts/www.a.b/host.toml")).map_err(|e| e.to_string())
    };
    let code = read("flake = '.'").unwrap().code;
    assert_eq!(code.entry().to_string(), "role#nixosConfigurations.\"www.a.b\"");
    assert_eq!(code.flake().unwrap().directory, Path::new(""));
    let both = read("flake = 'nix#web'\nentry = 'x.nix'").unwrap_err();
    assert!(both.contains("line 3: entry:") && both.contains("remove `entry`"), "{both}");
    let outside = read("flake = 'github:a/b'").unwrap_err();
    assert!(outside.contains("line 2: flake: `github:a/b` is no directory"), "{outside}");
}
