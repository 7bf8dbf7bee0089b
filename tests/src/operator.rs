//! The operator: the real `floe`, typed at.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::builder::Builder;
use crate::script;

/// Somebody at a keyboard, in the fleet's repository.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The directory of the world, which is where the network is.
    pub(crate) world: PathBuf,
    /// The fleet's repository.
    pub(crate) repository: PathBuf,
    /// What the environment of a command has beside the story's own.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Where they build, if they do.
    pub(crate) builder: Option<Builder>,
}

/// What a command came to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was typed.
    pub command: String,
    /// 0 done, 1 failed, 2 usage, 3 refused.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Progress and errors.
    pub stderr: String,
}

impl Operator {
    /// Types `floe` and `arguments`, and waits for its end.
    pub async fn floe(&self, arguments: &[&str]) -> Finished {
        let output = script::outcome(&mut self.command(arguments)).await;
        Finished {
            command: format!("floe {}", arguments.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Types `floe` and `arguments` so that everybody can see it; gives the exit code.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub async fn show(&self, arguments: &[&str]) -> i32 {
        println!("\n$ floe {}", arguments.join(" "));
        let status = self.command(arguments).stdin(Stdio::null()).status().await.unwrap();
        status.code().unwrap_or(-1)
    }

    /// The same operator in another repository.
    #[must_use]
    pub fn in_repository(&self, repository: PathBuf) -> Self {
        Self { repository, ..self.clone() }
    }

    /// The same at a machine where `variable` is set.
    #[must_use]
    pub fn with(&self, variable: &'static str, value: impl Into<OsString>) -> Self {
        let mut other = self.clone();
        other.environment.push((variable, value.into()));
        other
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.at_the_machine(script::floe().as_os_str(), arguments)
    }

    /// A program that runs where they sit.
    pub(crate) fn at_the_machine(&self, program: &OsStr, arguments: &[&str]) -> Command {
        let mut command = Command::new(script::world_script("net"));
        command
            .env("FLOE_WORLD", &self.world)
            .envs(self.environment.iter().map(|(variable, value)| (variable, value)))
            .arg("exec")
            .current_dir(&self.repository);
        if let Some(builder) = &self.builder {
            builder.enter(&self.world, &mut command);
        }
        command.arg(program).args(arguments);
        command
    }
}

impl Finished {
    /// Itself, if it ended with 0.
    ///
    /// # Panics
    ///
    /// With everything that it said, if not.
    pub fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Itself, if it ended with `code`.
    ///
    /// # Panics
    ///
    /// With everything that it said, if not.
    pub fn ended_with(self, code: i32) -> Self {
        let Self { command, stdout, stderr, .. } = &self;
        assert_eq!(self.code, code, "`{command}` should end with {code}\n{stdout}{stderr}");
        self
    }

    /// Itself, if it said `text` somewhere.
    ///
    /// # Panics
    ///
    /// With everything that it said, if not.
    pub fn said(self, text: &str) -> Self {
        let Self { command, stdout, stderr, .. } = &self;
        let said = stdout.contains(text) || stderr.contains(text);
        assert!(said, "`{command}` should say `{text}`\n{stdout}{stderr}");
        self
    }

    /// Asserts that it said this nowhere.
    ///
    /// # Panics
    ///
    /// Where it did.
    pub fn does_not_say(self, text: &str) -> Self {
        let Self { command, stdout, stderr, .. } = &self;
        let said = stdout.contains(text) || stderr.contains(text);
        assert!(!said, "`{command}` should not say `{text}`\n{stdout}{stderr}");
        self
    }

    /// The JSON document that it printed.
    ///
    /// # Panics
    ///
    /// Where it printed something else.
    pub fn json(&self) -> Value {
        let Self { command, stdout, stderr, .. } = self;
        serde_json::from_str(stdout)
            .unwrap_or_else(|e| panic!("`{command}` should print JSON: {e}\n{stdout}{stderr}"))
    }
}

/// A rollout, as `--output json` shows it.
#[derive(Clone, Debug)]
pub struct Rollout(Value);

/// One host in a rollout.
#[derive(Clone, Debug)]
pub struct RolloutHost(Value);

impl Finished {
    /// The rollout that it printed.
    ///
    /// # Panics
    ///
    /// Where it printed something else.
    pub fn rollout(&self) -> Rollout {
        let json = self.json();
        // A push shows what it published, and the rollout as a part of that.
        let rollout = if json["rollout"].is_object() { json["rollout"].clone() } else { json };
        assert!(rollout["hosts"].is_array(), "`{}` should show a rollout: {rollout}", self.command);
        Rollout(rollout)
    }
}

impl Rollout {
    /// Its id.
    pub fn id(&self) -> &str {
        text(&self.0, "id")
    }

    /// `running`, `done`, `stopped` or `superseded`.
    pub fn state(&self) -> &str {
        text(&self.0, "state")
    }

    /// The serial that is rolled out.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn serial(&self) -> u64 {
        self.0["serial"].as_u64().unwrap()
    }

    /// Every host of it, the canary first.
    ///
    /// # Panics
    ///
    /// Where there is no list of hosts.
    pub fn hosts(&self) -> Vec<RolloutHost> {
        self.0["hosts"].as_array().unwrap().iter().cloned().map(RolloutHost).collect()
    }

    /// The host with this id.
    ///
    /// # Panics
    ///
    /// Where it is not part of the rollout.
    pub fn host(&self, id: &str) -> RolloutHost {
        let found = self.hosts().into_iter().find(|host| host.id() == id);
        found.unwrap_or_else(|| panic!("{id} is not part of {}", self.0))
    }
}

impl RolloutHost {
    /// Its host id.
    pub fn id(&self) -> &str {
        text(&self.0, "host")
    }

    /// Such as `confirmed` or `rolled back`.
    pub fn state(&self) -> &str {
        text(&self.0, "state")
    }

    /// Why it stands there.
    pub fn reason(&self) -> &str {
        text(&self.0, "reason")
    }

    /// Whether the payload ran already.
    pub fn unchanged(&self) -> bool {
        self.0["unchanged"] == true
    }

    /// Milliseconds that Nix took on it; 0 where it was not started.
    pub fn build_ms(&self) -> u64 {
        self.0["build_ms"].as_u64().unwrap_or(0)
    }
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {json}"))
}
