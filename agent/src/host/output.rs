//! What a build or a trial writes, from the journal: followed while it runs, bounded.
//!
//! The output goes to journald and not to us, so that it is there whatever becomes of
//! this process. Ours is found by the identifier that the unit gave it, which travels
//! with the stream itself.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{sleep, timeout};

use super::process::Process;

/// The longest line that is passed on, in bytes.
const MAX_LINE: usize = 4096;

/// The most lines that are passed on at once.
const MAX_BATCH: usize = 256;

/// The most lines that are passed on of one unit.
const MAX_LINES: usize = 20_000;

/// How long lines are collected before they are passed on.
const PATIENCE: Duration = Duration::from_millis(100);

/// Does `work`, and passes to `tell` what is written under `identifier` meanwhile.
pub async fn while_following<F: Future>(
    identifier: &str,
    mut tell: impl FnMut(Vec<String>),
    work: F,
) -> F::Output {
    let mut follower = Follower::default();
    let mut work = pin!(work);
    let done = {
        let following = follower.follow(identifier, &mut tell);
        let mut following = pin!(following);
        tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = &mut following => None,
        }
    };
    // Where there is no journal to follow, the work is done all the same.
    let done = match done {
        Some(done) => done,
        None => work.await,
    };
    follower.rest(identifier, &mut tell).await;
    done
}

/// The last lines that were written under `identifier`, once journald has them all.
pub async fn tail(identifier: &str, lines: usize) -> Vec<String> {
    // Fails where there is no journal; then there is nothing to read either.
    let synced = Process::new("journalctl").arg("--sync").within(Duration::from_secs(5)).output();
    if let Err(error) = synced.await {
        log::debug!(error:% = error; "could not sync the journal");
    }
    let count = format!("--lines={lines}");
    let read = Process::new("journalctl").args(ARGS).args([&count, "-t", identifier]).output();
    let Ok(read) = read.await else { return Vec::new() };
    let mut kept: VecDeque<String> =
        read.stdout.lines().filter_map(Entry::parse).flat_map(Entry::lines).collect();
    while kept.len() > lines {
        kept.pop_front();
    }
    kept.into()
}

const ARGS: [&str; 5] =
    ["--no-pager", "--quiet", "--boot", "--output=json", "--output-fields=MESSAGE"];

#[derive(Default)]
struct Follower {
    cursor: Option<String>,
    passed_on: usize,
    batch: Vec<String>,
}

impl Follower {
    async fn follow(&mut self, identifier: &str, tell: &mut impl FnMut(Vec<String>)) {
        let journal = Process::new("journalctl").args(ARGS);
        let child = journal.args(["--follow", "--lines=all", "-t", identifier]).follow();
        let Ok(mut child) = child else { return };
        let Some(stdout) = child.stdout.take() else { return };
        let mut lines = BufReader::new(stdout).lines();
        loop {
            let line = if self.batch.is_empty() {
                lines.next_line().await
            } else {
                match timeout(PATIENCE, lines.next_line()).await {
                    Ok(line) => line,
                    Err(_) => {
                        tell(std::mem::take(&mut self.batch));
                        continue;
                    }
                }
            };
            let Ok(Some(line)) = line else { return };
            self.take(&line, tell);
        }
    }

    /// What was written since, and is not passed on yet.
    async fn rest(&mut self, identifier: &str, tell: &mut impl FnMut(Vec<String>)) {
        // journald reads what a unit wrote a moment after it wrote it.
        sleep(Duration::from_millis(10)).await;
        let after = self.cursor.as_ref().map(|cursor| format!("--after-cursor={cursor}"));
        let read = Process::new("journalctl").args(ARGS).args(after).args(["-t", identifier]);
        if let Ok(read) = read.within(Duration::from_secs(5)).output().await {
            for line in read.stdout.lines() {
                self.take(line, tell);
            }
        }
        if !self.batch.is_empty() {
            tell(std::mem::take(&mut self.batch));
        }
    }

    fn take(&mut self, line: &str, tell: &mut impl FnMut(Vec<String>)) {
        let Some(mut entry) = Entry::parse(line) else { return };
        self.cursor = entry.cursor.take();
        for line in entry.lines() {
            self.passed_on += 1;
            if self.passed_on == MAX_LINES {
                self.batch.push("… and more, in the journal of the host".to_owned());
            } else if self.passed_on < MAX_LINES {
                self.batch.push(line);
            }
            if self.batch.len() >= MAX_BATCH {
                tell(std::mem::take(&mut self.batch));
            }
        }
    }
}

/// An entry as `journalctl --output=json` writes it; what is not UTF-8 comes as bytes.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: Option<String>,
    #[serde(rename = "MESSAGE", default)]
    message: Message,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
    #[default]
    None,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    fn lines(self) -> Vec<String> {
        let text = match self.message {
            Message::Text(text) => text,
            Message::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Message::None => return Vec::new(),
        };
        text.lines().map(clean).collect()
    }
}

/// A line without what could drive a terminal (colours included), cut to its bound.
fn clean(line: &str) -> String {
    let mut clean = String::with_capacity(line.len().min(MAX_LINE));
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            // ECMA-48: a control sequence ends with a byte from `@` to `~`.
            if chars.next() == Some('[') {
                chars.by_ref().find(|char| ('@'..='~').contains(char));
            }
        } else if char == '\t' || !char.is_control() {
            if clean.len() + char.len_utf8() > MAX_LINE {
                break;
            }
            clean.push(char);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_and_nothing_are_read() {
        let lines = |json: &str| Entry::parse(json).map(Entry::lines);
        assert_eq!(lines(r#"{"__CURSOR":"c","MESSAGE":"a\nb"}"#).unwrap(), ["a", "b"]);
        assert_eq!(lines(r#"{"MESSAGE":[27,91,51,49,109,97,27,91,48,109]}"#).unwrap(), ["a"]);
        assert!(lines(r#"{"MESSAGE":null}"#).unwrap().is_empty());
        assert!(lines("{}").unwrap().is_empty());
        assert!(lines("no json").is_none());
    }

    #[test]
    fn a_line_cannot_drive_a_terminal_and_has_an_end() {
        assert_eq!(clean("\u{1b}[1;31merror:\u{1b}[0m x\u{7}\ty"), "error: x\ty");
        assert_eq!(clean(&"ä".repeat(5000)).len(), MAX_LINE);
    }

    #[test]
    fn output_is_passed_on_in_bounded_pieces_and_not_for_ever() {
        let (mut follower, mut told) = (Follower::default(), Vec::new());
        let mut tell = |lines: Vec<String>| told.push(lines);
        for number in 0..MAX_LINES + 500 {
            let entry = format!(r#"{{"__CURSOR":"{number}","MESSAGE":"line {number}"}}"#);
            follower.take(&entry, &mut tell);
        }
        assert!(told.iter().all(|lines| lines.len() <= MAX_BATCH));
        let passed: usize = told.iter().map(Vec::len).sum();
        assert_eq!(passed + follower.batch.len(), MAX_LINES);
    }
}
