//! The password of a vault: typed, in a file, or told by a program.
//!
//! As Ansible has it: white space around what a file holds does not count, and a file
//! that is executable is run, and prints the password.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::error::Error;
use super::format::is_sealed;
use crate::program::command;

/// A password; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes what somebody typed.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPassword`].
    pub fn new(typed: &[u8]) -> Result<Self, Error> {
        Self::exactly(typed.trim_ascii())
    }

    /// Reads the file `path`, or runs it where it is executable.
    ///
    /// # Errors
    ///
    /// [`Error`], naming the file.
    pub async fn of_file(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::PasswordFile { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if found.is_file() && found.permissions().mode() & 0o111 != 0 {
            return Self::told_by(path).await;
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        if is_sealed(&bytes) {
            return Err(Error::SealedPassword { path: path.to_owned() });
        }
        Self::new(&bytes)
    }

    /// As [`Password::of_file`], for a file that is executable. What it says on stderr is
    /// shown and it may ask on the terminal, so that it can prompt for a token.
    async fn told_by(path: &Path) -> Result<Self, Error> {
        let unrun = |source| Error::Unrun { path: path.to_owned(), source };
        // A bare name would be looked for in PATH.
        let program = std::path::absolute(path).map_err(unrun)?;
        let mut child = command(&program)
            .args(client_arguments(&program))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(unrun)?;
        let stdout = child.stdout.take();
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        let ended = async {
            if let Some(mut stdout) = stdout {
                (&mut stdout).take(MAX_BYTES).read_to_end(&mut bytes).await?;
                // The pipe is closed here: who says more is told by SIGPIPE.
            }
            child.wait().await
        };
        let late = |_| unrun(io::Error::from(io::ErrorKind::TimedOut));
        let status = timeout(PATIENCE, ended).await.map_err(late)?.map_err(unrun)?;
        if !status.success() {
            return Err(Error::Failed { path: path.to_owned(), status });
        }
        // Of a program only the ends of lines are taken away.
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let begin = bytes.iter().take_while(|byte| is_end(byte)).count();
        let end = bytes.len() - bytes[begin..].iter().rev().take_while(|byte| is_end(byte)).count();
        Self::exactly(&bytes[begin..end])
    }

    fn exactly(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::EmptyPassword);
        }
        Ok(Self(Zeroizing::new(bytes.to_owned())))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A program whose name ends in `-client` is asked for the password of a vault id.
fn client_arguments(program: &Path) -> Vec<&'static str> {
    let stem = program.file_stem().map(PathBuf::from).unwrap_or_default();
    if stem.to_string_lossy().ends_with("-client") { vec!["--vault-id", "default"] } else { vec![] }
}

/// Longer than any password.
const MAX_BYTES: u64 = 64 << 10;

/// With room for what passwords are, no copy is left behind by growing.
const ROOM: usize = 8 << 10;

/// Who must find a token and touch it needs a while.
const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
