//! A fleet's signed documents, for tests; keys are numbers.

use floe_proto::admit::Host;
use floe_proto::envelope::Envelope;
use floe_proto::id::Epoch;
use floe_proto::key::SecretKey;
use floe_proto::manifest;
use floe_proto::preview;
use floe_proto::root::{self, Root, Signers};
use floe_proto::secret::{self, SecretSet};
use floe_proto::time::Timestamp;
use floe_proto::version::AgentVersion;

use crate::activation::played::order;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn sign(kind: &str, bytes: &[u8], by: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = by.iter().copied().map(key).collect();
    Envelope::sign(kind, bytes, &keys.iter().collect::<Vec<_>>()).unwrap()
}

/// A version of the trust root in which each of `roots` and of `release` suffices.
pub(crate) fn root(version: u32, roots: &[u8], release: &[u8], by: &[u8]) -> Vec<u8> {
    changed_root(version, roots, release, by, |_| ())
}

/// The same, with a change.
pub(crate) fn changed_root(
    version: u32,
    roots: &[u8],
    release: &[u8],
    by: &[u8],
    change: impl FnOnce(&mut Root),
) -> Vec<u8> {
    let signers = |keys: &[u8]| Signers {
        threshold: 1,
        keys: keys.iter().map(|number| key(*number).public().id()).collect(),
    };
    let mut all = [roots, release].concat();
    all.sort_unstable();
    all.dedup();
    let mut root = Root {
        schema: 1,
        fleet: "fossable.org".parse().unwrap(),
        version,
        epoch: Epoch::new(0),
        expires: "2027-11-22T00:00:00Z".parse().unwrap(),
        keys: all.iter().map(|number| key(*number).public()).collect(),
        root: signers(roots),
        release: signers(release),
    };
    change(&mut root);
    sign(root::TYPE, &root.to_bytes().unwrap(), by)
}

/// A manifest for [`host`], signed by `by`, and when.
pub(crate) fn manifest(by: u8) -> (Vec<u8>, Timestamp) {
    let manifest = order(7).manifest;
    (sign(manifest::TYPE, &manifest.to_bytes().unwrap(), &[by]), manifest.created)
}

/// A preview for [`host`], signed by `by`, and when.
pub(crate) fn preview(by: u8) -> (Vec<u8>, Timestamp) {
    let manifest = order(7).manifest;
    (sign(preview::TYPE, &manifest.to_bytes().unwrap(), &[by]), manifest.created)
}

/// A role's secrets, signed by `by`.
pub(crate) fn secrets(set: &SecretSet, by: u8) -> Vec<u8> {
    sign(secret::TYPE, &set.to_bytes().unwrap(), &[by])
}

/// A host of the role that [`manifest`] is for.
pub(crate) fn host() -> Host {
    let manifest = order(7).manifest;
    Host {
        fleet: manifest.fleet,
        role: manifest.role,
        system: manifest.system,
        agent: AgentVersion::new(0, 1, 0),
    }
}
