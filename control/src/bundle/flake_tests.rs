//! What of a flake becomes a bundle, in a checkout and outside of one.

use std::collections::BTreeSet;
use std::process::Command;

use floe_proto::entry::Entry;
use floe_proto::payload::limits::Limits;
use floe_proto::payload::unpack::unpack;
use walkdir::WalkDir;

use super::*;
use crate::bundle::leaks::Scan;
use crate::bundle::rendered::{Rendered, refuse_leaks};
use crate::bundle::source::{self, Source};
use crate::bundle::{build, syntax};
use crate::repository::Repository;

const LOCK: &str = r#"{"version": 7, "root": "root", "nodes": {"root": {}}}"#;

struct Sandbox(tempfile::TempDir);

impl Sandbox {
    /// A repository that is a flake, as `flake` names it.
    fn of(flake: &str) -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        sandbox.write("floe.toml", "fleet = 'a.b'\nserver = 'https://x'");
        sandbox
            .write("hosts/www/host.toml", &format!("system = 'x86_64-linux'\nflake = '{flake}'"));
        sandbox.write("keys/release.pem", "");
        sandbox.write(".gitignore", "/keys/*.pem\n/result\n");
        let directory = flake.split('#').next().unwrap();
        sandbox.write(&format!("{directory}/flake.nix"), "{ outputs = { self }: { }; }");
        sandbox.write(&format!("{directory}/flake.lock"), LOCK);
        sandbox.write(&format!("{directory}/hosts/www/site.nix"), "{ }");
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        #[expect(clippy::disallowed_methods, reason = "a test's own program")]
        let mut git = Command::new("git");
        git.current_dir(self.0.path()).args(["-c", "init.defaultBranch=main"]).args(arguments);
        assert!(git.output().unwrap().status.success());
    }

    fn kept_by_git(self) -> Self {
        self.git(&["init"]);
        self.git(&["add", "."]);
        self
    }

    fn source(&self) -> Result<Source, source::Error> {
        Source::read(&Repository::open(self.0.path()).unwrap(), &"www".parse().unwrap())
    }

    /// The files of the payload.
    fn packed(&self) -> BTreeSet<String> {
        let mut bytes = Vec::new();
        build::build(&self.source().unwrap(), &Rendered::default(), &mut bytes).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let target = scratch.path().join("payload");
        unpack(bytes.as_slice(), &target, &Limits::default()).unwrap();
        let files = WalkDir::new(&target).into_iter().flatten();
        let files = files.filter(|entry| entry.file_type().is_file());
        files
            .map(|entry| entry.path().strip_prefix(&target).unwrap().display().to_string())
            .collect()
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_flake_is_packed_as_git_keeps_it_and_without_what_is_floes() {
    let sandbox = Sandbox::of(".").kept_by_git();
    std::os::unix::fs::symlink("/nix/store", sandbox.path("result")).unwrap();
    sandbox.write("scratch.nix", "not even Nix");
    sandbox.write("group_vars/all/vault", "secret");
    sandbox.git(&["add", "group_vars"]);
    let expected = [".gitignore", "flake.lock", "flake.nix", "hosts/www/site.nix"]
        .map(|file| format!("role/{file}"));
    assert_eq!(sandbox.packed(), BTreeSet::from(expected));
    // What git forgets goes, and what was deleted is no fault.
    sandbox.git(&["rm", "--cached", ".gitignore"]);
    fs::remove_file(sandbox.path("hosts/www/site.nix")).unwrap();
    assert_eq!(sandbox.packed(), set(&["role/flake.lock", "role/flake.nix"]));
    let settings = sandbox.source().unwrap().settings;
    assert_eq!(settings.code.entry(), Entry::Flake("www".parse().unwrap()));
}

#[test]
fn outside_of_a_checkout_all_of_its_directory_is_packed_and_nothing_beside_it() {
    let sandbox = Sandbox::of("nix#web");
    let expected = ["role/flake.lock", "role/flake.nix", "role/hosts/www/site.nix"];
    assert_eq!(sandbox.packed(), set(&expected));
    let source = sandbox.source().unwrap();
    assert_eq!(source.settings.code.entry(), Entry::Flake("web".parse().unwrap()));
    assert_eq!(source.tree_around(&sandbox.path("nix/out/x")), Some(&*sandbox.path("nix")));
    assert_eq!(source.tree_around(&sandbox.path("out")), None);
}

#[test]
fn t059_what_hosts_could_not_build_is_named_before_anything_is_packed() {
    let sandbox = Sandbox::of(".").kept_by_git();
    let refused = || sandbox.source().unwrap_err();
    sandbox.git(&["rm", "--cached", "flake.lock"]);
    let error = refused();
    assert!(error.to_string().contains("git does not keep"), "{error}");
    assert!(error.advice().starts_with("git add"), "{}", error.advice());
    sandbox.git(&["add", "flake.lock"]);
    let open = r#"{"x": {"original": {"type": "github"}}, "root": {"inputs": {"x": "x"}}}"#;
    sandbox.write("flake.lock", &LOCK.replace(r#"{"root": {}}"#, open));
    let error = refused();
    assert!(error.to_string().ends_with("the input `x` is not locked"), "{error}");
    assert!(error.advice().ends_with("nix flake lock"));
    fs::remove_file(sandbox.path("flake.lock")).unwrap();
    assert!(refused().to_string().contains("there is no `"));
}

#[test]
fn a_key_never_travels_in_a_flake() {
    let sandbox = Sandbox::of(".");
    let error = sandbox.source().unwrap_err().to_string();
    assert!(error.contains("keys/release.pem` lies in"), "{error}");
    let sandbox = sandbox.kept_by_git();
    assert_eq!(sandbox.source().unwrap().tree_around(&sandbox.path("keys/release.pem")), None);
    // It need not be here.
    fs::remove_dir_all(sandbox.path("keys")).unwrap();
    assert!(sandbox.source().is_ok());
    sandbox.write("keys/release.pem", "");
    sandbox.git(&["add", "--force", "keys/release.pem"]);
    let error = sandbox.source().unwrap_err().to_string();
    assert!(error.contains("keys/release.pem` lies in"), "{error}");
}

#[tokio::test]
async fn only_what_is_packed_is_read_and_looked_through() {
    let sandbox = Sandbox::of(".").kept_by_git();
    sandbox.write("scratch.nix", "{ hunter2-hunter2");
    let scan = Scan::new([("password", b"hunter2-hunter2".as_slice())]).unwrap();
    let source = sandbox.source().unwrap();
    refuse_leaks(&source, &scan).unwrap();
    assert!(syntax::parse(&source.directory, &source.selection).await.is_ok());

    sandbox.git(&["add", "scratch.nix"]);
    let source = sandbox.source().unwrap();
    let leak = refuse_leaks(&source, &scan).unwrap_err().to_string();
    assert!(leak.contains("scratch.nix` line 1"), "{leak}");
}
