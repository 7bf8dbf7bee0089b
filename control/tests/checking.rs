//! `floe check` and `floe lock update`, typed at the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs the real binary"
)]

mod fleet;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use fleet::Fleet;
use serde_json::Value;

#[test]
fn what_init_began_passes_but_for_what_it_left_to_be_said() {
    let fleet = Fleet::begin();
    let ran = fleet.floe(&["check"]).ends(0);
    assert!(ran.out.ends_with("fossable.org, 1 role: nothing is wrong\n"), "{}", ran.out);
}

#[test]
fn every_finding_is_printed_and_the_shell_is_told() {
    let fleet = Fleet::begin();
    let host = fs::read_to_string(fleet.path("hosts/www/host.toml")).unwrap();
    fs::write(fleet.path("hosts/www/host.toml"), host.replace("soak =", "soack =")).unwrap();
    fs::create_dir(fleet.path("hosts/WWW")).unwrap();
    let ran = fleet.floe(&["check"]).ends(1);
    assert!(ran.out.contains("hosts/www/host.toml:6:1"), "{}", ran.out);
    assert!(ran.out.contains("did you mean `soak`?"), "{}", ran.out);

    let json = fleet.floe(&["check", "--output", "json"]).ends(1);
    let document: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(document["errors"], 2);
    let finding = &document["findings"][1];
    assert_eq!(finding["file"], "hosts/www/host.toml");
    assert_eq!((&finding["line"], &finding["column"]), (&6.into(), &1.into()));
    assert_eq!(finding["advice"], "did you mean `soak`?");

    // A push says it in one sentence.
    let push = fleet.floe(&["push", "www"]).ends(1);
    assert!(push.err.contains("line 6: unknown field `soack`"), "{}", push.err);
}

#[test]
fn a_warning_is_in_the_way_only_of_who_is_strict() {
    let fleet = Fleet::begin();
    fs::remove_file(fleet.path("keys/release.pem")).unwrap();
    fleet.floe(&["check"]).ends(0);
    fleet.floe(&["check", "--strict"]).ends(1);
    fleet.floe(&["check", "web"]).ends(1);
}

/// A server whose `/channel` leads to `/releases/NUMBER/nixexprs.tar`.
fn channel(number: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = connection.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let head = match request.split(' ').nth(1) {
                Some("/channel") => {
                    format!("302 Found\r\nLocation: /releases/{number}/nixexprs.tar")
                }
                Some(_) | None => "200 OK".into(),
            };
            let answer =
                format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    base
}

#[test]
fn where_a_channel_leads_is_shown_and_nothing_written_on_a_dry_run() {
    let fleet = Fleet::begin();
    let base = channel("24.11.2");
    let hash = "0zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s";
    let lock = format!(
        "schema = 1\n[pins.nixpkgs]   # ours\nurl = '{base}/releases/24.11.1/nixexprs.tar'\n\
         sha256 = '{hash}'\nfollow = '{base}/channel'\n[pins.floe]\npath = 'nixpkgs'\n"
    );
    fs::write(fleet.path("floe.lock"), &lock).unwrap();
    let ran = fleet.floe(&["lock", "update", "--dry-run"]).ends(0);
    assert!(ran.out.contains(&format!("+ {base}/releases/24.11.2/nixexprs.tar")), "{}", ran.out);
    assert_eq!(fs::read_to_string(fleet.path("floe.lock")).unwrap(), lock);

    let path = fleet.floe(&["lock", "update", "floe"]).ends(1);
    assert!(path.err.contains("is a tree of the repository"), "{}", path.err);
    fs::write(fleet.path("floe.lock"), lock.replace("24.11.1", "24.11.2")).unwrap();
    let same = fleet.floe(&["lock", "update"]).ends(0);
    assert!(same.out.contains("nothing new"), "{}", same.out);
}
