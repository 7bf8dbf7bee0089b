//! A machine with the real `floe-agent`, on a played NixOS with a real systemd.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::script::{self, PATIENCE, eventually};

/// One host. Its disk outlives its processes; all of it ends with the world.
#[derive(Debug)]
pub struct Host {
    world: PathBuf,
    image: PathBuf,
    /// What is put on its disk before its first boot: `SOURCE:PLACE:MODE`.
    files: Vec<String>,
    name: String,
    id: String,
    running: Option<Running>,
}

/// The supervisor of a host that is up. Ends the host when its stdin is closed.
#[derive(Debug)]
struct Running {
    supervisor: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a machine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `/run/current-system`.
    pub running: String,
    /// The system profile: what `nixos-rebuild list-generations` calls current.
    pub profile: String,
    /// What would be booted now.
    pub boot_default: String,
}

impl State {
    /// Whether the machine runs, keeps and would boot one and the same system.
    pub fn is_settled(&self) -> bool {
        self.running == self.profile && self.profile == self.boot_default
    }
}

impl Host {
    /// A host that is off, with a disk of its own over `image`.
    pub fn new(world: &Path, name: &str, image: &str, files: Vec<String>) -> Self {
        Self {
            world: world.to_owned(),
            image: image.into(),
            files,
            name: name.to_owned(),
            id: format!("local-{name}"),
            running: None,
        }
    }

    /// The same host as an instance of EC2, which `id` is given to by.
    #[must_use]
    pub fn instance(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    /// Makes its disk a copy of another host's, which is off. Before its first boot.
    ///
    /// # Panics
    ///
    /// Where it cannot be copied.
    pub async fn copy_disk_of(&self, other: &Self) {
        let disk = |host: &Self| host.world.join("machines").join(&host.name).join("upper");
        assert!(other.running.is_none(), "{} is up", other.name);
        std::fs::create_dir_all(disk(self).parent().unwrap()).unwrap();
        // With what overlayfs keeps in extended attributes.
        let copy = ["--archive", "--no-target-directory"];
        script::run(Command::new("cp").args(copy).arg(disk(other)).arg(disk(self))).await;
    }

    /// Its name in the world; outside EC2 its host id is `local-<name>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its host id.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// Boots it, and returns when its systemd answers.
    ///
    /// # Panics
    ///
    /// Where it does not boot.
    pub async fn boot(&mut self) {
        let mut command = self.machine(&["up", &self.name]);
        command.arg("--image").arg(&self.image).arg("--tied");
        for file in self.files.drain(..) {
            command.args(["--file", &file]);
        }
        let mut supervisor = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(false)
            .spawn()
            .unwrap();
        let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        let running = self.running.insert(Running { supervisor, lines });
        running.await_ready(&self.name).await;
    }

    /// Ends all its processes at once, as a power cut does.
    ///
    /// # Panics
    ///
    /// Where it was not up.
    pub async fn cut_power(&mut self) {
        script::run(&mut self.machine(&["power-cut", &self.name])).await;
        let mut running = self.running.take().expect("a host that is up");
        tokio::time::timeout(PATIENCE, running.supervisor.wait()).await.unwrap().unwrap();
    }

    /// Runs a shell line on it, and gives what it printed.
    pub async fn shell(&self, line: &str) -> String {
        script::run(&mut self.machine(&["exec", &self.name, "sh", "-euc", line])).await
    }

    /// Whether a shell line succeeds on it.
    pub async fn holds(&self, line: &str) -> bool {
        let mut command = self.machine(&["exec", &self.name, "sh", "-euc", line]);
        script::outcome(&mut command).await.status.success()
    }

    /// What the machine says of itself.
    ///
    /// # Panics
    ///
    /// Where one of the two links or the boot entry is not there.
    pub async fn state(&self) -> State {
        let links = "/run/current-system /nix/var/nix/profiles/system";
        let text = self.shell(&format!("readlink -f {links}; stand-in boot-default")).await;
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().expect("three systems");
        State { running: next(), profile: next(), boot_default: next() }
    }

    /// What the agent's journal says, as `floe-agent status` tells it.
    pub async fn agent_status(&self) -> Value {
        let text = self.shell("floe-agent status --output json").await;
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Waits until the agent has no activation in flight.
    pub async fn comes_to_rest(&self) {
        eventually(&format!("{} to come to rest", self.name), async || {
            let status = self.agent_status().await;
            (status["phase"] == "idle").then_some(())
        })
        .await;
    }

    /// Waits until the activation in flight has come to an end that only its report is left of.
    pub async fn comes_to_an_end_alone(&self) {
        eventually(&format!("{} to come to an end", self.name), async || {
            let status = self.agent_status().await;
            (status["phase"] == "reporting").then_some(())
        })
        .await;
    }

    /// Waits until it runs, keeps and would boot exactly `state`.
    pub async fn comes_to(&self, state: &State) {
        eventually(&format!("{} to come to {state:?}", self.name), async || {
            (self.state().await == *state).then_some(())
        })
        .await;
    }

    /// Waits until no dead man's timer is armed, and none of their guards runs.
    pub async fn has_no_guard(&self) {
        eventually(&format!("{} to have no guard", self.name), async || {
            let units = self.shell("systemctl list-units --all --no-legend 'floe-guard-*'").await;
            units.trim().is_empty().then_some(())
        })
        .await;
    }

    /// Waits until the journal on its disk says `phase`, without asking the agent.
    pub async fn enters_without_agent(&self, phase: &str) {
        eventually(&format!("{} to be {phase}", self.name), async || {
            self.holds(&format!("grep -q '\"{phase}\"' /var/lib/floe/journal/current"))
                .await
                .then_some(())
        })
        .await;
    }

    /// Kills the agent with SIGKILL as soon as its journal says `phase`. Returns when
    /// it watches, so that the phase can then be brought about.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub async fn kill_agent_in(&self, phase: &str) -> Assassin {
        self.lie_in_wait(&[phase]).await
    }

    /// Returns when it watches; [`Assassin::strikes`] then returns as soon as the journal
    /// says `phase`, and the killing is left to the story.
    pub async fn watch_for(&self, phase: &str) -> Assassin {
        self.lie_in_wait(&[phase, "tell"]).await
    }

    async fn lie_in_wait(&self, arguments: &[&str]) -> Assassin {
        let script = include_str!("assassin.py");
        let mut child = self
            .command(&["python3", "-"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).await.unwrap();
        drop(stdin);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let watching = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(watching.as_deref(), Some("watching"));
        Assassin { child, lines, phase: arguments.join(" ") }
    }

    /// A command that runs on it as root.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine(&["exec", &self.name]);
        command.args(arguments);
        command
    }

    /// The journal of the machine, for who wants to know why a story failed.
    pub async fn journal(&self) -> String {
        script::run(&mut self.machine(&["log", &self.name, "-o", "short-monotonic"])).await
    }

    fn machine(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(script::world_script("machine"));
        command.env("FLOE_WORLD", &self.world).args(arguments);
        command
    }
}

impl Running {
    async fn await_ready(&mut self, name: &str) {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap_or_else(|_| panic!("{name} did not boot in {PATIENCE:?}"))
            .unwrap();
        assert_eq!(line.as_deref(), Some("ready"), "{name} did not boot; see its console.log");
    }
}

/// Lies in wait for an agent; see [`Host::kill_agent_in`].
#[derive(Debug)]
pub struct Assassin {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    phase: String,
}

impl Assassin {
    /// Waits until it has killed.
    ///
    /// # Panics
    ///
    /// Where the phase never came.
    pub async fn strikes(mut self) {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("the agent was never {}", self.phase)).unwrap();
        assert_eq!(line.as_deref(), Some("killed"), "while {}", self.phase);
        self.child.wait().await.unwrap();
    }
}
