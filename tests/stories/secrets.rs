//! Secrets come to the hosts of their role, and to nobody else.

use std::fs;

use floe_tests::host::Host;
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{MAIL, WWW, version};

/// Where the website's password is on a host.
const PASSWORD: &str = "/run/floe/secrets/site-password";

/// Says in host.toml that the website has a password, and that it is told of another one.
fn describe(world: &World) {
    append(
        world,
        "[secrets.site-password]\nvalue = \"{{ site.password }}\"\ngroup = \"daemon\"\n\
         mode = \"0440\"\nrestart = [\"website.service\"]\n",
    );
}

fn append(world: &World, secret: &str) {
    let path = world.repository.file(WWW, "host.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n{secret}")).unwrap();
}

/// Chooses the password.
fn choose(world: &World, value: &str) {
    let all = world.repository.path().join("group_vars/all");
    fs::create_dir_all(&all).unwrap();
    fs::write(all.join("site.yml"), format!("site:\n  password: {value}\n")).unwrap();
}

async fn has(host: &Host, value: &str) {
    eventually(&format!("{} to have its secret", host.name()), async || {
        host.holds(&format!("test \"$(cat {PASSWORD})\" = '{value}'")).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_comes_to_the_hosts_of_its_role_and_is_rotated_without_a_rebuild() {
    let mut world = World::of(&[(WWW, 1), (MAIL, 1)]).await;
    describe(&world);
    choose(&world, "correct horse");
    world.repository.change(WWW, &version(1));
    let operator = world.operator();

    // The keys are new, and nobody is there to be asked whose they are.
    let push = ["push", WWW, "--watch", "--output", "json"];
    let refused = operator.floe(&push).await;
    refused.ended_with(3).said("local-www-1").said("--accept-new-keys");
    world.nothing_is_published(WWW).await;
    let accepted = [&push[..], &["--accept-new-keys"]].concat();
    let pushed = operator.floe(&accepted).await.succeeded().json();
    assert_eq!(pushed["secrets"]["hosts"], serde_json::json!(["local-www-1"]));
    assert_eq!(pushed["rollout"]["state"], "done");

    let [www, mail] = world.hosts.as_slice() else { panic!("two hosts") };
    has(www, "correct horse").await;
    assert_eq!(www.shell(&format!("stat -c '%a %U %G' {PASSWORD}")).await, "440 root daemon");
    assert!(!mail.holds(&format!("test -e {PASSWORD}")).await);

    // Rotated: the host has it at once, and the website was told; nothing was built.
    let process = "systemctl show --property MainPID --value website.service";
    let before = (www.state().await, www.shell(process).await);
    choose(&world, "battery staple");
    operator.floe(&["secrets", "seal", WWW]).await.succeeded();
    has(www, "battery staple").await;
    eventually("the website to be told", async || {
        (www.shell(process).await != before.1).then_some(())
    })
    .await;
    assert_eq!(www.state().await, before.0);
    let audit = operator.floe(&["secrets", "audit", WWW, "--output", "json"]).await.succeeded();
    let recipient = &audit.json()["recipients"][0];
    assert_eq!((&recipient["known"], &recipient["held"]["serial"]), (&true.into(), &2.into()));

    // A host that comes by itself gets it from the escrow; for the operator its key is new.
    let mut late = world.prepare_host("www-2", WWW).await;
    late.boot().await;
    has(&late, "battery staple").await;
    operator.floe(&push).await.ended_with(3).said("local-www-2");
    world.hosts.push(late);

    // What is not wanted any more is gone.
    let path = world.repository.file(WWW, "host.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.split("\n[secrets.").next().unwrap()).unwrap();
    operator.floe(&["secrets", "seal", WWW, "--accept-new-keys"]).await.succeeded();
    eventually("the secret to be gone", async || {
        (!world.hosts[0].holds(&format!("test -e {PASSWORD}")).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_host_that_boots_alone_has_its_secrets_before_its_users_are_made() {
    let mut world = World::of(&[(WWW, 1)]).await;
    describe(&world);
    choose(&world, "correct horse");
    append(&world, "[secrets.root-password]\nvalue = \"{{ site.password | password_hash }}\"\n");
    let path = world.repository.file(WWW, "configuration.nix");
    let text = fs::read_to_string(&path).unwrap();
    let digest = text.split("hashedPassword = \"").nth(1).unwrap().split('"').next().unwrap();
    let hashed = format!("hashedPassword = \"{digest}\";");
    let file = "hashedPasswordFile = \"/run/floe/secrets/root-password\";";
    world.repository.edit(&format!("hosts/{WWW}/configuration.nix"), &hashed, file);
    let push = ["push", WWW, "--watch", "--accept-new-keys"];
    world.operator().floe(&push).await.succeeded();
    let shadow = "grep '^root:' /etc/shadow | cut -d : -f 2";
    let digest = world.hosts[0].shell(shadow).await;
    let is_its = "test \"$(cat /run/floe/secrets/root-password)\" = \"$(grep '^root:' /etc/shadow | cut -d : -f 2)\"";
    assert!(world.hosts[0].holds(is_its).await, "{digest}");
    assert!(digest.starts_with("$6$"), "{digest}");

    world.control.kill().await;
    let host = &mut world.hosts[0];
    host.cut_power().await;
    host.boot().await;
    assert_eq!(host.shell(&format!("cat {PASSWORD}")).await, "correct horse");
    assert_eq!(host.shell(shadow).await, digest, "it was there when users were made");
}
