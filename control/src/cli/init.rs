//! `floe init`: begins a fleet repository. What is there already is left as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use floe_proto::envelope::Envelope;
use floe_proto::id::{Epoch, Fleet, Role};
use floe_proto::key::SecretKey;
use floe_proto::root::{self, Root, Signers};
use floe_proto::time::Timestamp;

use super::context::Context;
use super::end::{End, Stopped};
use super::init_text;
use super::keys;
use super::view::init::InitView;
use crate::bundle::sign;
use crate::durable;
use crate::repository::{
    DEFAULT_KEY as KEY, FLEET_FILE, HOST_FILE, HOSTS, LOCK_FILE, Repository, TRUST_FILE,
};
use crate::signing::{self, Environment};

/// Begin a fleet repository: settings, a signing key, a trust root, an example
///
/// The key signs bundles and, for a start, the trust root too. Nothing that is there
/// already is overwritten.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Init {
    /// Name of the fleet: its domain
    fleet: Fleet,

    /// Where to begin it
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Also write an example role
    #[arg(long, value_name = "ROLE")]
    example: Option<Role>,

    /// Leave the key in the clear; else it is encrypted where a passphrase is set or typed
    #[arg(long)]
    no_passphrase: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe init fossable.org --dir fossable.org --example www.fossable.org";

/// For how long the first trust root is valid.
const ROOT_VALID: Duration = Duration::from_secs(365 * 86_400);

impl Init {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<End> {
        let keys = Keys { no_passphrase: self.no_passphrase, environment: context.environment() };
        let mut files = Files { root: self.dir.clone(), created: Vec::new(), kept: Vec::new() };
        files.directory("")?;
        let directory = self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone());

        files.is_of(&self.fleet)?;
        files.write(FLEET_FILE, &init_text::fleet_file(&self.fleet, KEY))?;
        let key = files.key(&keys)?;
        files.trust(&self.fleet, &key, context.now())?;
        files.write(LOCK_FILE, init_text::LOCK_STUB)?;
        files.append_to_gitignore()?;
        let role = self.example.as_ref();
        if let Some(role) = role {
            files.example(&self.fleet, role)?;
        }
        context.print(&InitView {
            fleet: self.fleet.to_string(),
            directory: directory.display().to_string(),
            created: files.created,
            kept: files.kept,
            key_id: key.public().id().to_string(),
            next: next(role.map_or("ROLE", |role| role.as_str())),
        })?;
        Ok(End::Done)
    }
}

fn next(role: &str) -> Vec<String> {
    vec![
        format!("back up {KEY}: who has it decides what your hosts run"),
        format!("pin nixpkgs and the modules of floe in {LOCK_FILE}"),
        format!("describe your hosts in {HOSTS}/{role}/"),
        format!("say in {FLEET_FILE} how they reach the control plane, and start it: floe serve"),
        format!("let a machine join: floe hosts token {role} --host local-NAME --out join.toml"),
        format!("push: floe push {role} --watch"),
    ]
}

/// How the key is made, or opened.
struct Keys<'a> {
    no_passphrase: bool,
    environment: &'a Environment,
}

/// Writes what is not there, and remembers what it did.
struct Files {
    root: PathBuf,
    created: Vec<String>,
    kept: Vec<String>,
}

impl Files {
    /// Whether what is there already, if anything is, belongs to `fleet`.
    fn is_of(&self, fleet: &Fleet) -> anyhow::Result<()> {
        if !self.root.join(FLEET_FILE).exists() {
            return Ok(());
        }
        let known = Repository::open(&self.root)?.file().fleet.clone();
        if known == *fleet {
            return Ok(());
        }
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let root = root.display();
        Err(Stopped::failed(
            format!("`{root}` is the repository of the fleet `{known}`, not of `{fleet}`"),
            "name another directory with --dir: a fleet has one repository",
        )
        .into())
    }

    /// Writes `name`, if there is no such file.
    fn write(&mut self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        if path.exists() {
            self.kept.push(name.into());
            return Ok(());
        }
        durable::write_file(&path, content.as_bytes(), 0o644).with_context(|| unwritten(&path))?;
        self.created.push(name.into());
        Ok(())
    }

    fn directory(&self, name: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| unwritten(&path))
    }

    /// The key that is there, or a new one.
    fn key(&mut self, keys: &Keys<'_>) -> anyhow::Result<SecretKey> {
        let path = self.key_path();
        let name = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
        if path.exists() {
            self.kept.push(name);
            return Ok(signing::read(&path, keys.environment)?.0);
        }
        if self.root.join(TRUST_FILE).exists() {
            return Err(Stopped::failed(
                format!("there is a {TRUST_FILE}, but not the key `{}`", path.display()),
                "restore the key from your backup; a new one would be believed by no host",
            )
            .into());
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(|| unwritten(directory))?;
        }
        let (key, _) = keys::make(&path, keys.no_passphrase, keys.environment)?;
        self.created.push(name);
        Ok(key)
    }

    fn trust(&mut self, fleet: &Fleet, key: &SecretKey, now: Timestamp) -> anyhow::Result<()> {
        let envelope = trust_root(fleet, key, now)?;
        self.write(TRUST_FILE, &String::from_utf8(envelope)?)?;
        // One that was there may be of other keys.
        let root = Repository::open(&self.root)?.trust()?;
        let id = key.public().id();
        if root.release.keys.contains(&id) {
            return Ok(());
        }
        let key = self.key_path().display().to_string();
        Err(sign::Error::Foreign { key, id, fleet: root.fleet.clone() }.into())
    }

    /// Where floe.toml has it, if there is one.
    fn key_path(&self) -> PathBuf {
        let known = Repository::open(&self.root).map(|repository| repository.key_files());
        known.ok().and_then(|files| files.into_iter().next()).unwrap_or_else(|| self.root.join(KEY))
    }

    /// A key in a repository is a key that everybody has.
    fn append_to_gitignore(&mut self) -> anyhow::Result<()> {
        let path = self.root.join(".gitignore");
        let known = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("could not read `{}`", path.display()))?,
        };
        let missing: Vec<_> =
            IGNORED.iter().filter(|line| !known.lines().any(|known| known == **line)).collect();
        if missing.is_empty() {
            self.kept.push(".gitignore".into());
            return Ok(());
        }
        let mut text = known;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for line in missing {
            text += &format!("{line}\n");
        }
        durable::write_file(&path, text.as_bytes(), 0o644).with_context(|| unwritten(&path))?;
        self.created.push(".gitignore".into());
        Ok(())
    }

    fn example(&mut self, fleet: &Fleet, role: &Role) -> anyhow::Result<()> {
        let directory = format!("{HOSTS}/{role}");
        self.directory(&directory)?;
        self.write(&format!("{directory}/{HOST_FILE}"), init_text::HOST_EXAMPLE)?;
        self.write(&format!("{directory}/configuration.nix"), init_text::CONFIGURATION_EXAMPLE)?;
        self.write(&format!("{directory}/floe.nix"), &init_text::agent_example(fleet, role))
    }
}

/// Version 1: one key is root and release key.
fn trust_root(fleet: &Fleet, key: &SecretKey, now: Timestamp) -> anyhow::Result<Vec<u8>> {
    let signers = Signers { threshold: 1, keys: vec![key.public().id()] };
    let root = Root {
        schema: root::SCHEMA,
        fleet: fleet.clone(),
        version: 1,
        epoch: Epoch::default(),
        expires: now.after(ROOT_VALID).whole_seconds(),
        keys: vec![key.public()],
        root: signers.clone(),
        release: signers,
    };
    Ok(Envelope::sign(root::TYPE, &root.to_bytes()?, &[key])?)
}

fn unwritten(path: &Path) -> String {
    format!("could not write `{}`", path.display())
}

const IGNORED: [&str; 3] = ["/keys/*.pem", "/keys/*.sec", "/.floe/"];

#[cfg(test)]
mod tests {
    use floe_proto::verify;

    use super::*;
    use crate::repository::Repository;

    fn now() -> Timestamp {
        "2026-11-22T20:28:00.5Z".parse().unwrap()
    }

    fn begin(directory: &Path) -> anyhow::Result<Files> {
        begin_as("fossable.org", directory)
    }

    fn begin_as(fleet: &str, directory: &Path) -> anyhow::Result<Files> {
        let fleet = fleet.parse().unwrap();
        let mut files = Files { root: directory.to_owned(), created: Vec::new(), kept: Vec::new() };
        files.is_of(&fleet)?;
        files.write(FLEET_FILE, &init_text::fleet_file(&fleet, KEY))?;
        let environment = Environment::default();
        let key = files.key(&Keys { no_passphrase: false, environment: &environment })?;
        files.trust(&fleet, &key, now())?;
        files.append_to_gitignore()?;
        files.example(&fleet, &"www".parse().unwrap())?;
        Ok(files)
    }

    #[test]
    fn what_is_begun_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        let repository = Repository::open(directory.path()).unwrap();
        let root = repository.trust().unwrap();
        assert_eq!(root.expires.to_string(), "2027-11-22T20:28:00Z");
        sign::release_signers(&repository.signing(), &root, &Environment::default()).unwrap();
        assert_eq!(repository.roles().len(), 1);
        // A role without the agent would be taken back by every host.
        let role = repository.role_directory(&"www".parse().unwrap()).unwrap();
        assert!(fs::read_to_string(role.join("configuration.nix")).unwrap().contains("./floe.nix"));
        let agent = fs::read_to_string(role.join("floe.nix")).unwrap();
        assert!(agent.contains("role = \"www\";") && agent.contains("<floe/agent.nix>"));
        repository.host_file(&"www".parse().unwrap()).unwrap();
    }

    #[test]
    fn a_second_time_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        let trust = fs::read(directory.path().join(TRUST_FILE)).unwrap();
        let again = begin(directory.path()).unwrap();
        assert_eq!(again.created, [""; 0]);
        assert_eq!(fs::read(directory.path().join(TRUST_FILE)).unwrap(), trust);
        assert!(verify::pinned_root(&trust).is_ok());
    }

    #[test]
    fn no_new_key_is_made_beside_a_trust_root() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        fs::remove_file(directory.path().join(KEY)).unwrap();
        assert!(begin(directory.path()).is_err());
        assert!(!directory.path().join(KEY).exists());
    }

    #[test]
    fn what_is_another_fleets_is_not_claimed() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        let error = begin_as("other.org", directory.path()).err().unwrap().to_string();
        assert!(error.contains("of the fleet `fossable.org`, not of `other.org`"), "{error}");
    }

    #[test]
    fn a_key_that_the_trust_root_does_not_list_is_not_called_believed() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        fs::remove_file(directory.path().join(KEY)).unwrap();
        keys::make(&directory.path().join(KEY), true, &Environment::default()).unwrap();
        let error = begin(directory.path()).err().unwrap().to_string();
        assert!(error.contains("is no release key of"), "{error}");
    }

    #[test]
    fn lines_of_a_gitignore_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".gitignore");
        fs::write(&path, "result\n/.floe/").unwrap();
        begin(directory.path()).unwrap();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "result\n/.floe/\n/keys/*.pem\n/keys/*.sec\n"
        );
    }

    #[test]
    fn the_lock_stub_says_what_is_missing() {
        let lock = init_text::LOCK_STUB.parse::<floe_proto::payload::lock::Lock>();
        let error = lock.unwrap_err().to_string();
        assert!(error.contains("nixpkgs"), "{error}");
    }
}
