//! The control plane: the real `floe serve`, which can be killed and come back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::script::{self, PATIENCE};

/// Where every part of the world finds it.
pub const URL: &str = "https://10.77.0.1:7443";

/// A running `floe serve`. Its data outlives the process.
#[derive(Debug)]
pub struct ControlPlane {
    world: PathBuf,
    repository: PathBuf,
    /// Typed after `floe serve` beside what every world needs.
    options: Vec<String>,
    child: Child,
}

impl ControlPlane {
    /// Starts it for the fleet of `repository`, and returns when it listens.
    pub async fn start(world: &Path, repository: &Path) -> Self {
        let child = serve(world, repository, &[]).await;
        let (world, repository) = (world.to_owned(), repository.to_owned());
        Self { world, repository, options: Vec::new(), child }
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Panics
    ///
    /// Where it is not there to be killed.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again on the same data.
    pub async fn start_again(&mut self) {
        self.child = serve(&self.world, &self.repository, &self.options).await;
    }

    /// The same with these options of `floe serve` from now on.
    pub async fn start_again_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|&option| option.to_owned()).collect();
        self.start_again().await;
    }

    /// The same data served for another repository (another trust root).
    pub async fn start_again_for(&mut self, repository: &Path) {
        self.repository = repository.to_owned();
        self.start_again().await;
    }

    /// The process id of `floe serve`.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        data(&self.world)
    }
}

/// The data directory of the control plane of `world`.
pub fn data(world: &Path) -> PathBuf {
    world.join("control")
}

/// `floe serve` prints a line when it listens; what it logs goes to a file.
async fn serve(world: &Path, repository: &Path, options: &[String]) -> Child {
    let log = world.join("control.log");
    let log_file = File::options().create(true).append(true).open(&log).unwrap();
    let mut child = Command::new(script::world_script("net"))
        .env("FLOE_WORLD", world)
        .args(["exec".as_ref(), script::floe().as_os_str(), "serve".as_ref()])
        .arg("--data")
        .arg(data(world))
        .args(["--listen", "10.77.0.1:7443", "--public-url", URL])
        .args(["--objects-listen", "10.77.0.1:7444"])
        .args(["--objects-url", "https://10.77.0.1:7444"])
        .args(options)
        .current_dir(repository)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(first.is_some(), "`floe serve` ended before it listened\n{}", said());
    child
}
