//! A child process with an end: bounded in time, in output, and gone when dropped.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::program::command;

/// More output than this is cut off.
const MAX_OUTPUT: u64 = 1 << 20;

/// What a program said before it ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs `program` in `directory`, for at most `limit`, without input.
pub(super) async fn run(
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    directory: &Path,
    limit: Duration,
) -> io::Result<Ended> {
    run_with(program, arguments, directory, &[], limit).await
}

/// The same with these variables in its environment.
pub(super) async fn run_with(
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    directory: &Path,
    environment: &[(&str, &str)],
    limit: Duration,
) -> io::Result<Ended> {
    let mut child = command(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (stdout, stderr) = tokio::join!(read(stdout), read(stderr));
        Ok(Ended { status: child.wait().await?, stdout: stdout?, stderr: stderr? })
    };
    timeout(limit, ended).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(MAX_OUTPUT).read_to_end(&mut bytes).await?;
        // What is over the bound is read and dropped, so that the child does not block on it.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
