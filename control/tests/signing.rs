//! Keys with passphrases, keys of programs, several keys for one bundle, and going back:
//! the real binary, typed at as in CI. Nobody is ever asked anything here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs the real binary"
)]

mod fleet;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use fleet::{Fleet, Ran, Served};
use serde_json::Value;

#[test]
fn a_key_with_a_passphrase_signs_where_the_passphrase_is() {
    let fleet = Fleet::begin();
    let build = ["bundle", "build", "www", "--out", "out"];
    fs::write(fleet.path("passphrase"), "correct horse\n").unwrap();
    let passphrase = [("FLOE_KEY_PASSPHRASE_FILE", "passphrase")];
    let encrypted = fleet.floe_with(&passphrase, &["keys", "encrypt", "keys/release.pem"]).ends(0);
    assert!(encrypted.out.contains("with a passphrase"), "{}", encrypted.out);
    assert!(!fs::read_to_string(fleet.path("keys/release.pem")).unwrap().contains("PRIVATE"));

    let locked = fleet.floe(&build).ends(1);
    assert!(locked.err.contains("there is no passphrase for it"), "{}", locked.err);
    let wrong = fleet.floe_with(&[("FLOE_KEY_PASSPHRASE", "battery staple")], &build).ends(1);
    assert!(wrong.err.contains("this is not the passphrase"), "{}", wrong.err);
    fleet.floe_with(&passphrase, &build).ends(0);
    fleet.floe(&["bundle", "verify", "out/www-1.tar.zst"]).ends(0);
}

#[test]
fn a_key_in_the_environment_stands_for_the_key_file() {
    let fleet = Fleet::begin();
    let key = fs::read_to_string(fleet.path("keys/release.pem")).unwrap();
    fs::remove_file(fleet.path("keys/release.pem")).unwrap();
    let build = ["bundle", "build", "www", "--out", "out"];
    fleet.floe(&build).ends(1);
    fleet.floe_with(&[("FLOE_SIGNING_KEY", &key)], &build).ends(0);
    fleet.floe(&["bundle", "verify", "out/www-1.tar.zst"]).ends(0);
}

#[test]
fn a_program_signs_and_is_not_believed_unless_it_did() {
    let fleet = Fleet::begin();
    let shown = fleet.floe(&["keys", "show", "keys/release.pem", "--output", "json"]).json();
    let toml = fs::read_to_string(fleet.path("floe.toml")).unwrap();
    let signer = |command: &str| {
        let public = shown["public"].as_str().unwrap();
        let entry = format!("[[signing.signer]]\npublic = \"{public}\"\ncommand = [{command}]");
        let key = "[signing]\n# Signs bundles. Keep it out of version control, and keep a copy.\n\
                   key = \"keys/release.pem\"";
        let changed = toml.replace(key, &entry);
        assert_ne!(changed, toml);
        fs::write(fleet.path("floe.toml"), changed).unwrap();
    };
    let build = ["bundle", "build", "www", "--out", "out"];
    // RFC 8032 as openssl has it; it reads the message from a file only.
    let script = "#!/bin/sh\nset -e\ntest -z \"$FLOE_KEY_PASSPHRASE\"\ntrap 'rm -f message' EXIT\ncat >message\n\
                  openssl pkeyutl -sign -rawin -inkey keys/release.pem -in message\n";
    fs::write(fleet.path("sign"), script).unwrap();
    fs::set_permissions(fleet.path("sign"), Permissions::from_mode(0o755)).unwrap();
    signer("'./sign'");
    // What is secret here is none of its business.
    fleet.floe_with(&[("FLOE_KEY_PASSPHRASE", "correct horse")], &build).ends(0);
    fleet.floe(&["bundle", "verify", "out/www-1.tar.zst"]).ends(0);

    signer("'sh', '-c', 'cat >/dev/null; head -c 64 /dev/zero'");
    let refused = fleet.floe(&build).ends(3);
    assert!(refused.err.contains("is not the signature of the key"), "{}", refused.err);
}

#[test]
fn no_program_that_is_started_sees_a_secret() {
    let fleet = Fleet::begin();
    let key = fs::read_to_string(fleet.path("keys/release.pem")).unwrap();
    for directory in ["bin", ".git"] {
        fs::create_dir(fleet.path(directory)).unwrap();
    }
    let programs = ["git", "nix-instantiate"].map(|name| fleet.path("bin").join(name));
    for program in &programs {
        fs::write(program, "#!/bin/sh\nenv >\"$0.saw\"\n").unwrap();
        fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", fleet.path("bin").display());
    let secrets = [
        ("FLOE_SIGNING_KEY", key.as_str()),
        ("FLOE_KEY_PASSPHRASE", "correct horse"),
        ("FLOE_KEY_PASSPHRASE_FILE", "keys/release.pem"),
        ("PATH", &path),
    ];
    fleet.floe_with(&secrets, &["bundle", "build", "www", "--out", "out"]).ends(0);
    for program in &programs {
        let saw = fs::read_to_string(program.with_extension("saw")).unwrap();
        assert!(saw.contains("PATH=") && !saw.contains("FLOE_"), "{saw}");
    }
}

#[test]
fn what_two_must_sign_is_published_when_both_have() {
    let fleet = Fleet::begin();
    fleet.floe(&["keys", "new", "keys/bob.pem"]).ends(0);
    two_must_sign(&fleet);
    let alone = fleet.floe(&["push", "www"]).ends(3);
    assert!(alone.err.contains("2 release keys must sign"), "{}", alone.err);

    let server = fleet.serve();
    let build = ["bundle", "build", "www", "--out", "out", "--output", "json"];
    let built = fleet.floe(&build).json();
    assert_eq!(
        (&built["signatures"]["needed"], &built["signatures"]["enough"]),
        (&2.into(), &false.into())
    );
    let manifest = "out/www-1.manifest.json";
    let early = typed(&fleet, &server, &["bundle", "publish", manifest]).ends(3);
    assert!(early.err.contains("floe bundle sign"), "{}", early.err);

    // Bob signs a copy; ada brings both together.
    fs::create_dir(fleet.path("bob")).unwrap();
    for name in ["www-1.manifest.json", "www-1.tar.zst"] {
        fs::copy(fleet.path("out").join(name), fleet.path("bob").join(name)).unwrap();
    }
    let copy = "bob/www-1.manifest.json";
    fleet.floe(&["bundle", "merge", manifest, copy]).ends(0);
    let signed = fleet.floe(&["bundle", "sign", copy, "--key", "keys/bob.pem"]).ends(0);
    assert!(signed.err.contains("signing www serial 1: payload"), "{}", signed.err);
    let merged = fleet.floe(&["bundle", "merge", manifest, copy, "--output", "json"]).json();
    assert_eq!(merged["signatures"]["enough"], true);
    typed(&fleet, &server, &["bundle", "publish", manifest]).ends(0);
    typed(&fleet, &server, &["rollout", "start", "www", "1"]).ends(0);

    // With both keys at hand a push signs with both.
    let toml = fs::read_to_string(fleet.path("floe.toml")).unwrap();
    let both = "keys = ['keys/release.pem', 'keys/bob.pem']";
    let toml = toml.replace("key = \"keys/release.pem\"", both);
    fs::write(fleet.path("floe.toml"), toml).unwrap();
    let pushed = json(&fleet, &server, &["push", "www"]);
    assert_eq!(pushed["serial"], 2);
}

#[test]
fn t034_nobody_signs_for_a_payload_that_is_another_one() {
    let fleet = Fleet::begin();
    fleet.floe(&["bundle", "build", "www", "--out", "out"]).ends(0);
    fs::write(fleet.path("hosts/www/more.nix"), "{ }").unwrap();
    fleet.floe(&["bundle", "build", "www", "--out", "out", "--serial", "2"]).ends(0);
    fs::copy(fleet.path("out/www-2.tar.zst"), fleet.path("out/www-1.tar.zst")).unwrap();
    let refused = fleet.floe(&["bundle", "sign", "out/www-1.manifest.json"]).ends(3);
    assert!(refused.err.contains("signed"), "{}", refused.err);
}

#[test]
fn t030_t156_going_back_is_a_new_serial_with_the_old_payload() {
    let fleet = Fleet::begin();
    let server = fleet.serve();
    let first = json(&fleet, &server, &["push", "www", "--no-rollout"]);
    let nothing = typed(&fleet, &server, &["push", "www", "--revert"]).ends(1);
    assert!(nothing.err.contains("no other payload of `www` is published"), "{}", nothing.err);
    fs::write(fleet.path("hosts/www/more.nix"), "{ }").unwrap();
    let second = json(&fleet, &server, &["push", "www", "--no-rollout"]);

    let back = json(&fleet, &server, &["push", "www", "--revert"]);
    assert_eq!((&back["serial"], &back["again"]), (&3.into(), &1.into()));
    assert_eq!((&back["digest"], &back["uploaded"]), (&first["digest"], &false.into()));
    assert_eq!(back["rollout"]["state"], "running");
    let forth = json(&fleet, &server, &["push", "www", "--revert"]);
    assert_eq!((&forth["serial"], &forth["digest"]), (&4.into(), &second["digest"]));
    let asked = json(&fleet, &server, &["push", "www", "--revert", "1", "--dry-run"]);
    assert_eq!((&asked["serial"], &asked["digest"]), (&5.into(), &first["digest"]));

    // The same again, with a floor that stays, and forbids what is below it.
    let renewed = json(&fleet, &server, &["push", "www", "--renew", "--floor", "2"]);
    assert_eq!((&renewed["serial"], &renewed["digest"]), (&5.into(), &second["digest"]));
    assert_eq!(json(&fleet, &server, &["push", "www"])["floor"], 2);
    let below = typed(&fleet, &server, &["push", "www", "--revert", "1"]).ends(3);
    assert!(below.err.contains("below 2, the floor"), "{}", below.err);

    let listed = json(&fleet, &server, &["bundle", "list", "www"]);
    let serials: Vec<_> = listed["manifests"].as_array().unwrap().iter().collect();
    assert_eq!(
        serials.iter().map(|m| m["serial"].as_u64().unwrap()).collect::<Vec<_>>(),
        [6, 5, 4, 3, 2, 1]
    );
}

#[test]
fn t149_a_serial_that_is_taken_is_not_published_again() {
    let fleet = Fleet::begin();
    let server = fleet.serve();
    json(&fleet, &server, &["push", "www", "--no-rollout"]);
    fs::write(fleet.path("hosts/www/more.nix"), "{ }").unwrap();
    fleet.floe(&["bundle", "build", "www", "--serial", "1", "--out", "out"]).ends(0);
    let taken = typed(&fleet, &server, &["bundle", "publish", "out/www-1.tar.zst"]).ends(1);
    assert!(taken.err.contains("serial 1 of role `www` is taken"), "{}", taken.err);
    let build = ["bundle", "build", "www", "--out", "out", "--valid-for", "10years"];
    assert!(fleet.floe(&build).ends(1).err.contains("a year is the most"));
}

/// The next trust root takes two of two release keys; hosts would walk to it.
fn two_must_sign(fleet: &Fleet) {
    fleet.floe(&["trust", "add-key", "keys/bob.pem", "--role", "release"]).ends(0);
    fleet.floe(&["trust", "set-threshold", "release", "2"]).ends(0);
    fleet.floe(&["trust", "sign"]).ends(0);
    let server = fleet.serve();
    typed(fleet, &server, &["trust", "publish"]).ends(0);
}

fn typed(fleet: &Fleet, server: &Served, arguments: &[&str]) -> Ran {
    let at = ["--server", &server.url, "--credentials", &server.credentials];
    fleet.floe(&[arguments, &at[..]].concat())
}

fn json(fleet: &Fleet, server: &Served, arguments: &[&str]) -> Value {
    typed(fleet, server, &[arguments, &["--output", "json"]].concat()).json()
}
