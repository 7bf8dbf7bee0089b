//! Programs and scripts of this repository, and the one way to wait for a state.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// How long anything in a story may take before the story has failed. A bound, not
/// a measure: what is fast is measured by `make bench`.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The root of this repository.
pub fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A script of `tests/world/`.
pub fn world_script(name: &str) -> PathBuf {
    repository_root().join("tests/world").join(name)
}

/// The built `floe`: of the same profile as this program, or `FLOE_BIN`.
pub fn floe() -> PathBuf {
    built("FLOE_BIN", || profile_directory().join("floe"))
}

/// The agent as it ships: the release build, or `FLOE_AGENT_BIN`.
pub fn agent() -> PathBuf {
    built("FLOE_AGENT_BIN", || target_directory().join("release/floe-agent"))
}

/// Where cargo lays everything that it builds, usually `target`.
///
/// # Panics
///
/// Where this program was not laid there by cargo.
pub fn target_directory() -> PathBuf {
    profile_directory().parent().unwrap().to_owned()
}

/// Programs lie in `target/PROFILE`, tests in `target/PROFILE/deps`.
fn profile_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    if folder.ends_with("deps") { folder.parent().unwrap() } else { folder }.to_owned()
}

fn built(variable: &str, place: impl FnOnce() -> PathBuf) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(place, PathBuf::from);
    // Absolute, since it is started from other directories.
    let absolute = path.canonicalize();
    absolute.unwrap_or_else(|_| panic!("{} is not built; run `make test`", path.display()))
}

/// Runs a program to its end, and gives what it printed if it succeeded.
///
/// # Panics
///
/// Where it fails, with everything that it said.
pub async fn run(command: &mut Command) -> String {
    let output = outcome(command).await;
    assert!(
        output.status.success(),
        "{:?} ended with {}\n{}{}",
        command.as_std(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs a program to its end, whatever that is.
pub async fn outcome(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, child).await {
        Ok(output) => output.unwrap_or_else(|e| panic!("{:?}: {e}", command.as_std())),
        Err(_) => panic!("{:?} did not end in {PATIENCE:?}", command.as_std()),
    }
}

/// Waits until `look` finds something. For states that announce themselves to
/// nobody, such as a phase in an agent's journal.
///
/// # Panics
///
/// When it has not come about in [`PATIENCE`]; says what was waited for.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
