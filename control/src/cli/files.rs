//! The files of a fleet repository that begins: what is not there is written, what is there
//! is left as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use floe_proto::envelope::Envelope;
use floe_proto::id::{Epoch, Fleet};
use floe_proto::key::SecretKey;
use floe_proto::root::{self, Root, Signers};
use floe_proto::time::Timestamp;

use super::end::Stopped;
use super::init_text;
use super::keys;
use crate::bundle::sign;
use crate::durable;
use crate::repository::{DEFAULT_KEY as KEY, FLEET_FILE, Repository, TRUST_FILE};
use crate::signing::{self, Environment};

/// For how long the first trust root is valid.
const ROOT_VALID: Duration = Duration::from_secs(365 * 86_400);

/// How the key is made, or opened.
pub(super) struct Choices<'a> {
    /// Whether secrets are sealed to the control plane as well.
    pub(super) escrow: bool,
    pub(super) no_passphrase: bool,
    pub(super) environment: &'a Environment,
}

/// Writes what is not there, and remembers what it did.
pub(super) struct Files {
    root: PathBuf,
    /// What was written, relative to the directory.
    pub(super) created: Vec<String>,
    /// What was there, and is as it was.
    pub(super) kept: Vec<String>,
}

impl Files {
    /// Into the directory `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), created: Vec::new(), kept: Vec::new() }
    }

    /// What every fleet has: its settings, a key, a trust root that believes it, and what
    /// git must not see of them. Returns the key.
    pub(super) fn fleet(
        &mut self,
        fleet: &Fleet,
        choices: &Choices<'_>,
        now: Timestamp,
    ) -> anyhow::Result<SecretKey> {
        self.is_of(fleet)?;
        self.write(FLEET_FILE, init_text::fleet_file(fleet, KEY, choices.escrow).as_bytes())?;
        let key = self.key(choices)?;
        self.trust(fleet, &key, now)?;
        self.append_to_gitignore()?;
        Ok(key)
    }

    /// Whether what is there already, if anything is, belongs to `fleet`.
    pub(super) fn is_of(&self, fleet: &Fleet) -> anyhow::Result<()> {
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
    pub(super) fn write(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.root.join(name);
        if path.symlink_metadata().is_ok() {
            self.kept.push(name.into());
            return Ok(());
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(|| unwritten(directory))?;
        }
        durable::write_file(&path, content, 0o644).with_context(|| unwritten(&path))?;
        self.created.push(name.into());
        Ok(())
    }

    pub(super) fn directory(&self, name: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| unwritten(&path))
    }

    /// The key that is there, or a new one.
    fn key(&mut self, choices: &Choices<'_>) -> anyhow::Result<SecretKey> {
        let path = self.key_path();
        let name = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
        if path.exists() {
            self.kept.push(name);
            return Ok(signing::read(&path, choices.environment)?.0);
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
        let (key, _) = keys::make(&path, choices.no_passphrase, choices.environment)?;
        self.created.push(name);
        Ok(key)
    }

    fn trust(&mut self, fleet: &Fleet, key: &SecretKey, now: Timestamp) -> anyhow::Result<()> {
        let envelope = trust_root(fleet, key, now)?;
        self.write(TRUST_FILE, &envelope)?;
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
