//! Child programs, bounded in time and output. The only caller of `Command`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::activation::verdict::Ended;

/// The most that is kept of each output stream, unless more is asked for.
const MAX_OUTPUT: usize = 256 * 1024;

/// A program that is about to be run.
#[derive(Debug)]
pub struct Process {
    name: String,
    command: Command,
    limit: Duration,
    keep: usize,
}

impl Process {
    /// `program` is a path, or a name that is looked up in PATH.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).kill_on_drop(true);
        Self { name, command, limit: Duration::from_secs(30), keep: MAX_OUTPUT }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Gives the program nothing of our environment but `variables`.
    #[must_use]
    pub fn only_env(
        mut self,
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Self {
        self.command.env_clear().envs(variables);
        self
    }

    /// The program is killed after this; 30 seconds if nothing else is said.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// So many bytes are kept of each output stream; 256 KiB if nothing else is said.
    #[must_use]
    pub fn keeping(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Runs the program to its end and keeps what it wrote.
    ///
    /// # Errors
    ///
    /// [`Error`] where it could not be started, or took too long.
    pub async fn output(mut self) -> Result<Output, Error> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = self.spawn()?;
        let mut group = Group(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let keep = self.keep;
        let running = async {
            let (stdout, stderr, status) =
                tokio::join!(bounded(stdout, keep), bounded(stderr, keep), child.wait());
            group.0 = None;
            status.map(|status| Output { program: self.name.clone(), status, stdout, stderr })
        };
        match timeout(self.limit, running).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(source)) => Err(Error::NotStarted { program: self.name, source }),
            Err(_) => Err(Error::TooSlow { program: self.name, limit: self.limit }),
        }
    }

    /// Runs the program to its end; it writes where we do.
    ///
    /// # Errors
    ///
    /// [`Error::NotStarted`]. The time limit does not apply: the caller's unit has one.
    pub async fn inherit(mut self) -> Result<Ended, Error> {
        let mut child = self.spawn()?;
        match child.wait().await {
            Ok(status) => Ok(ended(status)),
            Err(source) => Err(Error::NotStarted { program: self.name, source }),
        }
    }

    /// Starts the program with its output on a pipe; it is killed when the child is
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`Error::NotStarted`].
    pub fn follow(mut self) -> Result<Child, Error> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::null());
        self.spawn()
    }

    fn spawn(&mut self) -> Result<Child, Error> {
        self.command
            .spawn()
            .map_err(|source| Error::NotStarted { program: self.name.clone(), source })
    }
}

/// What a program left.
#[derive(Debug)]
pub struct Output {
    program: String,
    status: ExitStatus,
    /// The beginning of its standard output.
    pub stdout: String,
    /// The beginning of its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with 0.
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// How it ended.
    pub fn ended(&self) -> Ended {
        ended(self.status)
    }

    /// Itself, if it ended with 0.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with what it said.
    pub fn success(self) -> Result<Self, Error> {
        if self.is_success() {
            return Ok(self);
        }
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let said = said.trim().chars().take(1000).collect();
        Err(Error::Failed { program: self.program, status: self.status, said })
    }
}

/// A program with all that it started, killed when this is dropped before its end: a
/// health check that hangs is begun again and again, and must not leave its children.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // Fails where all of it is gone, which is as good.
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

/// The file that this process was started from, links resolved.
///
/// # Errors
///
/// What the kernel said.
pub fn own_program() -> io::Result<std::path::PathBuf> {
    std::fs::canonicalize(Path::new("/proc/self/exe"))
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Vanished,
    }
}

/// Reads to the end, so that the writer never blocks, and keeps the beginning.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, keep: usize) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 8192]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let room = keep.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Why a program was of no help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or could not be run.
    #[error("could not run `{program}`")]
    NotStarted {
        /// Its name.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It was killed, because it did not end.
    #[error("`{program}` did not end within {limit:?}")]
    TooSlow {
        /// Its name.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended, and said that it failed.
    #[error("`{program}` failed ({status}): {said}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        said: String,
    },
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "put the program into the PATH of floe-agent.service",
            Self::TooSlow { .. } => "look at the machine's load and at `systemctl list-jobs`",
            Self::Failed { .. } => "see what it said, and run it by hand on the host",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_says_and_how_it_ended_is_known() {
        let output = Process::new("sh").args(["-c", "echo out; echo err >&2; exit 4"]).output();
        let output = output.await.unwrap();
        assert_eq!((output.stdout.as_str(), output.ended()), ("out\n", Ended::Exit(4)));
        assert!(output.success().unwrap_err().to_string().contains("err"));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed() {
        let slow = Process::new("sleep").arg("60").within(Duration::from_millis(20)).output();
        assert!(matches!(slow.await, Err(Error::TooSlow { .. })));
    }

    #[tokio::test]
    async fn what_a_program_that_hangs_had_started_is_killed_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = Process::new("mkfifo").arg(&fifo).output().await.unwrap();
        assert!(made.is_success());
        // The end of the file comes when the last child that holds it is gone.
        let script = format!("exec 9>{}; (sleep 60; :) & sleep 60", fifo.display());
        let slow = Process::new("sh").args(["-c", &script]).within(Duration::from_millis(100));
        let reading = async { tokio::fs::read(&fifo).await.unwrap() };
        let both = async { tokio::join!(slow.output(), reading) };
        let (ended, _) = timeout(Duration::from_secs(10), both).await.expect("its child is killed");
        assert!(matches!(ended, Err(Error::TooSlow { .. })));
    }

    #[tokio::test]
    async fn a_program_that_never_stops_writing_fills_no_memory() {
        let output = Process::new("sh").args(["-c", "yes | head -c 3000000"]).output();
        assert_eq!(output.await.unwrap().stdout.len(), MAX_OUTPUT);
    }
}
