//! The hash of what lies behind a URL, as hosts will compute it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

use floe_proto::payload::pin::{PinHash, PinUrl};

use super::error::Error;
use crate::bundle::process;

/// Longer than nixpkgs takes on a slow line.
const LIMIT: Duration = Duration::from_secs(1800);

/// Neither channels decide anything, nor does anybody ask for a password.
const ENVIRONMENT: [(&str, &str); 2] = [("NIX_PATH", ""), ("GIT_TERMINAL_PROMPT", "0")];

/// Fetches and unpacks what lies at `url`, and says its hash: that of `builtins.fetchTarball`.
///
/// # Errors
///
/// [`Error::Failed`] with what Nix said.
pub async fn prefetch(url: &PinUrl) -> Result<PinHash, Error> {
    // The name that `fetchTarball` gives it, so that the store has it once.
    let arguments = ["--unpack", "--type", "sha256", "--name", "source", url.as_str()];
    let said = run(NIX, arguments, LIMIT).await?;
    let hash = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    hash.parse().map_err(|_| Error::Failed { program: NIX, said: format!("`{hash}` is no hash") })
}

const NIX: &str = "nix-prefetch-url";

/// What `program` says on stdout, if it succeeds.
pub(super) async fn run(
    program: &'static str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    limit: Duration,
) -> Result<String, Error> {
    let ended = process::run_with(program, arguments, Path::new("."), &ENVIRONMENT, limit).await;
    match ended {
        Ok(ended) if ended.status.success() => Ok(ended.stdout),
        Ok(ended) => Err(Error::Failed { program, said: last_lines(&ended.stderr) }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::NoProgram { program })
        }
        Err(source) => Err(Error::Started { program, source }),
    }
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
    last.chars().filter(|c| !c.is_control()).take(400).collect()
}
