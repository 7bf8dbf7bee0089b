//! Trust roots for tests: key `n` is the one of the seed of 32 bytes `n`.

use floe_proto::envelope::Envelope;
use floe_proto::id::Epoch;
use floe_proto::key::{PublicKey, SecretKey};
use floe_proto::root::{self, Root, Signers};

/// Key `number`.
pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// Version `version`: one of the keys `root` must sign the next, one of `release` manifests.
pub(crate) fn root(version: u32, root: &[u8], release: &[u8]) -> Root {
    let mut all: Vec<u8> = root.iter().chain(release).copied().collect();
    all.sort_unstable();
    all.dedup();
    let public = |numbers: &[u8]| numbers.iter().map(|n| key(*n).public()).collect::<Vec<_>>();
    let ids = |numbers: &[u8]| public(numbers).iter().map(PublicKey::id).collect();
    Root {
        schema: root::SCHEMA,
        fleet: "fossable.org".parse().unwrap(),
        version,
        epoch: Epoch::new(0),
        // The same at every call, since two documents of one version are two.
        expires: "2100-01-01T00:00:00Z".parse().unwrap(),
        keys: public(&all),
        root: Signers { threshold: 1, keys: ids(root) },
        release: Signers { threshold: 1, keys: ids(release) },
    }
}

/// `root`, signed by these keys.
pub(crate) fn signed(root: &Root, signers: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = signers.iter().map(|number| key(*number)).collect();
    let keys: Vec<_> = keys.iter().collect();
    Envelope::sign(root::TYPE, &root.to_bytes().unwrap(), &keys).unwrap()
}
