//! The ways in which people break a flake, and what they are told of each.

use super::*;

const FLAKE: &str = "{\n  outputs = { self, lib, nixpkgs, site, tools, ... }: { };\n}\n";
const FLAKE_LOCK: &str = r#"{
  "nodes": {
    "lib": {
      "locked": {"type": "path", "path": "./lib"},
      "original": {"type": "path", "path": "./lib"},
      "parent": []
    },
    "nixpkgs": {
      "locked": {"type": "github", "narHash": "sha256-7u/RihPpWbE905S1sCBgeQC0STl5qeAeQnkf9MxdkB4="},
      "original": {"type": "indirect", "id": "nixpkgs"}
    },
    "root": {
      "inputs": {"lib": "lib", "nixpkgs": "nixpkgs", "site": "site", "tools": "tools"}
    },
    "site": {
      "inputs": {"nixpkgs": ["nixpkgs"]},
      "locked": {"type": "git", "url": "https://example.org/x.git", "narHash": "sha256-7u/RihPpWbE905S1sCBgeQC0STl5qeAeQnkf9MxdkB4="},
      "original": {"type": "git", "url": "https://example.org/x.git"}
    },
    "tools": {
      "locked": {"type": "tarball", "url": "https://example.org/t.tar.gz", "narHash": "sha256-7u/RihPpWbE905S1sCBgeQC0STl5qeAeQnkf9MxdkB4="},
      "original": {"type": "tarball", "url": "https://example.org/t.tar.gz"}
    }
  },
  "root": "root",
  "version": 7
}
"#;

/// Moves the role's code into a flake.
fn flake(it: &Sandbox) {
    it.edit(HOST_PATH, "\n\n", "\nflake = \"nix#web\"\n\n");
    it.write("nix/flake.nix", FLAKE);
    it.write("nix/flake.lock", FLAKE_LOCK);
    it.write("nix/web.nix", NIX);
    it.write("nix/lib/flake.nix", "{ outputs = { self }: { }; }");
    it.remove(NIX_PATH);
}

const CASES: &[Case] = &[
    ("the code of a role is in a flake", flake),
    ("a flake and an entry", |it| {
        flake(it);
        it.edit(HOST_PATH, "\n\n", "\nentry = \"configuration.nix\"\n\n");
    }),
    ("a flake of somebody else", |it| {
        flake(it);
        it.edit(HOST_PATH, "nix#web", "github:fossable/www#nixosConfigurations.web");
    }),
    ("a flake that is not there", |it| {
        flake(it);
        it.edit(HOST_PATH, "nix#web", "nix/web");
    }),
    ("a flake was never locked", |it| {
        flake(it);
        it.remove("nix/flake.lock");
    }),
    ("inputs of a flake that no host could have", |it| {
        flake(it);
        for (old, new) in [
            (
                "\"github\", \"narHash\": \"sha256-7u/RihPpWbE905S1sCBgeQC0STl5qeAeQnkf9MxdkB4=\"",
                "\"github\"",
            ),
            ("\"url\": \"https://example.org/x.git\"", "\"url\": \"file:///home/ada/x\""),
            ("\"path\": \"./lib\"", "\"path\": \"../lib\""),
            ("\"type\": \"tarball\"", "\"type\": \"indirect\", \"id\": \"tools\""),
        ] {
            it.edit("nix/flake.lock", old, new);
        }
    }),
    ("a path in a flake was locked by an older Nix", |it| {
        flake(it);
        it.edit("nix/flake.lock", "\"parent\": []", "\"flake\": true");
    }),
    ("an input of a flake is not locked", |it| {
        flake(it);
        it.edit(
            "nix/flake.lock",
            "\"locked\": {\"type\": \"github\"",
            "\"lock\": {\"type\": \"github\"",
        );
    }),
    ("the lock of a flake is of a Nix to come", |it| {
        flake(it);
        it.edit("nix/flake.lock", "\"version\": 7", "\"version\": 8");
    }),
    ("the lock of a flake was merged badly", |it| {
        flake(it);
        it.edit("nix/flake.lock", "  \"root\"", "<<<<<<< ours\n  \"root\"");
    }),
    ("git was not told of a flake's files", |it| {
        flake(it);
        it.git(&["init"]);
        it.git(&["add", ".", ":!nix/flake.lock", ":!nix/web.nix"]);
        it.write("nix/result", "ignored");
        it.write(".gitignore", "/keys/*.pem\n/.floe/\nresult\n");
    }),
    ("a fleet of flakes needs no floe.lock", |it| {
        flake(it);
        it.remove("floe.lock");
    }),
    ("nor that it is right", |it| {
        flake(it);
        it.write("floe.lock", "schema = 1\n[pins]\n");
    }),
    ("a template of a flake was renamed", |it| {
        flake(it);
        it.append(HOST_PATH, "\n[files.\"site.conf\"]\ntemplate = true\n");
    }),
];

/// What Nix says of flake.nix is held against the lock file.
const CASES_OF_NIX: &[Case] = &[("the lock of a flake is of other inputs", |it| {
    flake(it);
    it.edit("nix/flake.nix", "tools, ", "nixos-hardware, ");
})];

#[tokio::test]
async fn each_way_to_break_a_flake_is_answered() {
    insta::assert_snapshot!(table(CASES).await);
}

#[tokio::test]
async fn t059_a_lock_file_of_other_inputs_is_no_lock_file() {
    if syntax::faults(&Sandbox::sound().path("hosts/www"), &Selection::Role).await.is_none() {
        return; // Nix is not here; hosts find it then
    }
    insta::assert_snapshot!(table(CASES_OF_NIX).await);
}
