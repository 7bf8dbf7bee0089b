//! The keys that floe.toml names: they are there, belong to their owner alone, and stay out
//! of version control and of bundles. No passphrase is asked for.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use floe_proto::root::Root;
use floe_proto::verify::Verified;

use super::finding::{Findings, Severity, with_causes};
use crate::bundle::cache_key::CacheKey;
use crate::bundle::git::{self, Kept};
use crate::bundle::selection::Selection;
use crate::repository::Repository;
use crate::signing::{self, Seen};

/// Looks at every key; `trees` are packed, as far as their selections say.
pub(super) async fn look(
    repository: &Repository,
    trust: Option<&Verified<Root>>,
    trees: &[(PathBuf, Selection)],
    findings: &mut Findings,
) {
    for path in repository.key_files() {
        release_key(&path, trust, findings).await;
    }
    if let Some(path) = repository.login_key()
        && !repository.key_files().contains(&path)
    {
        key(&path, findings).await;
    }
    if let Some(path) = repository.cache_key() {
        cache_key(&path, findings).await;
    }
    let credentials = repository.credentials();
    let own = credentials.join("key.pem");
    if own.exists() {
        alone(&own, findings);
        ignored(&own, findings).await;
    }
    let secrets = repository.key_files().into_iter().chain(repository.login_key());
    for secret in secrets.chain(repository.cache_key()).chain([credentials]) {
        let around = trees.iter().filter(|(tree, selection)| selection.reaches(&secret, tree));
        for (tree, _) in around {
            let tree = tree.strip_prefix(findings.root()).unwrap_or(tree).display().to_string();
            let advice = "move it: a bundle is read by every host and by the object store";
            findings.error(
                &secret,
                format!("the key lies in `{tree}`, which is packed as it is"),
                advice,
            );
        }
    }
}

async fn release_key(path: &Path, trust: Option<&Verified<Root>>, findings: &mut Findings) {
    let Some(Seen::Clear(public)) = key(path, findings).await else { return };
    if let Some(root) = trust
        && !root.release.keys.contains(&public.id())
    {
        let message = format!("the key {} is no release key of trust.json", public.id());
        findings.warning(
            path,
            message,
            "name one that is in `[signing]`, or let the root keys add it",
        );
    }
}

/// What `path` holds, if it is a key that may be used.
async fn key(path: &Path, findings: &mut Findings) -> Option<Seen> {
    match signing::look_at(path) {
        Ok(seen) => {
            // An encrypted one may lie anywhere.
            if matches!(seen, Seen::Clear(_)) {
                ignored(path, findings).await;
            }
            Some(seen)
        }
        Err(signing::Error::NoKey { .. }) => {
            let advice = "nobody can push from here without it; restore it from its backup";
            findings.warning(path, "the key that floe.toml names is not there", advice);
            None
        }
        Err(error) => {
            findings.add(Severity::Error, path, None, with_causes(&error), Some(error.advice()));
            if matches!(error, signing::Error::Exposed { .. }) {
                ignored(path, findings).await;
            }
            None
        }
    }
}

async fn cache_key(path: &Path, findings: &mut Findings) {
    if !path.exists() {
        let advice = "`floe push --closure` needs it; restore it from its backup";
        findings.warning(path, "the key of the binary cache is not there", advice);
        return;
    }
    if let Err(error) = CacheKey::read(path) {
        let advice = error.advice().to_owned();
        findings.add(Severity::Error, path, None, with_causes(&error), Some(advice));
    }
    ignored(path, findings).await;
}

/// Whether others can read it.
fn alone(path: &Path, findings: &mut Findings) {
    let Ok(found) = path.metadata() else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = format!("the key can be read by others than its owner (mode {mode:03o})");
        findings.error(path, message, "chmod 600 it; if others had it, revoke the certificate");
    }
}

/// Whether git would take it along.
async fn ignored(path: &Path, findings: &mut Findings) {
    let Ok(inside) = path.strip_prefix(findings.root()) else { return };
    match git::kept(findings.root(), inside).await {
        Kept::Tracked => findings.error(
            path,
            "the key is in version control: who has a copy of the repository has the key",
            "make another one and take this one out of trust.json; history keeps it for ever",
        ),
        Kept::Untracked => findings.error(
            path,
            "git does not ignore the key: the next `git add` takes it",
            &format!("add a line to .gitignore: /{}", inside.display()),
        ),
        Kept::Ignored | Kept::Unknown => {}
    }
}
