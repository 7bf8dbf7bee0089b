//! Lies in wait on a host, and strikes.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::plan::{Blow, Target};
use crate::host::Host;
use crate::script;

/// A blow that is about to fall. It does not once this is dropped, or the host goes down.
#[derive(Debug)]
pub struct Reaper {
    _child: Child,
    /// Ends the reaper when it is closed: who is let into a host is not ended by a signal.
    _stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Reaper {
    /// Has `host` wait for `blow`, whose writes are counted from number `from`.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn lie_in_wait(host: &Host, blow: &Blow, from: u64) -> Self {
        let (write, delay) = (from + blow.writes, blow.delay.as_secs_f64());
        let mut child = host
            .command(&["python3", "-c", include_str!("reaper.py")])
            .args([&write.to_string(), &delay.to_string(), name(blow.target)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, _stdin: stdin, lines: BufReader::new(stdout).lines() }
    }

    /// Waits for the blow, and for as many as it has; says in which phases they fell. Fewer
    /// where the host went down before.
    pub async fn strikes(&mut self, blow: &Blow) -> Vec<String> {
        let mut phases = Vec::new();
        while phases.len() < blow.target.kills() {
            match self.lines.next_line().await {
                Ok(Some(line)) => phases.extend(line.strip_prefix("struck ").map(str::to_owned)),
                Ok(None) | Err(_) => break,
            }
        }
        phases
    }
}

/// How often `host` has written its activation journal.
pub async fn writes(host: &Host) -> u64 {
    script::eventually("the journal to be read", async || {
        let head = script::outcome(&mut host.command(&["head", "-n", "1", JOURNAL])).await;
        let head = String::from_utf8_lossy(&head.stdout).into_owned();
        head.split(' ').nth(2)?.parse().ok()
    })
    .await
}

const JOURNAL: &str = "/var/lib/floe/journal/current";

fn name(target: Target) -> &'static str {
    match target {
        Target::Agent => "agent",
        Target::Switch => "switch",
        Target::Build => "build",
        Target::Guard => "guard",
        Target::Power => "power",
    }
}
