//! What files a bundle is, and what nobody is asked to sign.

use floe_proto::id::Epoch;
use floe_proto::key::SecretKey;
use floe_proto::root::{self, Signers};

use super::super::state::tests::older;
use super::*;

#[test]
fn either_name_stands_for_both_files() {
    let files = Files::named(Path::new("out"), "www-7");
    assert_eq!(Files::of(Path::new("out/www-7.tar.zst")).unwrap(), files);
    assert_eq!(Files::of(Path::new("out/www-7.manifest.json")).unwrap(), files);
    assert!(Files::of(Path::new("out/www-7.zip")).is_err());
}

const PAYLOAD: &[u8] = b"no archive";

/// What a holder is told of `manifest`, which nobody signed yet, beside [`PAYLOAD`].
fn told(kind: &str, change: impl FnOnce(&mut Manifest)) -> Error {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::named(directory.path(), "www-4");
    let mut manifest = older();
    manifest.payload.sha256 = Digest::of(PAYLOAD);
    manifest.payload.length = (PAYLOAD.len() as u64).try_into().unwrap();
    change(&mut manifest);
    let envelope = Envelope::unsigned(kind, manifest.to_bytes().unwrap());
    fs::write(&files.manifest, envelope.to_bytes().unwrap()).unwrap();
    fs::write(&files.payload, PAYLOAD).unwrap();
    let key = SecretKey::from_seed(&[1; 32]).public();
    let signers = || Signers { threshold: 1, keys: vec![key.id()] };
    let root = Root {
        schema: root::SCHEMA,
        fleet: "fossable.org".parse().unwrap(),
        version: 1,
        epoch: Epoch::new(0),
        expires: "2027-11-22T00:00:00Z".parse().unwrap(),
        keys: vec![key],
        root: signers(),
        release: signers(),
    };
    signable(&files, &root, "2026-12-01T00:00:00Z".parse().unwrap()).unwrap_err()
}

#[test]
fn t007_t021_t024_t034_nobody_is_asked_to_sign_what_no_host_takes() {
    let refused = |change: fn(&mut Manifest)| told(manifest::TYPE, change);
    // All else is in order: it comes to the payload, which is none.
    assert!(matches!(refused(|_| ()), Error::Unpack { .. }));
    assert!(matches!(
        told(root::TYPE, |_| ()),
        Error::Refused { source: verify::Error::OtherKind { .. }, .. }
    ));
    assert!(matches!(
        refused(|manifest| manifest.fleet = "example.org".parse().unwrap()),
        Error::Refused { source: verify::Error::OtherFleet { .. }, .. }
    ));
    assert!(matches!(
        refused(|manifest| manifest.epoch = Epoch::new(1)),
        Error::Refused { source: verify::Error::OtherEpoch { .. }, .. }
    ));
    assert!(matches!(
        refused(|manifest| manifest.expires = "2026-12-01T00:00:00Z".parse().unwrap()),
        Error::Refused { source: verify::Error::Expired { .. }, .. }
    ));
    let longer = refused(|manifest| manifest.payload.length = 11.try_into().unwrap());
    assert!(matches!(longer, Error::OtherLength { .. }));
    let other = refused(|manifest| manifest.payload.sha256 = Digest::of(b"another"));
    assert!(matches!(other, Error::OtherDigest { .. }));
}
