//! A stock NixOS image becomes a host of a fleet by its user data.

use std::fs;

use floe_tests::script::{self, eventually};
use floe_tests::world::World;
use tokio::process::Command;

use crate::{WWW, version};

/// What an instance of a stock image runs at first.
const STOCK: &str = "stock.fossable.org";

#[tokio::test]
async fn a_stock_image_becomes_a_host_by_its_user_data() {
    let mut world = World::without_hosts().await;
    let role = world.repository.file(STOCK, "configuration.nix");
    fs::create_dir_all(role.parent().unwrap()).unwrap();
    let stock = "{imports = [<nixpkgs/nixos/modules/virtualisation/amazon-image.nix>];}\n";
    fs::write(role, stock).unwrap();
    let files = user_data(&world).await;
    let mut host = world.prepare_host_from(STOCK, "www-1", WWW, files).await;

    host.boot().await;

    // amazon-init switched it to floe's configuration, and so itself off.
    eventually("the instance to come to its control plane", async || {
        let list = world.operator().floe(&["hosts", "list", "--output", "json"]).await.json();
        (list["hosts"][0]["online"] == true).then_some(())
    })
    .await;
    eventually("amazon-init to have ended its own unit", async || {
        let gone = "! systemctl is-active --quiet amazon-init && ! systemctl cat amazon-init";
        host.holds(gone).await.then_some(())
    })
    .await;

    // Whose signatures count is a part of its role from now on.
    let own = "  services.floe-agent = { trustRoot = ./trust.json; ca = ./ca.pem; };";
    fs::copy(world.trust_root(), world.repository.file(WWW, "trust.json")).unwrap();
    fs::copy(world.ca(), world.repository.file(WWW, "ca.pem")).unwrap();
    world.repository.change(WWW, &format!("{}\n{own}", version(1)));
    let rollout = world.push(WWW).await.succeeded().rollout();
    assert_eq!(rollout.host(&host.id()).state(), "confirmed");
    let state = host.state().await;
    assert!(state.is_settled(), "{state:?}");
}

/// Files for the instance's disk: its user data, as EC2 would give it, and the archive of
/// floe's modules that it fetches; the agent's is in its store.
async fn user_data(world: &World) -> Vec<String> {
    let nixos = script::repository_root().join("nixos");
    let archives = world.path().join("archives");
    let mut release = Command::new(nixos.join("release"));
    let modules =
        script::run(release.arg("--modules").arg(&archives).arg("file:///var/floe")).await;
    let archive = fs::read_dir(&archives).unwrap().next().unwrap().unwrap().path();

    let expression = format!(
        "let site = import {site}; in import {nixos}/user-data {{
           fleet = \"fossable.org\"; role = \"{WWW}\"; control_plane = site.server;
           inherit (site) release; {modules}
           trust_root = builtins.readFile {trust}; ca = builtins.readFile {ca};
           settings.attestation = \"token\";
         }}",
        site = world.repository.file(WWW, "site.nix").display(),
        nixos = nixos.display(),
        trust = world.trust_root().display(),
        ca = world.ca().display(),
    );
    let mut render = Command::new("nix-instantiate");
    let rendered = render.args(["--eval", "--strict", "--json", "--expr", &expression]);
    let text: String = serde_json::from_str(&script::run(rendered).await).unwrap();
    let file = world.path().join("user-data");
    fs::write(&file, text).unwrap();
    vec![
        format!("{}:/etc/ec2-metadata/user-data:0600", file.display()),
        format!(
            "{}:/var/floe/{}:0644",
            archive.display(),
            archive.file_name().unwrap().to_string_lossy()
        ),
    ]
}
