//! A fleet's repository and its control plane, for tests that type at the real binary.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A fleet repository with one role and a vendored nixpkgs.
pub(crate) struct Fleet {
    directory: TempDir,
}

/// How a command ended.
pub(crate) struct Ran {
    code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Fleet {
    pub(crate) fn begin() -> Self {
        let fleet = Self { directory: tempfile::tempdir().unwrap() };
        fleet.floe(&["init", "fossable.org", "--example", "www"]).ends(0);
        fs::create_dir(fleet.path("nixpkgs")).unwrap();
        fs::write(fleet.path("nixpkgs/default.nix"), "{ }").unwrap();
        let lock = "schema = 1\n[pins.nixpkgs]\npath = 'nixpkgs'\n";
        fs::write(fleet.path("floe.lock"), lock).unwrap();
        fleet
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn floe(&self, arguments: &[&str]) -> Ran {
        self.floe_with(&[], arguments)
    }

    /// The same with `variables` in the environment.
    pub(crate) fn floe_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let mut command = command(self.directory.path());
        let ran = command.envs(variables.iter().copied()).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: ran.status.code().unwrap(), out: text(ran.stdout), err: text(ran.stderr) }
    }

    /// A control plane on free ports, ready when this returns.
    pub(crate) fn serve(&self) -> Served {
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

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLOE_"))
    {
        command.env_remove(name);
    }
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// A control plane that is gone when this is dropped.
pub(crate) struct Served {
    process: Child,
    pub(crate) url: String,
    pub(crate) credentials: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ends(0).out).unwrap()
    }
}
