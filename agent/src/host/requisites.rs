//! What of the store a system needs, as Nix has it on record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::paths::STORE;
use super::process::{self, Process};
use crate::activation::state::Toplevel;
use crate::preview::difference;

/// A large system has some thousand store paths.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// How long Nix may take to look it up.
const LIMIT: Duration = Duration::from_secs(120);

/// How many paths are asked about at once: the kernel bounds a command line.
const AT_ONCE: usize = 500;

/// Store paths by name, and the bytes of their NARs.
pub type Sizes = BTreeMap<String, u64>;

/// The store paths that only `built` needs, and those that only `running` needs.
///
/// # Errors
///
/// Why Nix did not say it.
pub async fn only(running: &Toplevel, built: &Toplevel) -> Result<(Sizes, Sizes), process::Error> {
    let (running, built) = (closure(running).await?, closure(built).await?);
    let (added, removed) = difference::paths(&running, &built);
    Ok((sized(added).await?, sized(removed).await?))
}

async fn closure(system: &Toplevel) -> Result<BTreeSet<String>, process::Error> {
    let asked = Process::new("nix-store").args(["--query", "--requisites"]).arg(system.as_path());
    let answer = asked.within(LIMIT).keeping(MAX_OUTPUT).output().await?.success()?;
    Ok(answer.stdout.lines().map(str::to_owned).collect())
}

async fn sized(paths: Vec<String>) -> Result<Sizes, process::Error> {
    let mut sizes = Sizes::new();
    for paths in paths.chunks(AT_ONCE) {
        let asked = Process::new("nix-store").args(["--query", "--size"]).args(paths);
        let answer = asked.within(LIMIT).keeping(MAX_OUTPUT).output().await?.success()?;
        let found = paths.iter().zip(answer.stdout.lines());
        sizes.extend(found.map(|(path, size)| (name(path), size.trim().parse().unwrap_or(0))));
    }
    Ok(sizes)
}

fn name(path: &str) -> String {
    path.strip_prefix(STORE).unwrap_or(path).trim_start_matches('/').to_owned()
}
