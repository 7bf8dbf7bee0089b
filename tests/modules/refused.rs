//! Good settings become files and units; bad ones are refused while the system is made, with
//! advice.

use std::fs;

use crate::store::{CONTROL, HOST, Store};

/// What the system says against `text` beside a good host.
fn against_host(text: &str) -> String {
    Store::new().evaluate(&["agent.nix"], &[HOST, text], "system").unwrap_err()
}

/// The same beside a good control plane.
fn against_control(text: &str) -> String {
    Store::new().evaluate(&["control.nix"], &[CONTROL, text], "system").unwrap_err()
}

/// The same beside a good image.
fn against_image(text: &str) -> String {
    let image = "services.floe-agent = { trustRoot = @trust@; ca = @trust@; };";
    Store::new().evaluate(&["image.nix"], &[HOST, image, text], "system").unwrap_err()
}

fn said(fault: &str, expected: &str) {
    assert!(fault.contains(expected), "should say `{expected}`: {fault}");
}

#[test]
fn the_agents_settings_become_its_file_and_only_what_is_said() {
    let all = "services.floe-agent.settings = {
        attestation = \"aws-iid\";
        build_memory_max = \"2G\";
        build_timeout = \"90m\";
        min_free_bytes = 4294967296;
        min_free_memory = 268435456;
        gc_keep = 3;
        gc_older_than = \"14d\";
        nixos_rebuild = \"/run/current-system/sw/bin/nixos-rebuild\";
      };
      services.floe-agent.trustRoot = @trust@;";
    let store = Store::new();
    let etc = store.build(&["agent.nix"], &[HOST, all], "etc").unwrap();
    let file = |name: &str| fs::read_to_string(etc.join("etc/floe").join(name)).unwrap();
    let said: toml::Table = file("agent.toml").parse().unwrap();
    assert_eq!(said.len(), 11, "{said}");
    assert_eq!(said["min_free_bytes"].as_integer(), Some(1 << 32));
    assert_eq!(said["nixos_rebuild"].as_str(), Some("/run/current-system/sw/bin/nixos-rebuild"));
    assert_eq!(file("trust.json"), fs::read_to_string(store.trust_root()).unwrap());
    assert!(!etc.join("etc/floe/ca.pem").exists());

    let etc = store.build(&["agent.nix"], &[HOST], "etc").unwrap();
    let least = fs::read_to_string(etc.join("etc/floe/agent.toml")).unwrap();
    assert_eq!(least.lines().count(), 3, "{least}");
}

#[test]
fn a_host_says_who_it_is() {
    for key in ["fleet", "role", "control_plane"] {
        let without = HOST.replace(key, "system");
        let fault = Store::new().evaluate(&["agent.nix"], &[&without], "system").unwrap_err();
        said(&fault, &format!("services.floe-agent.settings.{key} is not set"));
    }
}

#[test]
fn settings_of_the_agent_have_types() {
    for (setting, description) in [
        ("attestation = \"password\"", "one of \"token\", \"aws-iid\""),
        ("gc_keep = \"3\"", "int"),
        ("gc_keep = (-1)", "int"),
        ("min_free_bytes = \"1G\"", "int"),
        ("min_free_memory = 0.5", "int"),
        ("build_timeout = 60", "string"),
        ("build_memory_max = 2", "string"),
        ("gc_older_than = 14", "string"),
        ("fleet = 1", "string"),
    ] {
        let fault = against_host(&format!("services.floe-agent.settings.{setting};"));
        let name = setting.split(' ').next().unwrap();
        said(&fault, &format!("services.floe-agent.settings.{name}"));
        said(&fault, description);
    }
    let without = "services.floe-agent = { enable = true; settings = { fleet = \"a.b\"; role = \"w\"; control_plane = \"https://x\"; }; };";
    let fault = Store::new().evaluate(&["agent.nix"], &[without], "system").unwrap_err();
    said(&fault, "services.floe-agent has no agent: set `release`");
    said(&against_host("services.floe-agent.trustRoot = 1;"), "services.floe-agent.trustRoot");
    said(&against_host("services.floe-agent.ca = 1;"), "services.floe-agent.ca");
    said(&against_host("services.floe-agent.relaese = {};"), "does not exist");
}

#[test]
fn the_agent_itself_judges_its_file_while_the_system_is_built() {
    for (setting, fault) in [
        ("gc_olderthan = \"14d\"", "`gc_olderthan` is no option"),
        ("control_plane = lib.mkForce \"http://x\"", "does not begin with `https://`"),
        ("role = lib.mkForce \"A B\"", "`role`"),
        ("build_timeout = \"soon\"", "`build_timeout`"),
    ] {
        let setting = format!("services.floe-agent.settings.{setting};");
        said(&Store::new().build(&["agent.nix"], &[HOST, &setting], "etc").unwrap_err(), fault);
    }
}

#[test]
fn nobody_else_decides_what_a_host_runs() {
    said(&against_host("system.autoUpgrade.enable = true;"), "would undo each other's");
    said(&against_host("nix.enable = false;"), "nix.enable = false takes away");
}

#[test]
fn an_image_knows_whose_signatures_count_and_can_go_back() {
    let without = Store::new().evaluate(&["image.nix"], &[HOST], "system").unwrap_err();
    said(&without, "trustRoot and .ca must be set in an image");
    said(&against_image("boot.loader.grub.configurationLimit = 2;"), "configurationLimit is 2");
    said(&against_image("boot.kernelParams = lib.mkForce [];"), "no console=ttyS0");
    said(&against_image("virtualisation.amazon-init.enable = true;"), "amazon-init.enable");
}

#[test]
fn the_control_planes_settings_become_its_file() {
    let more = "services.floe.settings = {
        aws = { accounts = [ \"123456789012\" ]; regions = [ \"eu-central-1\" ]; };
        certificates.host_lifetime = \"12h\";
        serve.listen = \"10.0.0.5:8443\";
      };
      services.floe.openFirewall = true;
      services.floe.awsCredentialsFile = \"/run/secrets/aws\";";
    let store = Store::new();
    let units = store.build(&["control.nix"], &[CONTROL, more], "units").unwrap();
    let unit = fs::read_to_string(units.join("floe.service")).unwrap();
    let file = unit.split_whitespace().find(|word| word.ends_with("/floe.toml")).unwrap();
    let said: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let serve = said["serve"].as_table().unwrap();
    assert_eq!(serve["public_url"].as_str(), Some("https://floe.fossable.org:7443"));
    assert_eq!(serve["objects_url"].as_str(), Some("https://floe.fossable.org:7444"));
    assert_eq!(serve["listen"].as_str(), Some("10.0.0.5:8443"));
    assert_eq!(said["aws"]["regions"][0].as_str(), Some("eu-central-1"));
    assert!(unit.contains("LoadCredential=aws-credentials:/run/secrets/aws\n"), "{unit}");
    let ports = store.evaluate(&["control.nix"], &[CONTROL, more], "ports").unwrap();
    assert_eq!(ports.trim(), "[8443,7444]");
}

#[test]
fn a_control_plane_says_whose_it_is() {
    for key in ["fleet", "server"] {
        let without = CONTROL.replace(&format!("{key} ="), "operator =");
        let fault = Store::new().evaluate(&["control.nix"], &[&without], "system").unwrap_err();
        said(&fault, &format!("services.floe.settings.{key} is not set"));
    }
    let without = CONTROL.replace("trustRoot = @trust@;", "");
    let fault = Store::new().evaluate(&["control.nix"], &[&without], "system").unwrap_err();
    said(&fault, "services.floe.trustRoot");
    said(&against_control("services.floe.settings.serve.listen = 7443;"), "string");
    said(&against_control("services.floe.openFirewall = 1;"), "boolean");
    let elsewhere = "services.floe.settings.serve.data = \"/srv/floe\";";
    said(&against_control(elsewhere), "may write to /var/lib/floe-control alone");
    let leaked = "services.floe.awsCredentialsFile = \"${@trust@}\";";
    said(&against_control(leaked), "in the Nix store, which everybody can read");
}

#[test]
fn floe_itself_judges_its_file_while_the_system_is_built() {
    for (text, fault) in [
        ("settings.sever = \"x\"", "unknown field `sever`"),
        ("settings.fleet = lib.mkForce \"other.org\"", "other.org"),
        ("settings.serve.listen = \"7443\"", "invalid socket address"),
        ("settings.serve.public_url = \"http://x\"", "`http://x` is no URL"),
        ("settings.aws.accounts = [ \"1\" ]", "aws.accounts"),
        ("trustRoot = lib.mkForce (pkgs.writeText \"trust.json\" \"{}\")", "trust root"),
    ] {
        let text = format!("services.floe.{text};");
        said(&Store::new().build(&["control.nix"], &[CONTROL, &text], "units").unwrap_err(), fault);
    }
}
