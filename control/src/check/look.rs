//! The whole repository, part by part; what is wrong with one keeps no other from being looked at.

use std::path::Path;

use floe_proto::id::{Fleet, Role};
use floe_proto::time::Timestamp;

use super::finding::{Finding, Findings};
use super::{fleet, keys, role, vault};
use crate::bundle::selection::Selection;
use crate::repository::{Error, HOSTS};

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whose repository it is, if floe.toml is right.
    pub fleet: Option<Fleet>,
    /// The roles that were looked at.
    pub roles: Vec<Role>,
    /// Everything, file by file in the order of reading.
    pub findings: Vec<Finding>,
}

/// Looks at the repository at `root`: all roles of it, or `only` these.
///
/// # Errors
///
/// [`Error::NoSuchRole`] for one that is not there.
pub async fn look(root: &Path, only: &[Role], now: Timestamp) -> Result<Looked, Error> {
    let mut findings = Findings::new(root);
    let repository = fleet::settings(&mut findings);
    let trust = fleet::trust(repository.as_ref(), now, &mut findings);
    let known = role::roles(&mut findings);
    let flakes: Vec<_> = known.iter().map(|(_, path)| role::flake_of(root, path)).collect();
    // A flake has a lock file of its own.
    let needs_lock = flakes.is_empty() || flakes.iter().any(Option::is_none);
    let lock = if needs_lock { fleet::lock(&mut findings) } else { None };

    if let Some(role) = only.iter().find(|role| !known.iter().any(|(known, _)| known == *role)) {
        let known = known.iter().map(|(role, _)| role.to_string()).collect();
        return Err(Error::NoSuchRole { role: role.clone(), hosts: root.join(HOSTS), known });
    }
    let packed = known.iter().zip(flakes).map(|((_, directory), flake)| match flake {
        Some(flake) => flake,
        None => (directory.clone(), Selection::Role),
    });
    let mut trees: Vec<_> = packed.collect();
    let pins = lock.iter().flat_map(|lock| fleet::trees(root, lock));
    trees.extend(pins.map(|tree| (tree, Selection::Role)));
    if let Some(repository) = &repository {
        keys::look(repository, trust.as_ref(), &trees, &mut findings).await;
    }

    vault::look(&mut findings);

    let chosen = known.into_iter().filter(|(role, _)| only.is_empty() || only.contains(role));
    let (mut roles, mut parsed) = (Vec::new(), true);
    for (role, directory) in chosen {
        parsed = role::look(&directory, &mut findings).await && parsed;
        roles.push(role);
    }
    if !parsed {
        let message =
            "Nix is not here, or does not work: nobody looked for typing errors in .nix files";
        findings.note(&root.join(HOSTS), message);
    }
    let fleet = repository.map(|repository| repository.file().fleet.clone());
    Ok(Looked { fleet, roles, findings: findings.into_inner() })
}
