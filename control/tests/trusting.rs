//! `floe trust` as it is typed: ceremonies of several holders, with a real control plane.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs the real binary"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_fleet_of_three_holders_begins_and_changes_by_two_of_them() {
    let fleet = Fleet::begin();
    for name in ["ada", "bob", "eve", "release"] {
        fleet.floe(&["keys", "new", &format!("{name}.pem"), "--no-passphrase"]).ends(0);
    }
    let roots = ["--root", "ada.pem", "--root", "bob.pem", "--root", "eve.pem"];
    let more = ["--root-threshold", "2", "--release", "release.pem"];
    let drawn = fleet.floe(&[&["trust", "init"], &roots[..], &more].concat()).ends(0);
    assert!(drawn.out.contains("root keys of version 1: 2 must sign"), "{}", drawn.out);
    let early = fleet.floe(&["trust", "publish"]).ends(3);
    assert!(early.err.contains("2 more of the root keys of version 1"), "{}", early.err);
    let foreign = fleet.floe(&["trust", "sign", "--key", "release.pem"]).ends(3);
    assert!(foreign.err.contains("may not sign this"), "{}", foreign.err);

    // Each holder has a copy of the file, and no repository.
    for name in ["ada", "eve"] {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::copy(fleet.path("trust-next.json"), elsewhere.path().join("draft.json")).unwrap();
        let (key, out) =
            (fleet.file(&format!("{name}.pem")), fleet.file(&format!("of-{name}.json")));
        run(elsewhere.path(), &["trust", "sign", "draft.json", "--key", &key, "--out", &out])
            .ends(0);
    }
    fleet.floe(&["trust", "merge", "of-ada.json"]).ends(0);
    fleet.floe(&["trust", "publish"]).ends(3);
    let merged = fleet.floe(&["trust", "merge", "of-eve.json", "--output", "json"]).json();
    assert_eq!(merged["complete"], true);
    fleet.floe(&["trust", "publish"]).ends(0);
    assert!(!fleet.path("trust-next.json").exists());

    // The second version, with a control plane that runs.
    let server = fleet.serve();
    let at = ["--server", &server.url, "--credentials", &server.credentials];
    fleet.floe(&["keys", "new", "second.pem", "--no-passphrase"]).ends(0);
    fleet.floe(&["trust", "add-key", "second.pem", "--role", "release"]).ends(0);
    let one = ["trust", "sign", "--key", "bob.pem"];
    fleet.floe(&one).ends(0);
    let removed = fleet.floe(&["trust", "remove-key", &fleet.id("release.pem")[..12]]).ends(0);
    assert!(removed.err.contains("everybody signs again"), "{}", removed.err);
    fleet.floe(&one).ends(0);
    fleet.floe(&["trust", "sign", "--key", "ada.pem"]).ends(0);
    let published = fleet.floe(&[&["trust", "publish"], &at[..]].concat()).ends(0);
    assert!(published.out.contains("version 2"), "{}", published.out);

    let shown = ["trust", "show", "--published", "--output", "json"];
    let shown = fleet.floe(&[&shown, &at[..]].concat()).json();
    assert_eq!((&shown["trust"]["version"], &shown["proposal"]), (&2.into(), &Value::Null));
    let versions: Vec<_> = shown["published"].as_array().unwrap().iter().collect();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[1]["publisher"], "admin");
}

#[test]
fn a_release_key_is_replaced_and_pushing_goes_on() {
    let fleet = Fleet::begin();
    fs::remove_file(fleet.path("floe.toml")).unwrap();
    fleet.floe(&["init", "fossable.org", "--example", "www"]).ends(0);
    fs::create_dir(fleet.path("nixpkgs")).unwrap();
    fs::write(fleet.path("nixpkgs/default.nix"), "{ }").unwrap();
    let lock = "schema = 1\n[pins.nixpkgs]\npath = 'nixpkgs'\n";
    fs::write(fleet.path("floe.lock"), lock).unwrap();
    let server = fleet.serve();
    let at = ["--server", &server.url, "--credentials", &server.credentials];
    let with = |asked: &[&str]| fleet.floe(&[asked, &at[..]].concat());
    let push = ["push", "www", "--no-rollout", "--no-check", "--output", "json"];
    assert_eq!(with(&push).json()["serial"], 1);

    // The one key stays the root's and signs bundles no more.
    let old = fleet.id("keys/release.pem");
    fleet.floe(&["keys", "new", "keys/second.pem", "--no-passphrase"]).ends(0);
    fleet.floe(&["trust", "add-key", "keys/second.pem", "--role", "release"]).ends(0);
    fleet.floe(&["trust", "remove-key", &old, "--role", "release"]).ends(0);
    fleet.floe(&["trust", "sign"]).ends(0);
    with(&["trust", "publish"]).ends(0);

    with(&push).ends(3);
    with(&["rollout", "start", "www", "1"]).ends(3);
    let file = fs::read_to_string(fleet.path("floe.toml")).unwrap();
    fs::write(fleet.path("floe.toml"), file.replace("release.pem", "second.pem")).unwrap();
    assert_eq!(with(&push).json()["serial"], 2, "the number of what was published before counts");

    // In the next epoch serials begin anew.
    fleet.floe(&["trust", "raise-epoch"]).ends(0);
    fleet.floe(&["trust", "sign", "--key", "keys/release.pem"]).ends(0);
    with(&["trust", "publish"]).ends(0);
    let pushed = with(&push).json();
    assert_eq!((&pushed["epoch"], &pushed["serial"]), (&1.into(), &1.into()));
}

/// A fleet repository without a trust root.
struct Fleet {
    directory: TempDir,
}

/// How a command ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Fleet {
    fn begin() -> Self {
        let fleet = Self { directory: tempfile::tempdir().unwrap() };
        let file = "fleet = 'fossable.org'\nserver = 'https://127.0.0.1:7443'\n";
        fs::write(fleet.path("floe.toml"), file).unwrap();
        fleet
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn floe(&self, arguments: &[&str]) -> Ran {
        run(self.directory.path(), arguments)
    }

    /// The id of the key in a file.
    fn id(&self, name: &str) -> String {
        let shown = self.floe(&["keys", "show", name, "--output", "json"]).json();
        shown["id"].as_str().unwrap().to_owned()
    }

    /// A control plane on free ports, ready when this returns.
    fn serve(&self) -> Served {
        let any = "127.0.0.1:0";
        let mut process = command(self.directory.path())
            .args(["serve", "--listen", any, "--objects-listen", any])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut next = || {
            let line = lines.next().unwrap().unwrap();
            line.split_whitespace().last().unwrap().to_owned()
        };
        let (url, _objects, credentials) = (next(), next(), next());
        Served { process, url, credentials }
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Ran {
    let ran = command(directory).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: ran.status.code().unwrap(), out: text(ran.stdout), err: text(ran.stderr) }
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("FLOE_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// A control plane that is gone when this is dropped.
struct Served {
    process: Child,
    url: String,
    credentials: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Ran {
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ends(0).out).unwrap()
    }
}
