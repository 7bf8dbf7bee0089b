//! A role whose configuration is in a flake: hosts build it by its own lock file, and by
//! nothing else that it says.

use std::fs;
use std::path::{Path, PathBuf};

use floe_tests::host::Host;
use floe_tests::script::{self, eventually};
use floe_tests::world::World;
use tokio::process::Command;

use crate::{MAIL, WWW, version};

/// Where a host serves the tarball of an input to itself; the flake names it as a
/// substituter, too.
const SERVED: &str = "http://127.0.0.1:8099";

/// The inputs of the flake: trees of the repository, which each host serves to itself.
const INPUTS: [&str; 2] = ["floe", "nixpkgs"];

/// The flake of the website.
fn flake() -> String {
    format!(
        r#"{{
  nixConfig = {{
    extra-substituters = [ "{SERVED}" ];
    substituters = [ "{SERVED}" ];
    flake-registry = "{SERVED}/registry.json";
  }};
  inputs.nixpkgs.url = "{SERVED}/nixpkgs.tar.gz";
  inputs.floe = {{ url = "{SERVED}/floe.tar.gz"; flake = false; }};
  outputs = {{ self, nixpkgs, floe }}: {{
    nixosConfigurations."{WWW}" = nixpkgs.lib.nixosSystem {{
      system = "{}-linux";
      modules = [ ./configuration.nix ];
      specialArgs = {{ inherit floe; }};
    }};
  }};
}}
"#,
        std::env::consts::ARCH
    )
}

/// Its lock file, as `nix flake lock` writes it where it can fetch.
async fn lock(pins: &Path) -> String {
    let mut nodes = serde_json::json!({ "root": { "inputs": {} } });
    for name in INPUTS {
        let url = format!("{SERVED}/{name}.tar.gz");
        let hash = nar_hash(&pins.join(name)).await;
        nodes["root"]["inputs"][name] = name.into();
        nodes[name] = serde_json::json!({
            "locked": { "type": "tarball", "url": url, "narHash": hash },
            "original": { "type": "tarball", "url": url },
        });
    }
    nodes["floe"]["flake"] = false.into();
    let lock = serde_json::json!({ "nodes": nodes, "root": "root", "version": 7 });
    serde_json::to_string_pretty(&lock).unwrap()
}

async fn nar_hash(tree: &Path) -> String {
    let mut nix = Command::new("nix");
    nix.args(["--extra-experimental-features", "nix-command", "hash", "path"]).arg(tree);
    script::run(&mut nix).await.trim().to_owned()
}

/// Moves the website's code into a flake of the repository, and gives its directory. What the
/// flake fetches is served on each of the hosts.
async fn moved_into_a_flake(world: &World) -> PathBuf {
    let directory = world.repository.path().join("nix");
    let pins = world.repository.path().join("pins");
    fs::create_dir(&directory).unwrap();
    let moved = |name: &str, changes: &[(&str, &str)]| {
        let from = world.repository.file(WWW, name);
        let mut text = fs::read_to_string(&from).unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "{name} has no `{old}`");
            text = text.replace(old, new);
        }
        fs::write(directory.join(name), text).unwrap();
        fs::remove_file(from).unwrap();
    };
    let module = "(modulesPath + \"/virtualisation/amazon-image.nix\")";
    let changes = [
        ("{ pkgs, ... }:", "{ modulesPath, ... }:"),
        ("<nixpkgs/nixos/modules/virtualisation/amazon-image.nix>", module),
    ];
    moved("configuration.nix", &changes);
    moved(
        "floe.nix",
        &[("{ lib, ... }:", "{ floe, lib, ... }:"), ("<floe/agent.nix>", "\"${floe}/agent.nix\"")],
    );
    for name in ["app.nix", "app.py", "site.nix"] {
        moved(name, &[]);
    }
    fs::write(directory.join("flake.nix"), flake()).unwrap();
    fs::write(directory.join("flake.lock"), lock(&pins).await).unwrap();
    world.repository.edit_host_toml(WWW, "\n\n", "\nflake = \"nix\"\n\n");
    for host in &world.hosts {
        serve(host, &pins).await;
    }
    directory
}

/// Serves the inputs below `pins` as tarballs on `host`, and keeps a log of what is asked for.
async fn serve(host: &Host, pins: &Path) {
    for name in INPUTS {
        let archive = tempfile::NamedTempFile::new().unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(archive.path()).arg("-C").arg(pins).arg(name);
        script::run(&mut tar).await;
        let archive = data_encoding::BASE64.encode(&fs::read(archive.path()).unwrap());
        let file = format!("/srv/tar/{name}.tar.gz");
        host.shell(&format!("mkdir -p /srv/tar && echo {archive} | base64 -d > {file}")).await;
    }
    // Somebody said yes to it once, for work of their own.
    let yes = format!("{{\"substituters\": {{\"{SERVED}\": true}}}}");
    let kept = "/root/.local/share/nix";
    host.shell(&format!("mkdir -p {kept} && echo '{yes}' > {kept}/trusted-settings.json")).await;
    host.shell(
        "systemd-run --quiet --unit=served python3 -u -m http.server --bind 127.0.0.1 \
         --directory /srv/tar 8099",
    )
    .await;
    let answers = format!("python3 -c 'import urllib.request as r; r.urlopen(\"{SERVED}/\")'");
    eventually("the tarball is served", async || host.holds(&answers).await.then_some(())).await;
}

async fn push(world: &World) -> floe_tests::operator::Finished {
    let push = ["push", WWW, "--watch", "--output", "json"];
    world.operator().floe(&push).await
}

fn change(directory: &Path, number: u32) {
    fs::write(directory.join("story.nix"), format!("{{\n{}\n}}\n", version(number))).unwrap();
}

#[tokio::test]
async fn t046_a_role_of_a_flake_is_built_by_its_own_lock_file_alone() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let directory = moved_into_a_flake(&world).await;
    // Nothing of what other roles are pinned by is needed, where there are none.
    fs::remove_dir_all(world.repository.path().join("hosts").join(MAIL)).unwrap();
    fs::remove_file(world.repository.path().join("floe.lock")).unwrap();
    world.operator().floe(&["check", WWW]).await.succeeded();
    world.operator().floe(&["lock", "update"]).await.ended_with(1).said("nix flake update");
    let before = host.state().await;

    for number in [1, 2] {
        change(&directory, number);
        let pushed = push(&world).await.succeeded().json();
        let state = host.state().await;
        assert!(state.is_settled() && state.running != before.running, "{state:?}");
        let page = "python3 -c 'import urllib.request as r; \
                    print(r.urlopen(\"http://127.0.0.1:8080/healthz\").read().decode())'";
        assert_eq!(host.shell(page).await.trim(), format!("ok {number}"));
        // The lock file is as it was signed.
        let source = format!("/var/lib/floe/activation/{}-*/source", pushed["serial"]);
        let lock = host.shell(&format!("cat {source}/role/flake.lock")).await;
        assert_eq!(lock.trim(), lock_of(&directory).trim());
    }

    // What the flake fetches was fetched from there, and nothing that it calls a substituter or
    // a registry; Nix says that it was told of one.
    let asked = host.shell("journalctl --unit served --output cat | grep GET").await;
    for name in INPUTS {
        assert!(asked.contains(&format!("GET /{name}.tar.gz ")), "{asked}");
    }
    assert!(!asked.contains("nix-cache-info") && !asked.contains("registry"), "{asked}");
    let logs = world.operator().floe(&["hosts", "logs", &host.id()]).await.succeeded();
    logs.said("ignoring untrusted flake configuration setting 'substituters'");
}

#[tokio::test]
async fn t059_a_flake_whose_lock_is_not_complete_is_sent_to_nobody() {
    let world = World::without_hosts().await;
    let directory = moved_into_a_flake(&world).await;
    let (lock, whole) = (directory.join("flake.lock"), lock_of(&directory));
    let refused = async |lock_text: &str, said: &str| {
        fs::write(&lock, lock_text).unwrap();
        push(&world).await.ended_with(1).said(said);
        world.operator().floe(&["check", WWW]).await.ended_with(1);
        world.nothing_is_published(WWW).await;
    };
    refused(&whole.replace("\"narHash\"", "\"hash\""), "without a `narHash`").await;
    refused(&whole.replace(SERVED, "file:///srv"), "no host can fetch it").await;
    refused(&whole.replace("\"floe\"", "\"fleo\""), "nobody locked `floe`").await;
    fs::write(&lock, whole).unwrap();
    world.operator().floe(&["check", WWW]).await.succeeded();
}

fn lock_of(directory: &Path) -> String {
    fs::read_to_string(directory.join("flake.lock")).unwrap()
}
