//! Who comes with the workflow that floe replaces is running, and safer than before.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use floe_tests::script;
use floe_tests::world::World;
use tokio::process::Command;

use crate::WWW;

/// What the seed's vault holds for root.
const PASSWORD: &str = "correct horse battery staple";

/// The file of root's password on a host.
const PLACED: &str = "/run/floe/secrets/root-password";

fn seed() -> PathBuf {
    script::repository_root().join("tests/fixtures/seed")
}

/// The fleet of `world` as `floe import` makes it of the seed's repository. What only its owner
/// knows is filled in: where nixpkgs and the agent are, and what these hosts run on.
async fn imported(world: &World) -> PathBuf {
    let (ours, theirs) = (world.path().join("imported"), world.repository.path());
    fs::create_dir(&ours).unwrap();
    let known = ["floe.toml", "floe.lock", "trust.json", "keys", "pins", ".gitignore"];
    let known = known.map(|name| theirs.join(name));
    script::run(Command::new("cp").arg("--recursive").args(known).arg(&ours)).await;
    let (from, to) = (seed().join("fossable.org"), ours.to_str().unwrap());
    let password = seed().join("vault-password");
    let import = ["import", from.to_str().unwrap(), "--dir", to, "--vault-password-file"];
    let import = [&import[..], &[password.to_str().unwrap()]].concat();
    world.operator().floe(&import).await.succeeded();

    let role = ours.join("hosts").join(WWW);
    for name in ["floe.nix", "site.nix", "app.nix", "app.py"] {
        fs::copy(world.repository.file(WWW, name), role.join(name)).unwrap();
    }
    let host_toml = fs::read_to_string(role.join("host.toml")).unwrap();
    let here = format!("system = \"{}-linux\"", std::env::consts::ARCH);
    assert!(host_toml.contains("system = \"aarch64-linux\""), "{host_toml}");
    let host_toml = host_toml.replace("system = \"aarch64-linux\"", &here);
    fs::write(role.join("host.toml"), host_toml).unwrap();
    ours
}

#[tokio::test]
async fn the_seeds_repository_is_imported_and_pushed_and_its_secrets_lie_nowhere() {
    let world = World::of(&[(WWW, 1)]).await;
    let [host] = world.hosts.as_slice() else { panic!("one host") };
    let repository = imported(&world).await;
    let operator = world.operator().in_repository(repository.clone());
    operator.floe(&["check", WWW]).await.succeeded();

    let password = seed().join("vault-password");
    let push = ["push", WWW, "--watch", "--accept-new-keys", "--vault-password-file"];
    let push = [&push[..], &[password.to_str().unwrap()]].concat();
    operator.floe(&push).await.succeeded();

    // It is there, it is root's password, and it stays what it is.
    let digest = host.shell(&format!("cat {PLACED}")).await;
    assert!(digest.starts_with("$6$"), "{digest}");
    let shadow = "grep '^root:' /etc/shadow | cut -d : -f 2";
    assert_eq!(host.shell(shadow).await, digest);
    let fits = format!(
        "python3 -W ignore -c \"import crypt; h = open('{PLACED}').read(); \
         assert crypt.crypt('{PASSWORD}', h) == h\""
    );
    assert!(host.holds(&fits).await, "{digest}");
    operator.floe(&push).await.succeeded();
    assert_eq!(host.shell(&format!("cat {PLACED}")).await, digest);

    // Neither it nor the password lies anywhere else: not in a bundle or the object store, not in
    // the database, no Nix store, no log, nor in what is on the host's disk.
    for secret in [PASSWORD, &digest] {
        let found = holding(world.path(), secret).await;
        // Where NixOS itself keeps what fits root's password.
        let is_shadow = |path: &PathBuf| path.to_string_lossy().contains("/etc/shadow");
        let found: Vec<_> = found.into_iter().filter(|path| !is_shadow(path)).collect();
        assert_eq!(found, Vec::<PathBuf>::new(), "{secret}");
        let logs = format!("journalctl --all --output cat | grep -F '{secret}'");
        assert!(!host.holds(&logs).await, "{secret}");
    }

    // A push with it where everybody could read it is refused, and says where.
    let configuration = repository.join("hosts").join(WWW).join("configuration.nix");
    let text = fs::read_to_string(&configuration).unwrap();
    for secret in [PASSWORD, &digest] {
        fs::write(&configuration, text.replace("en_US.UTF-8", secret)).unwrap();
        operator.floe(&push).await.ended_with(3).said("configuration.nix").does_not_say(secret);
    }
}

/// The files below `directory` that hold `secret`, also where they are compressed.
async fn holding(directory: &Path, secret: &str) -> Vec<PathBuf> {
    let mut grep = Command::new("grep");
    grep.args(["--recursive", "--files-with-matches", "--text", "--fixed-strings", "--"]);
    let found = script::outcome(grep.arg(secret).arg(directory)).await;
    let found = String::from_utf8(found.stdout).unwrap();
    let mut found: Vec<_> = found.lines().map(PathBuf::from).collect();
    let mut packed = Vec::new();
    files(directory, &mut packed);
    let is_zstd = |path: &PathBuf| {
        let mut head = [0; 4];
        let open = File::open(path).and_then(|mut file| file.read_exact(&mut head));
        // RFC 8878, section 3.1.1.
        open.is_ok() && head == [0x28, 0xb5, 0x2f, 0xfd]
    };
    packed.retain(is_zstd);
    assert!(!packed.is_empty(), "bundles are compressed");
    for path in packed {
        let unpacked = zstd::decode_all(File::open(&path).unwrap()).unwrap();
        if unpacked.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            found.push(path);
        }
    }
    found
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}
