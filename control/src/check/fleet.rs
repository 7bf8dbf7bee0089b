//! The files of the whole fleet: floe.toml, trust.json, floe.lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::payload::lock::Lock;
use floe_proto::payload::pin::Pin;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::Verified;

use super::finding::{Findings, Severity};
use crate::repository::{self, LOCK_FILE, Place, Repository, TRUST_FILE, place_in, read_lock};

/// Long enough before the end for everybody to sign the next one.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// What floe.toml says, if it is right.
pub(super) fn settings(findings: &mut Findings) -> Option<Repository> {
    Repository::open(findings.root()).map_err(|error| findings.refused(&error)).ok()
}

/// The trust root, if it can be believed.
pub(super) fn trust(
    repository: Option<&Repository>,
    now: Timestamp,
    findings: &mut Findings,
) -> Option<Verified<Root>> {
    let path = findings.root().join(TRUST_FILE);
    if !path.exists() {
        let advice = "restore it from version control, or begin one with `floe init FLEET`";
        findings.error(&path, "there is no trust root: no host would believe anybody", advice);
        return None;
    }
    let read = match repository {
        Some(repository) => repository.trust(),
        None => repository::read_trust(&path),
    };
    let root = read.map_err(|error| findings.refused(&error)).ok()?;
    let advice = "make the next version and publish it: floe trust renew";
    if root.expires <= now {
        findings.error(&path, format!("the trust root expired on {}", root.expires), advice);
    } else if root.expires <= now.after(RENEW_BEFORE) {
        let days = root.expires.since(now).as_secs() / 86_400;
        let message = format!("the trust root expires on {}, in {days} days", root.expires);
        findings.warning(&path, message, advice);
    }
    Some(root)
}

/// The pins, if they can be used.
pub(super) fn lock(findings: &mut Findings) -> Option<Lock> {
    let path = findings.root().join(LOCK_FILE);
    let lock = read_lock(&path).map_err(|error| findings.refused(&error)).ok()?;
    for (name, pin) in &lock.pins {
        let Pin::Path(tree) = pin else { continue };
        if !findings.root().join(tree.as_str()).is_dir() {
            let place = place(&path, &format!("pins.{name}.path"));
            let message = format!("the pin `{name}` is a path, and there is no directory `{tree}`");
            let advice = format!("correct [pins.{name}]: path, or url and sha256");
            findings.add(Severity::Error, &path, place, message, Some(advice));
        }
    }
    Some(lock)
}

fn place(path: &Path, name: &str) -> Option<Place> {
    place_in(&fs::read_to_string(path).ok()?, name)
}

/// The trees of the repository that travel in every bundle.
pub(super) fn trees(root: &Path, lock: &Lock) -> Vec<PathBuf> {
    let paths = lock.pins.values().filter_map(|pin| match pin {
        Pin::Path(path) => Some(root.join(path.as_str())),
        Pin::Url { .. } => None,
    });
    paths.collect()
}
