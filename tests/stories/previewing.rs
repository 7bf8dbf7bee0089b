//! An operator looks at what a push would change, before anything does.

use floe_tests::host::Host;
use floe_tests::script::eventually;
use floe_tests::world::World;
use serde_json::{Value, json};

use crate::{WWW, version};

async fn is_online(world: &World, host: &Host) {
    eventually(&format!("{} to be online", host.name()), async || {
        let listed = world.operator().floe(&["hosts", "--output", "json"]).await.succeeded().json();
        let mut hosts = listed["hosts"].as_array()?.iter();
        hosts.find(|found| found["id"] == host.id() && found["online"] == true).map(drop)
    })
    .await;
}

#[tokio::test]
async fn what_a_push_would_change_is_shown_by_the_host_and_nothing_changes() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let before = (host.state().await, world.record(host).await["host"]["serial"].clone());
    world
        .repository
        .change(WWW, &format!("{}\n  environment.etc.\"greeting\".text = \"hello\";", version(2)));

    let shown = world.operator().floe(&["diff", WWW, "--output", "json"]).await.succeeded().json();

    assert_eq!((&shown["host"], &shown["unchanged"]), (&json!(host.id()), &json!(false)));
    assert_eq!(shown["running"], json!(before.0.running));
    let website = json!(["website.service"]);
    assert_eq!((&shown["units"]["stop"], &shown["units"]["start"]), (&website, &website));
    assert_eq!((&shown["reboot"], &shown["units"]["unknown"]), (&json!([]), &Value::Null));
    assert_eq!((&shown["reboots"], &shown["refused"]), (&json!(false), &Value::Null));
    let files = shown["files"].as_array().unwrap();
    let change = |path: &str| {
        let file = files.iter().find(|file| file["path"] == path);
        file.map_or(Value::Null, |file| file["change"].clone())
    };
    assert_eq!(change("greeting"), "added", "{shown:#}");
    assert_eq!(change("systemd/system/website.service"), "changed", "{shown:#}");
    assert!(shown["fetch"]["built_derivations"].as_u64().unwrap() > 0, "{shown:#}");
    let after = (host.state().await, world.record(host).await["host"]["serial"].clone());
    assert_eq!(after, before, "nothing was switched, and nothing confirmed");
    let left = "ls /var/lib/floe/activation | grep preview || true
        systemctl list-units --all --no-legend 'floe-*-preview-*'";
    assert_eq!(host.shell(left).await, "");

    // What was shown is what a push then does; and there is nothing more to show.
    world.push(WWW).await.succeeded();
    assert_eq!(json!(host.state().await.running), shown["built"]);
    let text = world.operator().floe(&["diff", WWW]).await.succeeded();
    assert!(text.stdout.contains("exactly this"), "{}", text.stdout);
}

#[tokio::test]
async fn a_preview_that_does_not_build_says_why_and_changes_nothing() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let before = host.state().await;
    world.repository.change(WWW, "  environment.etc.\"x\".text = throw \"no such thing\";");

    let shown = world.operator().floe(&["diff", WWW]).await.ended_with(1);

    assert!(shown.stderr.contains(host.name()), "{}", shown.stderr);
    assert!(shown.stderr.contains("no such thing"), "{}", shown.stderr);
    assert_eq!(host.state().await, before);
}

#[tokio::test]
async fn a_push_in_the_midst_of_a_preview_goes_first() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let slow = "  environment.etc.\"slow\".source = derivation { name = \"slow\"; system = builtins.currentSystem; \
                builder = \"/bin/sh\"; args = [ \"-c\" \"while :; do :; done\" ]; };";
    world.repository.change(WWW, slow);
    let operator = world.operator();
    let diff = ["diff", WWW];
    let (shown, ()) = tokio::join!(operator.floe(&diff), async {
        let building =
            "until systemctl is-active --quiet 'floe-build-preview-*'; do sleep 0.1; done";
        host.shell(building).await;
        world.repository.change(WWW, &version(1));
        world.push(WWW).await.succeeded();
    });

    shown.ended_with(1);
    assert!(host.state().await.is_settled());
}

#[tokio::test]
async fn a_machine_that_was_in_use_is_shown_first_and_changed_after_a_yes() {
    let mut world = World::of(&[(WWW, 1)]).await;
    let mut adopted = world.adopt_host("old", WWW).await;
    adopted.boot().await;
    is_online(&world, &adopted).await;
    let before = adopted.state().await;
    world.repository.change(WWW, &version(1));

    // Nobody is at the terminal to say yes: the others are changed.
    let pushed = world.push(WWW).await.succeeded();

    assert!(pushed.stderr.contains("local-old was in use before"), "{}", pushed.stderr);
    assert_eq!(pushed.rollout().host(&world.hosts[0].id()).state(), "confirmed");
    let record = world.record(&adopted).await["host"].clone();
    assert!(record["adopted"].is_string() && record["serial"].is_null(), "{record:#}");
    assert_eq!(adopted.state().await, before);
    let shown = ["diff", WWW, "--host", "local-old", "--output", "json"];
    let shown = world.operator().floe(&shown).await.succeeded().json();
    assert_eq!(shown["units"]["stop"], json!(["website.service"]), "{shown:#}");
    assert_eq!(adopted.state().await, before);

    // What it gets is what was shown, and not what the others have.
    world.repository.change(WWW, &version(2));
    let push = ["push", WWW, "--take-over", "--watch", "--output", "json"];
    let taken = world.operator().floe(&push).await.succeeded();

    assert!(taken.stderr.contains("  stop        website.service"), "{}", taken.stderr);
    assert!(taken.stderr.contains("local-old is taken over"), "{}", taken.stderr);
    assert_eq!(taken.rollout().host(&adopted.id()).state(), "confirmed");
    assert!(world.record(&adopted).await["host"]["adopted"].is_null());
    assert!(adopted.state().await.is_settled());
    let activations = world.record(&adopted).await["activations"].clone();
    assert_eq!(activations.as_array().unwrap().len(), 1, "{activations:#}");
    assert_eq!(activations[0]["serial"], 2, "{activations:#}");
}

#[tokio::test]
async fn a_machine_that_waits_waits_on_when_the_control_plane_was_restarted() {
    let mut world = World::of(&[(WWW, 1)]).await;
    world.repository.change(WWW, &version(1));
    world.push(WWW).await.succeeded();
    let mut adopted = world.adopt_host("old", WWW).await;
    adopted.boot().await;
    is_online(&world, &adopted).await;
    let before = adopted.state().await;

    world.control.kill().await;
    world.control.start_again().await;
    is_online(&world, &adopted).await;
    // A rollout that has ended is what a host that comes late would be told.
    world.push(WWW).await.succeeded();

    assert_eq!(adopted.state().await, before);
    assert!(world.record(&adopted).await["host"]["serial"].is_null());
}
