use floe_proto::digest::Digest;
use floe_proto::payload::limits::Limits;
use floe_proto::payload::unpack::unpack;

use super::*;
use crate::bundle::build;
use crate::repository::Repository;
use crate::template::SaltFile;
use crate::vault::{Password, seal};

const HOST: &str = "system = 'x86_64-linux'\n[files.'configuration.nix']\ntemplate = true\n";

fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let password = Password::new(b"hunter2").unwrap();
    let vault = seal(b"root: correct horse\npin: 1234\n", &password, None).unwrap();
    for (name, text) in [
        ("floe.toml", "fleet = 'a.b'\nserver = 'https://x'"),
        ("floe.lock", "schema = 1\n[pins.nixpkgs]\npath = 'vendor'\n"),
        ("vendor/default.nix", "{ }"),
        ("group_vars/all/vault", &vault),
        ("hosts/www/host.toml", HOST),
        ("hosts/www/configuration.nix", "{ p = \"{{ root | password_hash(rounds=1000) }}\"; }\n"),
        ("hosts/www/other.nix", "{ }"),
    ] {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn source(root: &Path) -> Source {
    Source::read(&Repository::open(root).unwrap(), &"www".parse().unwrap()).unwrap()
}

fn variables(root: &Path) -> Variables {
    Variables::read(root, "www", Some(&Password::new(b"hunter2").unwrap())).unwrap()
}

fn rendered(root: &Path) -> Result<Rendered, Error> {
    let mut salts = SaltFile::read(root).unwrap();
    let rendered = Rendered::of(&source(root), &variables(root), &mut salts);
    salts.save(root).unwrap();
    rendered
}

fn refuse(root: &Path) -> Result<(), Error> {
    let variables = variables(root);
    let secrets = variables.secrets().iter();
    let scan = Scan::new(secrets.map(|it| (it.name.as_str(), it.value.as_bytes()))).unwrap();
    assert_eq!(scan.too_short(), ["pin"]);
    refuse_leaks(&source(root), &scan)
}

#[test]
fn the_rendered_text_is_packed_the_same_each_time() {
    let directory = repository();
    let root = directory.path();
    let pack = || {
        let mut bytes = Vec::new();
        build::build(&source(root), &rendered(root).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let (one, other) = (pack(), pack());
    assert_eq!(Digest::of(&one), Digest::of(&other));
    let target = root.join("unpacked");
    unpack(one.as_slice(), &target, &Limits::default()).unwrap();
    let text = fs::read_to_string(target.join("role/configuration.nix")).unwrap();
    assert!(text.starts_with("{ p = \"$6$rounds=1000$"), "{text}");
    assert!(target.join("role/other.nix").exists());
}

#[test]
fn a_secret_in_a_file_that_is_not_marked_is_refused_and_not_told() {
    let directory = repository();
    let root = directory.path();
    refuse(root).unwrap();
    fs::write(root.join("hosts/www/configuration.nix"), "# correct horse, which is marked")
        .unwrap();
    refuse(root).unwrap();
    for place in ["hosts/www/other.nix", "vendor/default.nix"] {
        fs::write(root.join(place), "{\n  p = \"Y29ycmVjdCBob3JzZQ==\"; }").unwrap();
        let error = refuse(root).unwrap_err();
        let sentence = error.to_string();
        assert!(error.is_refusal());
        assert!(
            sentence.contains(&format!("{place}` line 2 holds `root` in base64")),
            "{sentence}"
        );
        assert!(!sentence.contains("correct horse"), "{sentence}");
        fs::write(root.join(place), "{ }").unwrap();
    }
    fs::write(root.join("hosts/www/correct horse"), "").unwrap();
    refuse(root).unwrap_err();
}

#[test]
fn a_template_that_is_none_is_named() {
    let directory = repository();
    let root = directory.path();
    let path = root.join("hosts/www/configuration.nix");
    fs::write(&path, "\n{{ rot }}").unwrap();
    let error = rendered(root).unwrap_err();
    assert_eq!(error.to_string(), "`www/configuration.nix` line 2: `rot` is not defined");
    assert!(error.advice().contains("`root`"), "{}", error.advice());
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(matches!(rendered(root), Err(Error::Executable { .. })));
    let host = HOST.replace("'configuration.nix'", "'missing.nix'");
    fs::write(root.join("hosts/www/host.toml"), host).unwrap();
    assert!(matches!(rendered(root), Err(Error::Unreadable { .. })));
}
