//! The ways in which people break a repository, and what they are told of each: one snapshot,
//! to be read as a table.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use floe_proto::envelope::Envelope;
use floe_proto::key::SecretKey;
use floe_proto::root::{self, Root, Signers};
use floe_proto::time::Timestamp;

use super::*;
use crate::bundle::selection::Selection;
use crate::bundle::syntax;
use crate::cli::view::check::SeverityView;
use crate::cli::view::{Page, View as _};

const NOW: &str = "2026-11-28T08:00:00Z";
const EXPIRES: &str = "2027-11-28T08:00:00Z";

const FLOE: &str = "fleet = \"fossable.org\"\nserver = \"https://127.0.0.1:7443\"\n";
const LOCK: &str = "schema = 1\n\n[pins.nixpkgs]\npath = \"vendor/nixpkgs\"\n";
const HOST: &str = "system = \"x86_64-linux\"\n\n[health]\nsoak = \"10s\"\n\n\
                    [[health.checks]]\nunit = \"nginx.service\"\n";
const NIX: &str = "{ pkgs, ... }:\n{\n  services.nginx.enable = true;\n}\n";
const HOST_PATH: &str = "hosts/www/host.toml";
const NIX_PATH: &str = "hosts/www/configuration.nix";

#[path = "check_sealed_tests.rs"]
mod sealed;

/// A repository in which nothing is wrong.
struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn sound() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        sandbox.write("floe.toml", FLOE);
        sandbox.write("floe.lock", LOCK);
        sandbox.write("vendor/nixpkgs/default.nix", "{ }");
        sandbox.write(HOST_PATH, HOST);
        sandbox.write(NIX_PATH, NIX);
        sandbox.write(".gitignore", "/keys/*.pem\n/.floe/\n");
        sandbox.write("keys/release.pem", key().to_pem().unwrap().as_str());
        sandbox.mode("keys/release.pem", 0o600);
        sandbox.trust(EXPIRES);
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces `old`, which must be there.
    fn edit(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(old), "{text}");
        self.write(name, text.replacen(old, new, 1));
    }

    fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        self.write(name, before + text);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        #[expect(clippy::disallowed_methods, reason = "a test's own program")]
        let mut git = Command::new("git");
        git.current_dir(self.0.path()).args(["-c", "init.defaultBranch=main"]).args(arguments);
        assert!(git.output().unwrap().status.success());
    }

    fn trust(&self, expires: &str) {
        let signers = Signers { threshold: 1, keys: vec![key().public().id()] };
        let root = Root {
            schema: root::SCHEMA,
            fleet: "fossable.org".parse().unwrap(),
            version: 1,
            epoch: Default::default(),
            expires: expires.parse().unwrap(),
            keys: vec![key().public()],
            root: signers.clone(),
            release: signers,
        };
        let envelope = Envelope::sign(root::TYPE, &root.to_bytes().unwrap(), &[&key()]).unwrap();
        self.write("trust.json", envelope);
    }

    async fn check(&self) -> CheckView {
        let now: Timestamp = NOW.parse().unwrap();
        CheckView::new(check::look(self.0.path(), &[], now).await.unwrap(), false)
    }
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

/// What is wrong, and how it came to be.
type Case = (&'static str, fn(&Sandbox));

const CASES: &[Case] = &[
    ("nothing is wrong", |_| {}),
    ("a field is mistyped", |it| it.edit(HOST_PATH, "soak", "soack")),
    ("a table is mistyped", |it| {
        it.edit(HOST_PATH, "[health]\nsoak = \"10s\"", "[helth]\nsoak = 1")
    }),
    ("a number has no unit", |it| it.edit(HOST_PATH, "\"10s\"", "10")),
    ("a number in quotes has no unit", |it| it.edit(HOST_PATH, "\"10s\"", "\"10\"")),
    ("the unit of time is unknown", |it| it.edit(HOST_PATH, "\"10s\"", "\"10 sex\"")),
    ("the soak time is longer than the probation", |it| it.edit(HOST_PATH, "\"10s\"", "\"5m\"")),
    ("the system is Docker's", |it| it.edit(HOST_PATH, "x86_64-linux", "x86_linux")),
    ("a quote is missing", |it| it.edit(HOST_PATH, "x86_64-linux\"", "x86_64-linux")),
    ("a key is there twice", |it| {
        it.edit(HOST_PATH, "soak = \"10s\"", "soak = \"10s\"\nsoak = \"5s\"")
    }),
    ("YAML in TOML", |it| it.edit(HOST_PATH, "soak = \"10s\"", "soak: 10s")),
    ("a unit without its ending", |it| it.edit(HOST_PATH, "nginx.service", "nginx")),
    ("a check that is two", |it| it.append(HOST_PATH, "tcp = \"127.0.0.1:80\"\n")),
    ("several mistakes in one file", |it| {
        it.write(
            HOST_PATH,
            "sytem = \"x86_64-linux\"\n\n[health]\nsoak = 10\n\n[[health.checks]]\nhttp = 80\n\n\
             [activation]\nreboots = \"never\"\n",
        );
    }),
    ("Windows' line ends and a mistake behind tabs", |it| {
        it.write(
            HOST_PATH,
            "system = \"x86_64-linux\"\r\n\r\n[activation]\r\n\treboot = \"if_needed\"\r\n",
        );
    }),
    ("a byte order mark is no mistake", |it| it.write(HOST_PATH, format!("\u{feff}{HOST}"))),
    ("it is not UTF-8", |it| it.write(HOST_PATH, b"system = \"x86_64-linux\" # caf\xe9\n")),
    ("host.toml is missing", |it| it.remove(HOST_PATH)),
    ("configuration.nix is missing", |it| it.remove(NIX_PATH)),
    ("the entry leads out of the role", |it| {
        it.edit(HOST_PATH, "\n\n", "\nentry = \"../x.nix\"\n\n")
    }),
    ("a file of [files] was renamed", |it| {
        it.append(HOST_PATH, "\n[files.\"nginx/site.conf\"]\ntemplate = true\n");
    }),
    ("an age file was not committed", |it| {
        it.append(HOST_PATH, "\n[secrets.tls-key]\nage = \"secrets/tls.key.age\"\n");
    }),
    ("an age file was never encrypted", |it| {
        it.write("secrets/tls.key.age", "hunter2\n");
        it.append(HOST_PATH, "\n[secrets.tls-key]\nage = \"secrets/tls.key.age\"\n");
    }),
    ("everybody may read a secret", |it| {
        it.append(HOST_PATH, "\n[secrets.tls-key]\nvalue = \"{{ tls }}\"\nmode = \"0644\"\n");
    }),
    ("an option of Ansible's copy", |it| {
        it.append(HOST_PATH, "\n[secrets.tls-key]\nsrc = \"tls.key\"\ndest = \"/etc/tls.key\"\n");
    }),
    ("a rollout wants more than there is", |it| {
        it.append(HOST_PATH, "\n[rollout]\nwaves = \"1,10%,100%\"\n");
    }),
    ("a filter of Packer's with a slip, and nobody's images", |it| {
        it.append(
            HOST_PATH,
            "\n[image]\nami_name = \"www\"\ninstance_type = \"t4g.large\"\nregion = \"us-east-2\"\n\n\
             [image.source_ami_filter]\nowners = []\nmost_recent = true\n\n\
             [image.source_ami_filter.filters]\nroot_device_type = \"ebs\"\n",
        );
    }),
    ("the template of a stack is not there", |it| {
        it.append(HOST_PATH, "\n[stack]\nname = \"www\"\nregion = \"us-east-2\"\n");
        it.append(HOST_PATH, "template = \"cloudformation.yaml\"\n");
    }),
    ("a stack with a domain's name", |it| {
        it.append(HOST_PATH, "\n[stack]\nname = \"www.fossable.org\"\nregion = \"us-east-2\"\n");
    }),
    ("an image and a stack that are right", |it| {
        it.write("hosts/www/cloudformation.yml", "Resources: {}\n");
        it.append(
            HOST_PATH,
            "\n[image]\nami_name = \"www\"\ninstance_type = \"t4g.large\"\nregion = \"us-east-2\"\n\
             source_ami = \"ami-0123456789abcdef0\"\n\n\
             [stack]\nname = \"www-fossable-org\"\nregion = \"us-east-2\"\n",
        );
    }),
    ("a directory has capital letters, another a space", |it| {
        it.write("hosts/WWW/host.toml", HOST);
        it.write("hosts/my server/host.toml", HOST);
    }),
    ("a file lies where roles are", |it| it.write("hosts/www.nix", "{ }")),
    ("a role is a link that leads nowhere inside", |it| {
        std::os::unix::fs::symlink("/etc/passwd", it.path("hosts/www/passwd")).unwrap();
    }),
    ("a private key in the role's directory", |it| {
        it.write(
            "hosts/www/tls.key",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n",
        );
    }),
    ("the release key lies in the role's directory", |it| {
        it.write("hosts/www/release.pem", key().to_pem().unwrap().as_str());
        it.mode("hosts/www/release.pem", 0o600);
        it.append("floe.toml", "[signing]\nkey = \"hosts/www/release.pem\"\n");
    }),
    ("others can read the release key", |it| it.mode("keys/release.pem", 0o644)),
    ("the release key is not here", |it| it.remove("keys/release.pem")),
    ("another key than the trust root's", |it| {
        it.write("keys/release.pem", SecretKey::from_seed(&[9; 32]).to_pem().unwrap().as_str());
        it.mode("keys/release.pem", 0o600);
    }),
    ("git would take the key", |it| {
        it.git(&["init"]);
        it.write(".gitignore", "result\n");
    }),
    ("git has the key", |it| {
        it.git(&["init"]);
        it.git(&["add", "--force", "keys/release.pem"]);
    }),
    ("the pin is not there", |it| fs::remove_dir_all(it.path("vendor")).unwrap()),
    ("nixpkgs is not pinned", |it| it.edit("floe.lock", "nixpkgs]", "nixpkg]")),
    ("a pin with half of what it needs", |it| {
        it.edit("floe.lock", "path = \"vendor/nixpkgs\"", "url = \"https://example.org/n.tar.gz\"");
    }),
    ("the hash of a pin was cut off", |it| {
        let new = "url = \"https://example.org/n.tar.gz\"\nsha256 = \"0zydsqiaz8qi4zd63\"";
        it.edit("floe.lock", "path = \"vendor/nixpkgs\"", new);
    }),
    ("a directory in the place of the lock file", |it| {
        it.remove("floe.lock");
        fs::create_dir(it.path("floe.lock")).unwrap();
    }),
    ("the control plane is spoken to in the clear", |it| it.edit("floe.toml", "https", "http")),
    ("floe.toml and two other files are wrong", |it| {
        it.edit("floe.toml", "server", "sever");
        it.edit("floe.lock", "path", "patch");
        it.edit(HOST_PATH, "unit", "unti");
    }),
    ("the trust root was edited by hand", |it| it.edit("trust.json", "\"sig\"", "\"sgi\"")),
    ("the trust root is another fleet's", |it| it.edit("floe.toml", "fossable.org", "example.org")),
    ("the trust root is not there", |it| it.remove("trust.json")),
    ("the trust root expires soon", |it| it.trust("2026-12-10T08:00:00Z")),
    ("the trust root has expired", |it| it.trust("2026-11-27T08:00:00Z")),
    ("there are no roles", |it| fs::remove_dir_all(it.path("hosts")).unwrap()),
];

/// What Nix says of what it cannot read; the words are its own.
const CASES_OF_NIX: &[Case] = &[
    ("two files of Nix cannot be read", |it| {
        it.edit(NIX_PATH, "= true;", "= true");
        it.write("hosts/www/more.nix", "{ lib, ... }:\n{\n  a = lib.mkForce (\n}\n");
        it.write("hosts/www/fine.nix", "{ }");
    }),
    ("a name is defined twice, another not at all", |it| {
        it.write(NIX_PATH, "{ ... }:\n{\n  a = 1;\n  a = 2;\n}\n");
        it.write("hosts/www/more.nix", "{ ... }:\n{\n  b = pkgs.hello;\n}\n");
    }),
];

/// The text of `check`, and nothing of where it was tried, nor of whether Nix is there.
async fn said(sandbox: &Sandbox) -> String {
    let mut view = sandbox.check().await;
    view.findings
        .retain(|finding| finding.file != "hosts" || finding.severity != SeverityView::Note);
    view.text(Page::endless(NOW.parse().unwrap()))
}

async fn table(cases: &[Case]) -> String {
    let mut table = String::new();
    for (name, break_it) in cases {
        let sandbox = Sandbox::sound();
        break_it(&sandbox);
        let rule = "=".repeat(name.len());
        table += &format!("{name}\n{rule}\n\n{}\n\n", said(&sandbox).await);
    }
    table
}

#[tokio::test]
async fn each_way_to_break_a_repository_is_answered() {
    insta::assert_snapshot!(table(CASES).await);
    insta::assert_snapshot!(table(sealed::CASES).await);
}

#[tokio::test]
async fn every_file_that_nix_cannot_read_is_named() {
    let sound = Sandbox::sound();
    if syntax::faults(&sound.path("hosts/www"), &Selection::Role).await.is_none() {
        return; // Nix is not here; what is said then is looked at below
    }
    insta::assert_snapshot!(table(CASES_OF_NIX).await);
}

#[tokio::test]
async fn whoever_has_no_nix_is_told_so() {
    let looked = check::look(Sandbox::sound().0.path(), &[], NOW.parse().unwrap()).await.unwrap();
    let told = looked.findings.iter().any(|finding| finding.message.contains("Nix is not here"));
    let sound = Sandbox::sound();
    let has_nix = syntax::faults(&sound.path("hosts/www"), &Selection::Role).await.is_some();
    assert_eq!(told, !has_nix);
}

#[tokio::test]
async fn only_what_is_right_passes() {
    for (name, break_it) in CASES.iter().chain(sealed::CASES).chain(CASES_OF_NIX) {
        let sandbox = Sandbox::sound();
        break_it(&sandbox);
        let view = sandbox.check().await;
        assert_eq!(view.passed, view.errors == 0, "{name}");
    }
}

#[tokio::test]
async fn warnings_are_in_the_way_where_that_is_asked_for() {
    let sandbox = Sandbox::sound();
    sandbox.remove("keys/release.pem");
    let looked = check::look(sandbox.0.path(), &[], NOW.parse().unwrap()).await.unwrap();
    assert!(CheckView::new(looked.clone(), false).passed);
    assert!(!CheckView::new(looked, true).passed);
}

#[tokio::test]
async fn only_the_roles_that_are_named_are_looked_at() {
    let sandbox = Sandbox::sound();
    sandbox.write("hosts/mail/host.toml", "system = 1");
    let look = async |role: &str| {
        let roles = [role.parse().unwrap()];
        check::look(sandbox.0.path(), &roles, NOW.parse().unwrap()).await
    };
    assert_eq!(look("www").await.unwrap().findings, []);
    assert!(!look("mail").await.unwrap().findings.is_empty());
    assert!(look("web").await.unwrap_err().advice().contains("mail, www"));
}

#[tokio::test]
async fn the_json_of_findings() {
    let sandbox = Sandbox::sound();
    sandbox.edit(HOST_PATH, "soak", "soack");
    sandbox.trust("2026-12-10T08:00:00Z");
    let view = sandbox.check().await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
}

#[path = "check_flake_tests.rs"]
mod flakes;
