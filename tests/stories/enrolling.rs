//! Machines become hosts by what EC2 says about them, and by nothing that they say
//! themselves.

use floe_tests::host::Host;
use floe_tests::script::eventually;
use floe_tests::world::{World, image_id};

use crate::{MAIL, WWW, version};

/// A world on EC2 in which images of the website, and nothing else, were baked by us.
async fn world() -> World {
    let world = World::on_ec2().await;
    for role in [WWW, MAIL] {
        world.repository.change(role, "  services.floe-agent.settings.attestation = \"aws-iid\";");
    }
    world.add_image(WWW).await;
    world
}

/// Waits until the control plane says that `host` waits for an operator; why.
async fn waits(world: &World, host: &Host) -> String {
    eventually(&format!("{} to wait for an approval", host.name()), async || {
        let pending = ["hosts", "pending", "--output", "json"];
        let pending = world.operator().floe(&pending).await.succeeded().json();
        let mut hosts = pending["pending"].as_array()?.iter();
        Some(hosts.find(|pending| pending["host"] == host.id().as_str())?.to_string())
    })
    .await
}

/// Waits until the agent of `host` has said `text`.
async fn says(host: &Host, text: &str) {
    eventually(&format!("{} to say `{text}`", host.name()), async || {
        host.journal().await.contains(text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_instance_of_our_image_becomes_a_host_by_itself_and_is_pushed_to() {
    let mut world = world().await;
    let mut host = world.launch("www-1", WWW).await;
    host.boot().await;
    world.hosts.push(host);
    world.await_online().await;

    let host = &world.hosts[0];
    assert_eq!(host.agent_status().await["host"], host.id().as_str());
    let iid = "  services.floe-agent.settings.attestation = \"aws-iid\";";
    world.repository.change(WWW, &format!("{iid}\n{}", version(1)));
    let rollout = world.push(WWW).await.succeeded().rollout();
    assert_eq!(rollout.host(&host.id()).state(), "confirmed");
}

#[tokio::test]
async fn an_instance_of_an_unknown_image_waits_until_an_operator_approves_it() {
    let mut world = world().await;
    let mut host = world.launch("mail-1", MAIL).await;
    host.boot().await;
    let why = waits(&world, &host).await;
    assert!(why.contains("image"), "{why}");
    says(&host, "asking again until an operator has seen to it").await;

    let approve = ["hosts", "approve", &host.id(), "--role", MAIL];
    world.operator().floe(&approve).await.succeeded();

    world.hosts.push(host);
    world.await_online().await;
}

#[tokio::test]
async fn t076_an_instance_that_is_configured_for_another_role_than_its_image_is_no_host_of_it() {
    let mut world = world().await;
    // The disk says mail, AWS says that it was launched from the website's image.
    let mut host = world.launch("www-1", MAIL).await;
    world.cloud().change(&host.id(), |instance| instance.image = image_id(WWW));
    host.boot().await;

    says(&host, "but the control plane has it on record as `www.fossable.org`").await;

    assert_eq!(host.agent_status().await["host"], serde_json::Value::Null);
}

#[tokio::test]
async fn t072_an_instance_that_has_lost_its_key_waits_for_an_operator() {
    let mut world = world().await;
    let mut host = world.launch("www-1", WWW).await;
    host.boot().await;
    world.hosts.push(host);
    world.await_online().await;
    let host = &world.hosts[0];

    host.shell(
        "systemctl stop floe-agent; rm -r /var/lib/floe/identity; systemctl start floe-agent",
    )
    .await;
    waits(&world, host).await;

    world.operator().floe(&["hosts", "approve", &host.id()]).await.succeeded();
    world.await_online().await;
}

#[tokio::test]
async fn t079_an_instance_with_a_copied_disk_enrols_as_itself() {
    let mut world = world().await;
    let mut original = world.launch("www-1", WWW).await;
    original.boot().await;
    world.hosts.push(original);
    world.await_online().await;
    world.hosts[0].cut_power().await;
    let mut copy = world.launch("www-2", WWW).await;
    copy.copy_disk_of(&world.hosts[0]).await;

    copy.boot().await;
    world.hosts[0].boot().await;
    world.hosts.push(copy);
    world.await_online().await;

    for host in &world.hosts {
        assert_eq!(host.agent_status().await["host"], host.id().as_str());
    }
    let stray = "cat /var/lib/floe/identity.stray/host; ls /var/lib/floe/identity.stray";
    let stray = world.hosts[1].shell(stray).await;
    assert!(stray.contains(&world.hosts[0].id()), "kept as evidence: {stray}");
    assert!(!stray.contains("key"), "without the key: {stray}");
}

#[tokio::test]
async fn t075_while_aws_does_not_answer_nobody_enrols_and_afterwards_they_do() {
    let mut world = world().await;
    world.cloud().trouble(Some("RequestLimitExceeded"));
    let mut host = world.launch("www-1", WWW).await;
    host.boot().await;
    says(&host, "not enrolled yet, will try again").await;
    assert_eq!(host.agent_status().await["host"], serde_json::Value::Null);

    world.cloud().trouble(None);

    world.hosts.push(host);
    world.await_online().await;
}
