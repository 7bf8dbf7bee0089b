//! A system is built where the operator sits, and hosts fetch what they lack of it: they
//! evaluate nothing, and take nothing that no key of theirs signed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use floe_tests::attacker::Attacker;
use floe_tests::host::Host;
use floe_tests::operator::Operator;
use floe_tests::script::eventually;
use floe_tests::world::World;

use crate::{MAIL, WWW, version};

/// The name of the binary cache's key.
const KEY: &str = "fossable-1";

/// Version `number` on a host that trusts `key`.
fn trusting(key: &str, number: u32) -> String {
    format!("  nix.settings.trusted-public-keys = [ \"{key}\" ];\n{}", version(number))
}

/// One host that trusts a key, by a configuration that it built itself; who builds from
/// now on; and the file of the key.
async fn fleet_that_trusts() -> (World, Operator, String) {
    let world = World::of(&[(WWW, 1)]).await;
    let operator = world.operator().who_builds().await;
    let (secret, public) = operator.makes_cache_key(KEY).await;
    world.repository.change(WWW, &trusting(&public, 1));
    world.push(WWW).await.succeeded();
    world.repository.change(WWW, &trusting(&public, 2));
    (world, operator, secret)
}

/// Publishes the role's closure without rolling it out; gives serial and system.
async fn publish(operator: &Operator, key: &str) -> (u64, String) {
    let push = ["push", WWW, "--closure", "--cache-key", key, "--no-rollout", "--output", "json"];
    let json = operator.floe(&push).await.succeeded().json();
    let toplevel = json["closure"]["toplevel"].as_str().unwrap().to_owned();
    (json["serial"].as_u64().unwrap(), toplevel)
}

async fn roll_out(operator: &Operator, serial: u64) -> (String, String) {
    let start = ["rollout", "start", WWW, &serial.to_string(), "--watch", "--output", "json"];
    let rollout = operator.floe(&start).await.rollout();
    let host = &rollout.hosts()[0];
    (host.state().to_owned(), host.reason().to_owned())
}

/// How many derivations lie in a host's store: evaluating a configuration leaves some.
async fn derivations(host: &Host) -> String {
    host.shell("ls /nix/store | grep -c '\\.drv$' || true").await
}

/// The compressed NAR of `path`, from the binary cache that a push leaves.
fn nar(world: &World, path: &str) -> Vec<u8> {
    let cache = world.repository.path().join(".floe/closures").join(WWW);
    let hash = &path["/nix/store/".len()..][..32];
    let info = fs::read_to_string(cache.join(format!("{hash}.narinfo"))).unwrap();
    let url = info.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    fs::read(cache.join(url)).unwrap()
}

#[tokio::test]
async fn a_closure_is_fetched_as_far_as_it_lacks_and_nothing_is_evaluated() {
    let (world, operator, key) = fleet_that_trusts().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let (serial, toplevel) = publish(&operator, &key).await;
    // Of what the host has there is nothing to be had.
    let all = operator.types(&["nix-store", "--query", "--requisites", &toplevel]).await;
    let list = all.lines().collect::<Vec<_>>().join(" ");
    let lacking = host.shell(&format!("nix-store --check-validity --print-invalid {list}")).await;
    assert!(
        lacking.contains(&toplevel) && lacking.lines().count() < all.lines().count(),
        "{lacking}"
    );
    let mut kept: BTreeSet<_> = lacking.lines().map(|path| nar(&world, path)).collect();
    for path in all.lines() {
        let bytes = nar(&world, path);
        if kept.insert(bytes.clone()) {
            Attacker::of(&world).take_nar(&bytes);
        }
    }
    let before = derivations(host).await;

    let (outcome, reason) = roll_out(&operator, serial).await;

    assert_eq!(outcome, "confirmed", "{reason}");
    let state = host.state().await;
    assert!(state.is_settled() && state.running == toplevel, "{state:?} is not {toplevel}");
    assert_eq!(derivations(host).await, before, "nothing was evaluated");
    let activation = format!("/var/lib/floe/activation/{serial}-*");
    assert_eq!(host.shell(&format!("ls {activation}/source")).await, "closure.json");
    assert!(!host.holds(&format!("journalctl -u 'floe-build-{serial}-*' | grep -q .")).await);
    assert!(!host.holds("test -e /var/lib/floe/closure").await, "what was fetched is gone");
    let said = operator.floe(&["hosts", "logs", &host.id()]).await.succeeded();
    let count = (lacking.lines().count(), all.lines().count());
    said.said(&format!("fetching {} of {} store paths", count.0, count.1));
}

#[tokio::test]
async fn a_closure_is_said_again_and_a_configuration_after_it() {
    let (world, operator, key) = fleet_that_trusts().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let push = ["push", WWW, "--closure", "--cache-key", &key, "--watch", "--output", "json"];
    operator.floe(&push).await.succeeded();
    let closure = host.state().await;
    // The store has all of it.
    let again = operator.floe(&push).await.succeeded().json();
    assert_eq!((&again["unchanged"], &again["closure"]["sent"]["nars"]), (&true.into(), &0.into()));

    let story = fs::read_to_string(world.repository.file(WWW, "story.nix")).unwrap();
    fs::write(world.repository.file(WWW, "story.nix"), story.replace("\"2\"", "\"3\"")).unwrap();
    world.push(WWW).await.succeeded();
    assert_ne!(host.state().await, closure);
    let revert = ["push", WWW, "--revert", "--watch", "--output", "json"];
    world.operator().floe(&revert).await.succeeded();
    assert_eq!(host.state().await, closure);
}

#[tokio::test]
async fn a_nar_that_was_changed_in_the_bucket_is_refused() {
    let (world, operator, key) = fleet_that_trusts().await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let before = host.state().await;
    let (serial, toplevel) = publish(&operator, &key).await;
    Attacker::of(&world).flip_a_bit_in_every_nar();

    let (outcome, reason) = roll_out(&operator, serial).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("its digest is not"), "{reason}");
    assert_eq!(host.state().await, before);
    assert!(!host.holds(&format!("test -e {toplevel}")).await);
    assert!(!host.holds("test -e /var/lib/floe/closure").await);
}

#[tokio::test]
async fn a_closure_that_no_key_of_the_host_signed_is_refused_and_changes_nothing() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let operator = world.operator().who_builds().await;
    let (key, _) = operator.makes_cache_key(KEY).await;
    // What its nix.conf says does not count.
    let careless = |number| format!("  nix.settings.require-sigs = false;\n{}", version(number));
    world.repository.change(WWW, &careless(1));
    world.push(WWW).await.succeeded();
    world.repository.change(WWW, &careless(2));
    let (before, evaluated) = (host.state().await, derivations(host).await);
    let (serial, toplevel) = publish(&operator, &key).await;

    let (outcome, reason) = roll_out(&operator, serial).await;

    assert_eq!(outcome, "failed");
    for part in ["trusts no key that signed the closure (fossable-1)", "trusted-public-keys"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(host.state().await, before);
    assert!(!host.holds(&format!("nix-store --check-validity {toplevel}")).await);
    assert_eq!(derivations(host).await, evaluated, "nothing was built instead");
}

#[tokio::test]
async fn a_closure_that_a_host_has_no_room_for_is_not_downloaded() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let operator = world.operator().who_builds().await;
    let (key, _) = operator.makes_cache_key(KEY).await;
    let petabyte = "services.floe-agent.settings.min_free_bytes = 1000000000000000;";
    world.repository.change(WWW, &format!("  {petabyte}\n{}", version(1)));
    world.push(WWW).await.succeeded();
    world.repository.change(WWW, &version(2));
    let before = host.state().await;
    let (serial, _) = publish(&operator, &key).await;

    let (outcome, reason) = roll_out(&operator, serial).await;

    assert_eq!(outcome, "failed");
    assert!(reason.contains("the closure needs 953"), "{reason}");
    assert_eq!(host.state().await, before);
    assert!(!host.holds("test -e /var/lib/floe/closure").await);
}

#[tokio::test]
async fn a_download_that_was_killed_goes_on_where_it_was() {
    let (mut world, operator, key) = fleet_that_trusts().await;
    let (serial, toplevel) = publish(&operator, &key).await;
    let bytes = nar(&world, &toplevel);
    let place = Attacker::of(&world).take_nar(&bytes);
    let start = ["rollout", "start", WWW, &serial.to_string()];
    operator.floe(&start).await.succeeded();
    let there = "cd /var/lib/floe/closure/nar && stat -c '%i %n' -- *.nar.zst";
    let others = eventually("other NARs to be there", async || {
        let host = &world.hosts[0];
        if host.holds(there).await { Some(host.shell(there).await) } else { None }
    });
    let others = others.await;

    let agent = "systemctl show --property MainPID --value floe-agent.service";
    let first = world.hosts[0].shell(agent).await;
    world.hosts[0].shell("systemctl kill --signal=KILL floe-agent.service").await;
    eventually("the agent to be back", async || {
        let now = world.hosts[0].shell(agent).await;
        (now != first && now != "0").then_some(())
    })
    .await;
    world.hosts[0].cut_power().await;
    world.hosts[0].boot().await;
    // The same files, and not others of the same names.
    let still = world.hosts[0].shell(there).await;
    assert!(others.lines().all(|file| still.contains(file)), "{others}\n{still}");
    fs::write(&place, &bytes).unwrap();

    assert_eq!(world.ends(&world.hosts[0], serial).await, "confirmed");
    assert_eq!(world.hosts[0].state().await.running, toplevel);
}

#[tokio::test]
async fn a_closure_in_files_is_published_by_somebody_else() {
    let (world, operator, key) = fleet_that_trusts().await;
    let out = world.path().join("out");
    let directory = out.to_str().unwrap();
    let build = ["bundle", "build", WWW, "--serial", "7", "--closure", "--cache-key", &key];
    let build = [build.as_slice(), &["--out", directory, "--output", "json"]].concat();
    let built = operator.floe(&build).await.succeeded().json();
    let manifest = built["manifest"].as_str().unwrap();
    // They need no Nix, and no key.
    world.operator().floe(&["bundle", "verify", manifest]).await.succeeded().said("closure");
    world.operator().floe(&["bundle", "publish", manifest]).await.succeeded().said("NARs sent");

    let (outcome, reason) = roll_out(&operator, 7).await;
    assert_eq!(outcome, "confirmed", "{reason}");
    let toplevel = built["closure"]["toplevel"].as_str().unwrap();
    assert_eq!(world.hosts[0].state().await.running, toplevel);

    let nar = first_nar(&out.join(format!("{WWW}-7.closure/nar")));
    let mut bytes = fs::read(&nar).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(nar, bytes).unwrap();
    world.operator().floe(&["bundle", "publish", manifest]).await.ended_with(1).said("other NARs");
}

fn first_nar(directory: &Path) -> std::path::PathBuf {
    fs::read_dir(directory).unwrap().next().unwrap().unwrap().path()
}

#[tokio::test]
async fn what_hosts_would_refuse_of_a_closure_is_found_before_anything_is_sent() {
    let world = World::without_hosts().await;
    let operator = world.operator().who_builds().await;
    let closure = ["push", WWW, "--closure"];
    operator.floe(&closure).await.ended_with(1).said("--generate-binary-cache-key");
    let (key, _) = operator.makes_cache_key(KEY).await;
    let push = |more: &[&str]| {
        let all = [&["push", WWW, "--cache-key", &key], more].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused = async |more: &[&str], said: &str| {
        let typed = push(more);
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        operator.floe(&typed).await.ended_with(1).said(said);
        world.nothing_is_published(WWW).await;
    };
    let absent = format!("/nix/store/{}-nixos-system-www", "0".repeat(32));
    refused(&["--closure", &absent], "is not in the Nix store").await;
    world.repository.change(WWW, "  standin.buildFails = true;");
    refused(&["--closure"], "the build fails, as asked").await;
    world.repository.change(WWW, "  services.floe-agent.enable = lib.mkForce false;");
    refused(&["--closure"], "has no floe-agent").await;
    world.repository.change(WWW, "");
    world.repository.edit_host_toml(WWW, "probation = \"30s\"", "probation = \"60s\"");
    let mail = ["bundle", "build", MAIL, "--closure", "--cache-key", &key, "--output", "json"];
    let out = world.path().join("mail");
    let mail = [mail.as_slice(), &["--out", out.to_str().unwrap()]].concat();
    let mail = operator.floe(&mail).await.succeeded().json();
    let mail = mail["closure"]["toplevel"].as_str().unwrap();
    refused(&["--closure", mail], "for the role `mail.fossable.org`").await;
    let nothing = world.operator().floe(&["push", WWW, "--closure", "www"]).await;
    nothing.ended_with(2).said("is no path in the Nix store");
}
