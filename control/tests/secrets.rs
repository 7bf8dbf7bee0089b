//! `floe secrets edit`, `set` and `rotate`, typed at the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs the real binary"
)]

mod fleet;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use fleet::{Fleet, Ran};
use floe::vault::{self, Password};

const VAULT: &str = "group_vars/all/vault";
const TEXT: &str = "# of the fleet\nhosts:\n  www: {root: 'hunter2', pin: 1234} # why\nother: x\n\
                    alias: \"{{ hosts.www.root }}\"\nkey: |\n  one\n  two\n";

/// A fleet whose vault is sealed, and a role whose secrets are made of it.
struct World {
    fleet: Fleet,
    password: Password,
}

impl World {
    fn begin() -> Self {
        let world = Self { fleet: Fleet::begin(), password: Password::new(b"correct").unwrap() };
        world.write(".password", "correct\n");
        fs::create_dir_all(world.fleet.path("group_vars/all")).unwrap();
        world.write(VAULT, &vault::seal(TEXT.as_bytes(), &world.password, Some("prod")).unwrap());
        fs::set_permissions(world.fleet.path(VAULT), Permissions::from_mode(0o640)).unwrap();
        let host = fs::read_to_string(world.fleet.path("hosts/www/host.toml")).unwrap();
        let secrets = "\n[secrets.root]\nvalue = \"{{ alias | password_hash(rounds=1000) }}\"\n\
                       restart = [\"web.service\"]\n\n[secrets.pin]\nvalue = \"{{ hosts.www.pin }}\"\n\n\
                       [secrets.both]\nvalue = \"{{ other ~ hosts.www.root }}\"\n\n\
                       [secrets.\"tls.key\"]\nage = \"secrets/tls.key.age\"\n\n\
                       [secrets.key]\nvalue = \"{{ key }}\"\n";
        world.write("hosts/www/host.toml", &format!("{host}{secrets}"));
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.fleet.path(name), text).unwrap();
    }

    /// What the vault says.
    fn vault(&self) -> String {
        let sealed = fs::read(self.fleet.path(VAULT)).unwrap();
        assert_eq!(vault::label(&sealed).unwrap().as_deref(), Some("prod"));
        let mode = self.fleet.path(VAULT).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        String::from_utf8(vault::open(&sealed, &self.password).unwrap().to_vec()).unwrap()
    }

    fn floe(&self, arguments: &[&str]) -> Ran {
        self.floe_with(&[], arguments)
    }

    fn floe_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let password = self.fleet.path(".password").display().to_string();
        let variables: Vec<_> =
            variables.iter().copied().chain([("FLOE_VAULT_PASSWORD_FILE", &*password)]).collect();
        self.fleet.floe_with(&variables, &[&["secrets"], arguments].concat())
    }

    /// Edits with a shell's command, which is given the file as `$1`.
    fn edit(&self, script: &str, arguments: &[&str]) -> Ran {
        let editor = format!("sh -euc '{script}' editor");
        self.floe_with(&[("VISUAL", &editor)], &[&["edit"], arguments].concat())
    }
}

#[test]
fn one_value_changes_and_the_rest_of_the_vault_stays() {
    let world = World::begin();
    world.write("new", "it''s new\n");
    let path = world.fleet.path("new").display().to_string();
    let set = world.floe(&["set", "www", "root", "--from", &path]).ends(0);
    assert!(set.out.contains("`hosts.www.root` in group_vars/all/vault"), "{}", set.out);
    assert!(set.out.contains("root of www: restarts web.service"), "{}", set.out);
    assert!(set.out.contains("both of www"), "{}", set.out);
    assert_eq!(world.vault(), TEXT.replace("'hunter2'", "'it''''s new'"));
}

#[test]
fn a_dry_run_says_where_and_writes_nothing() {
    let world = World::begin();
    let before = fs::read(world.fleet.path(VAULT)).unwrap();
    for change in ["set", "rotate"] {
        let json = ["--dry-run", "--output", "json"];
        let said = world.floe(&[&[change, "www", "root"], &json[..]].concat()).json();
        assert_eq!(said["file"], VAULT);
        assert_eq!(said["variable"], "hosts.www.root");
        assert_eq!(said["used_by"][0]["secret"], "both");
        assert_eq!(said["sealed"], serde_json::Value::Null);
    }
    assert_eq!(fs::read(world.fleet.path(VAULT)).unwrap(), before);
}

#[test]
fn chance_gives_another_value_and_a_new_salt() {
    let world = World::begin();
    let salts = "['www/[secrets.root]#alias | password_hash(rounds=1000)']\nsha512_crypt = 'old'\n\
                 ['www/x.nix#a']\nsha512_crypt = 'other'\n";
    world.write("salts.toml", salts);
    let said = world.floe(&["rotate", "www", "root", "--output", "json"]).json();
    assert_eq!((&said["change"], &said["new_salt"]), (&"rotated".into(), &true.into()));
    let text = world.vault();
    let (before, rest) = text.split_once("root: '").unwrap();
    let (value, after) = rest.split_once('\'').unwrap();
    assert_eq!(value.len(), 32);
    assert_eq!(format!("{before}root: 'hunter2'{after}"), TEXT);
    assert!(!said.to_string().contains(value), "nobody is told");
    let salts = fs::read_to_string(world.fleet.path("salts.toml")).unwrap();
    assert!(!salts.contains("old") && salts.contains("other"), "{salts}");

    world.floe(&["rotate", "www", "pin", "--length", "12"]).ends(0);
    assert!(!world.vault().contains("1234"));
}

#[test]
fn what_is_not_sure_is_refused_with_a_way_out() {
    let world = World::begin();
    world.write("new", "x");
    let new = world.fleet.path("new").display().to_string();
    for (arguments, says) in [
        (
            &["set", "www", "both", "--from", &new][..],
            "several variables: `hosts.www.root`, `other`",
        ),
        (&["set", "www", "rot", "--from", &new], "did you mean `root`?"),
        (&["rotate", "www", "key"], "not one line of text"),
        (&["set", "www", "root"], "nobody is here to type the value"),
        (&["set", "www", "root", "--from", "/dev/null"], "the value is empty"),
        (&["set", "www", "tls.key", "--from", &new], "age_recipients"),
    ] {
        let ran = world.floe(arguments).ends(1);
        assert!(ran.err.contains(says), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("try: "), "{}", ran.err);
    }
    assert_eq!(world.vault(), TEXT);
}

#[test]
fn a_value_that_is_sealed_by_itself_is_sealed_again() {
    let world = World::begin();
    let sealed = vault::seal(b"old", &world.password, Some("dev")).unwrap();
    let indented: String = sealed.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("# open\na: 1\nother: !vault |\n{indented}b: 2\n");
    world.write("group_vars/all/zz.yml", &text);
    world.write(
        "hosts/www/host.toml",
        "system = 'x86_64-linux'\n[secrets.o]\nvalue = '{{ other }}'\n",
    );
    world.floe(&["rotate", "www", "o"]).ends(0);
    let text = fs::read_to_string(world.fleet.path("group_vars/all/zz.yml")).unwrap();
    let value = text.strip_prefix("# open\na: 1\nother: !vault |\n").unwrap();
    let value = value.strip_suffix("b: 2\n").unwrap().replace("    ", "");
    assert_eq!(vault::label(value.as_bytes()).unwrap().as_deref(), Some("dev"));
    assert_eq!(vault::open(value.as_bytes(), &world.password).unwrap().len(), 32);

    world.write("group_vars/all/zz.yml", "other: clear\n");
    let ran = world.floe(&["rotate", "www", "o"]).ends(1);
    assert!(
        ran.err.contains("`other` stands in the clear in `group_vars/all/zz.yml`"),
        "{}",
        ran.err
    );
}

#[test]
fn an_editor_changes_the_vault_and_nothing_in_the_clear_is_left() {
    let world = World::begin();
    let said = world.fleet.path("said");
    let script = format!(
        "stat -c %a \"$1\" > {0}; echo \"$1\" >> {0}; sed -i s/hunter2/hunter3/ \"$1\"; cp \"$1\" \"$1~\"",
        said.display()
    );
    let ran = world.edit(&script, &[]).ends(0);
    assert!(ran.out.starts_with("sealed group_vars/all/vault"), "{}", ran.out);
    assert_eq!(world.vault(), TEXT.replace("hunter2", "hunter3"));
    let said = fs::read_to_string(said).unwrap();
    let (mode, path) = said.trim().split_once('\n').unwrap();
    assert_eq!(mode, "600");
    assert!(path.ends_with("/vault.yml"), "{path}");
    assert!(!fs::exists(Path::new(path).parent().unwrap()).unwrap());

    let before = fs::read(world.fleet.path(VAULT)).unwrap();
    assert_eq!(world.edit("true", &["--output", "json"]).json()["changed"], false);
    let ran = world.edit("echo x > \"$1\"; exit 3", &[VAULT]).ends(1);
    assert!(ran.err.contains("exit status: 3"), "{}", ran.err);
    assert_eq!(fs::read(world.fleet.path(VAULT)).unwrap(), before, "sealed anew without need");
    // What the editor had written is kept, and so is what was kept before.
    world.edit("echo y > \"$1\"; exit 3", &[VAULT]).ends(1);
    for (name, expected) in [("vault.edited", "x\n"), ("vault.edited.2", "y\n")] {
        let kept = fs::read(world.fleet.path("group_vars/all").join(name)).unwrap();
        assert_eq!(vault::open(&kept, &world.password).unwrap().as_slice(), expected.as_bytes());
    }
}

#[test]
fn what_is_no_yaml_is_kept_sealed_beside_the_vault() {
    let world = World::begin();
    let ran = world.edit("echo \"a: [typed for an hour\" > \"$1\"", &[]).ends(1);
    assert!(
        ran.err.contains("what was typed is kept, sealed, in group_vars/all/vault.edited"),
        "{}",
        ran.err
    );
    assert_eq!(world.vault(), TEXT);
    let kept = fs::read(world.fleet.path("group_vars/all/vault.edited")).unwrap();
    let kept = vault::open(&kept, &world.password).unwrap();
    assert_eq!(kept.as_slice(), b"a: [typed for an hour\n");
    // It is in nobody's way, and can be mended.
    world.edit("echo \"a: [typed]\" > \"$1\"", &["group_vars/all/vault.edited"]).ends(0);
    world.edit("grep -q hunter2 \"$1\"", &[VAULT]).ends(0);
}

#[test]
fn a_vault_is_begun_and_several_are_told_apart() {
    let world = World::begin();
    world.edit("echo \"begun: x\" > \"$1\"", &["group_vars/all/more"]).ends(0);
    let more = fs::read(world.fleet.path("group_vars/all/more")).unwrap();
    assert_eq!(vault::open(&more, &world.password).unwrap().as_slice(), b"begun: x\n");
    let ran = world.edit("true", &[]).ends(1);
    assert!(
        ran.err.contains("say which: group_vars/all/more, group_vars/all/vault"),
        "{}",
        ran.err
    );
    let ran = world.edit("true", &["floe.toml"]).ends(1);
    assert!(ran.err.contains("is not sealed as a whole"), "{}", ran.err);
}

#[test]
fn somebody_elses_change_is_not_overwritten() {
    let world = World::begin();
    let other = vault::seal(b"other: theirs\n", &world.password, Some("prod")).unwrap();
    world.write("theirs", &other);
    let script = format!(
        "echo \"a: mine\" > \"$1\"; cat {} > {}",
        world.fleet.path("theirs").display(),
        world.fleet.path(VAULT).display()
    );
    let ran = world.edit(&script, &[]).ends(1);
    assert!(ran.err.contains("changed by somebody else"), "{}", ran.err);
    assert_eq!(world.vault(), "other: theirs\n");
    assert!(world.fleet.path("group_vars/all/vault.edited").exists());
}

#[test]
fn a_file_of_age_is_set_edited_and_rotated() {
    let world = World::begin();
    let identity = Identity::generate();
    world.write("identity", identity.to_string().expose_secret());
    let table = format!("[secrets]\nage_recipients = [\"{}\"]\n", identity.to_public());
    let floe = fs::read_to_string(world.fleet.path("floe.toml")).unwrap();
    world.write("floe.toml", &floe.replace("[secrets]\n", &table));
    let own = world.fleet.path("identity").display().to_string();
    let decrypted = || {
        let bytes = fs::read(world.fleet.path("secrets/tls.key.age")).unwrap();
        assert!(bytes.starts_with(b"-----BEGIN AGE"));
        age::decrypt(&identity, &bytes).unwrap()
    };
    world.write("new", "one\n");
    let new = world.fleet.path("new").display().to_string();
    // Whoever sets one need not be able to read it.
    world.floe(&["set", "www", "tls.key", "--from", &new]).ends(0);
    assert_eq!(decrypted(), b"one");
    let identity = ("FLOE_AGE_IDENTITY", &*own);
    let editor =
        ("EDITOR", "sh -euc 'test \"$1\" != \"${1%/tls.key}\"; printf two > \"$1\"' editor");
    world.floe_with(&[identity, editor, ("VISUAL", "")], &["edit", "secrets/tls.key.age"]).ends(0);
    assert_eq!(decrypted(), b"two");
    world.floe_with(&[identity], &["rotate", "www", "tls.key", "--length", "40"]).ends(0);
    assert_eq!(decrypted().len(), 40);
    // An editor ends the last line; what it is did not change.
    let same = ("EDITOR", "sh -euc 'echo >> \"$1\"' editor");
    let before = decrypted();
    world.floe_with(&[identity, same, ("VISUAL", "")], &["edit", "secrets/tls.key.age"]).ends(0);
    assert_eq!(decrypted(), before);
    // Somebody else's change is not overwritten.
    let theirs = world.fleet.path("secrets/tls.key.age");
    let script = format!("sh -euc 'printf mine > \"$1\"; echo >> {}' editor", theirs.display());
    let editor = ("EDITOR", script.as_str());
    let ran =
        world.floe_with(&[identity, editor, ("VISUAL", "")], &["edit", "secrets/tls.key.age"]);
    let ran = ran.ends(1);
    assert!(ran.err.contains("changed by somebody else"), "{}", ran.err);
    assert!(world.fleet.path("secrets/tls.key.age.edited").exists());
    // Without anybody to encrypt to, nobody is let type.
    world.write("floe.toml", &floe);
    let touched = world.fleet.path("touched");
    let script = format!("touch {}", touched.display());
    let editor = ("EDITOR", script.as_str());
    let ran =
        world.floe_with(&[identity, editor, ("VISUAL", "")], &["edit", "secrets/tls.key.age"]);
    assert!(ran.ends(1).err.contains("to whom"));
    assert!(!touched.exists());
    let ran = world.floe(&["rotate", "www", "tls.key"]).ends(1);
    assert!(ran.err.contains("FLOE_AGE_IDENTITY"), "{}", ran.err);
}

#[test]
fn whoever_ends_it_while_somebody_edits_leaves_nothing_in_the_clear() {
    let world = World::begin();
    let said = world.fleet.path("said").display().to_string();
    for signal in ["TERM", "HUP"] {
        let script = format!(
            "echo \"$1\" > {said}; echo \"a: typed\" > \"$1\"; kill -{signal} $PPID; exec sleep 60"
        );
        let ran = world.edit(&script, &[]).ends(1);
        assert!(ran.err.contains("kept, sealed, in group_vars/all/vault.edited"), "{}", ran.err);
        let path = fs::read_to_string(&said).unwrap();
        assert!(!fs::exists(Path::new(path.trim()).parent().unwrap()).unwrap());
        let kept = fs::read(world.fleet.path("group_vars/all/vault.edited")).unwrap();
        assert_eq!(vault::open(&kept, &world.password).unwrap().as_slice(), b"a: typed\n");
        assert_eq!(world.vault(), TEXT);
        fs::remove_file(world.fleet.path("group_vars/all/vault.edited")).unwrap();
    }
}

#[test]
fn an_interrupt_is_the_editors_alone() {
    let world = World::begin();
    let script = "kill -INT $PPID; kill -QUIT $PPID; sleep 1; echo \"a: typed\" > \"$1\"";
    world.edit(script, &[]).ends(0);
    assert_eq!(world.vault(), "a: typed\n");
}

/// A template of the role, and another file, of the vault's values.
fn with_files(world: &World, template: &str, other: &str) {
    world.write("hosts/www/motd", template);
    world.write("hosts/www/other.txt", other);
    let host = "system = 'x86_64-linux'\n[files.motd]\ntemplate = true\n";
    world.write("hosts/www/host.toml", host);
}

#[test]
fn a_dry_run_of_a_push_makes_no_salts() {
    let world = World::begin();
    with_files(&world, "{{ other | password_hash(rounds=1000) }}\n", "");
    let served = world.fleet.serve();
    let password = world.fleet.path(".password").display().to_string();
    let push = |option: &str| {
        let to = ["--server", &served.url, "--credentials", &served.credentials];
        let arguments = [&to[..], &["push", "www", "--no-check", "--no-secrets", option]].concat();
        world.fleet.floe_with(&[("FLOE_VAULT_PASSWORD_FILE", &password)], &arguments).ends(0);
    };
    let salts = world.fleet.path("salts.toml");
    push("--dry-run");
    assert!(!salts.exists());
    push("--no-rollout");
    let salts = fs::read_to_string(salts).unwrap();
    assert!(salts.contains("www/motd#other | password_hash(rounds=1000)"), "{salts}");
}

#[test]
fn a_sealed_word_that_is_no_secret_is_let_through_by_name() {
    let world = World::begin();
    with_files(&world, "x\n", "a hunter2 lives here\n");
    let password = world.fleet.path(".password").display().to_string();
    let build = || {
        let arguments = ["bundle", "build", "www", "--no-check"];
        world.fleet.floe_with(&[("FLOE_VAULT_PASSWORD_FILE", &password)], &arguments)
    };
    let refused = build().ends(3);
    assert!(refused.err.contains("holds `hosts.www.root` in the clear"), "{}", refused.err);
    assert!(refused.err.contains("`not_secret`"), "{}", refused.err);
    let floe = fs::read_to_string(world.fleet.path("floe.toml")).unwrap();
    let table = "[secrets]\nnot_secret = [\"hosts.www.root\", \"gone\"]\n";
    world.write("floe.toml", &floe.replace("[secrets]\n", table));
    let built = build().ends(0);
    let note = "not looked for in the bundle, as floe.toml says: hosts.www.root";
    assert!(built.err.contains(note), "{}", built.err);
    assert!(
        built.err.contains("`gone`, of `not_secret` in floe.toml, is not sealed here"),
        "{}",
        built.err
    );
}
