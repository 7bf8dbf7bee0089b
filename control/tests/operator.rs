//! The operator's commands as they are typed: the real binary, its output and its codes.
//!
//! No host takes part; what happens on machines is told by the stories of `floe-tests`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs the real binary"
)]

mod fleet;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use fleet::Fleet;

#[test]
fn a_bundle_is_built_twice_with_one_digest_and_verifies() {
    let fleet = Fleet::begin();
    let build = ["bundle", "build", "www", "--out", "out", "--output", "json"];
    let (first, second) = (fleet.floe(&build).json(), fleet.floe(&build).json());
    assert_eq!(first["digest"], second["digest"]);
    assert_eq!(first["payload"], "out/www-1.tar.zst");

    fleet.floe(&["bundle", "verify", "out/www-1.tar.zst"]).ends(0);
    let inspected = fleet.floe(&["bundle", "inspect", "out/www-1.tar.zst", "--files"]).ends(0);
    assert!(inspected.out.contains("role/configuration.nix"), "{}", inspected.out);
    assert!(!inspected.out.contains("host.toml"), "{}", inspected.out);
}

#[test]
fn a_bundle_is_not_built_into_what_is_packed() {
    let fleet = Fleet::begin();
    for out in ["hosts/www", "hosts/www/new", "nixpkgs"] {
        let refused = fleet.floe(&["bundle", "build", "www", "--out", out]).ends(1);
        assert!(refused.err.contains("is packed"), "{}", refused.err);
    }
    assert!(!fleet.path("hosts/www/new").exists());
}

#[test]
fn a_truncated_or_changed_bundle_is_refused() {
    let fleet = Fleet::begin();
    fleet.floe(&["bundle", "build", "www", "--out", "out"]).ends(0);
    let path = fleet.path("out/www-1.tar.zst");
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    let refused = fleet.floe(&["bundle", "verify", "out/www-1.tar.zst"]).ends(3);
    assert!(refused.err.contains("were signed"), "{}", refused.err);
    let mut flipped = good;
    flipped[20] ^= 1;
    fs::write(&path, flipped).unwrap();
    fleet.floe(&["bundle", "verify", "out/www-1.tar.zst"]).ends(3);
}

#[test]
fn bad_keys_are_found_before_anybody_is_asked() {
    let fleet = Fleet::begin();
    let key = fleet.path("keys/release.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let exposed = fleet.floe(&["push", "www"]).ends(1);
    assert!(exposed.err.contains("others may read"), "{}", exposed.err);
    fs::remove_file(&key).unwrap();
    fleet.floe(&["keys", "new", "keys/release.pem"]).ends(0);
    let foreign = fleet.floe(&["push", "www"]).ends(3);
    assert!(foreign.err.contains("is no release key of `fossable.org`"), "{}", foreign.err);
}

#[test]
fn a_control_plane_that_is_not_there_is_named_with_advice() {
    let fleet = Fleet::begin();
    let server = fleet.serve();
    let (url, credentials) = (server.url.clone(), server.credentials.clone());
    drop(server);
    let hosts = ["hosts", "--server", &url, "--credentials", &credentials];
    let unreachable = fleet.floe(&hosts).ends(1);
    let expected = format!("floe: the control plane at `{url}` cannot be reached");
    assert!(unreachable.err.starts_with(&expected), "{}", unreachable.err);
    assert!(unreachable.err.contains("try: is `floe serve` running"), "{}", unreachable.err);
}

#[test]
fn what_is_pushed_twice_is_uploaded_once() {
    let fleet = Fleet::begin();
    let server = fleet.serve();
    let push = |more: &[&str]| {
        let at = ["--server", &server.url, "--credentials", &server.credentials];
        fleet.floe(&[&["push", "www", "--output", "json"], more, &at[..]].concat()).json()
    };
    let planned = push(&["--dry-run"]);
    assert_eq!((&planned["serial"], &planned["dry_run"]), (&1.into(), &true.into()));
    let first = push(&["--no-rollout"]);
    assert_eq!((&first["serial"], &first["uploaded"]), (&1.into(), &true.into()));
    assert_eq!(first["digest"], planned["digest"]);
    let second = push(&[]);
    assert_eq!((&second["serial"], &second["uploaded"]), (&2.into(), &false.into()));
    assert_eq!(
        (&second["unchanged"], &second["rollout"]["state"]),
        (&true.into(), &"running".into())
    );
}

#[test]
fn another_fleets_control_plane_is_not_spoken_to() {
    let (ours, theirs) = (Fleet::begin(), Fleet::begin());
    let (our_server, their_server) = (ours.serve(), theirs.serve());
    let hosts = ["hosts", "--server", &their_server.url, "--credentials", &our_server.credentials];
    let refused = ours.floe(&hosts).ends(1);
    assert!(refused.err.contains("another fleet's control plane"), "{}", refused.err);
}

#[test]
fn a_token_is_made_for_a_role_that_is_there_into_a_file_that_is_not() {
    let fleet = Fleet::begin();
    let server = fleet.serve();
    let at = ["--server", &server.url, "--credentials", &server.credentials];
    let token = |more: &[&str]| fleet.floe(&[&["hosts", "token"], more, &at[..]].concat());
    let unknown = token(&["wwww"]).ends(1);
    assert!(unknown.err.contains("there is no role `wwww`"), "{}", unknown.err);
    assert!(unknown.err.contains("one of: www"), "{}", unknown.err);
    let into = ["www", "--host", "local-www-1", "--out", "floe.toml"];
    let there = token(&into).ends(1);
    assert!(there.err.contains("`floe.toml` is there already"), "{}", there.err);
    assert!(fs::read_to_string(fleet.path("floe.toml")).unwrap().contains("fossable.org"));
    token(&["www", "--host", "local-www-1", "--out", "join.toml"]).ends(0);
    let mode = fleet.path("join.toml").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn where_there_is_only_an_error_stdout_is_empty() {
    let fleet = Fleet::begin();
    for (asked, code) in [(["hosts", "show", "local-x"], 1), (["rollout", "show", "www"], 1)] {
        let failed = fleet.floe(&[&asked[..], &["--output", "json"]].concat()).ends(code);
        assert_eq!(failed.out, "");
        assert!(failed.err.starts_with("floe: could not read your credentials"), "{}", failed.err);
    }
}

#[test]
fn a_usage_error_is_code_2_and_nothing_is_done() {
    let fleet = Fleet::begin();
    fleet.floe(&["push"]).ends(2);
    fleet.floe(&["rollout", "start", "www", "0"]).ends(2);
}
