//! Whose signatures are asked for, and which of them count.

use floe_proto::envelope::Envelope;
use floe_proto::key::SecretKey;
use floe_proto::root::{self, Signers};

use super::*;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// Keys 2, 3 and 4 release; two of them must sign.
fn trust() -> Verified<Root> {
    let keys: Vec<_> = [1, 2, 3, 4].map(|number| key(number).public()).to_vec();
    let release = keys[1..].iter().map(PublicKey::id).collect();
    let root = Root {
        schema: root::SCHEMA,
        fleet: "fossable.org".parse().unwrap(),
        version: 1,
        epoch: floe_proto::id::Epoch::new(0),
        expires: "2027-11-22T00:00:00Z".parse().unwrap(),
        root: Signers { threshold: 1, keys: vec![keys[0].id()] },
        release: Signers { threshold: 2, keys: release },
        keys,
    };
    let signed = Envelope::sign(root::TYPE, &root.to_bytes().unwrap(), &[&key(1)]).unwrap();
    verify::pinned_root(&signed).unwrap()
}

fn manifest() -> Manifest {
    Manifest::parse(
        br#"{"schema":1,"fleet":"fossable.org","role":"www","epoch":0,"serial":1,"floor":1,
        "payload":{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "length":1},"created":"2026-11-22T20:28:00Z","expires":"2027-02-20T20:28:00Z",
        "kind":"configuration","system":"aarch64-linux","min_agent":"0.1.0",
        "entry":"role/configuration.nix","activation":{"mode":"test-then-commit",
        "deadline_seconds":90,"ignore_units":[]},"health":{"soak_seconds":10,"checks":[]},
        "source":{"revision":null,"dirty":false,"built_by":"ada"}}"#,
    )
    .unwrap()
}

fn sources(directory: &Path, numbers: &[u8]) -> Vec<KeySource> {
    let write = |number: &u8| {
        let path = directory.join(format!("{number}.pem"));
        if !path.exists() {
            signing::write_new(&path, &key(*number), None).unwrap();
        }
        KeySource::File(path)
    };
    numbers.iter().map(write).collect()
}

#[tokio::test]
async fn t009_below_the_threshold_nothing_is_believed_and_each_key_counts_once() {
    let (directory, root) = (tempfile::tempdir().unwrap(), trust());
    let now = manifest().created;
    let open = |numbers: &[u8]| {
        release_signers(&sources(directory.path(), numbers), &root, &Environment::default())
    };
    let ada = open(&[2, 2]).unwrap();
    assert_eq!(ada.len(), 1);
    let mut envelope = sign(&manifest(), &ada).await.unwrap();
    let tally = Tally::of(&envelope, &root);
    assert_eq!((tally.signed.len(), tally.missing.len(), tally.is_enough()), (1, 2, false));
    let refused = believe(&envelope, &root, now).unwrap_err();
    assert!(refused.advice().contains("floe bundle sign"), "{}", refused.advice());

    // The same holder again adds nothing; another one does.
    add(&mut envelope, &ada).await.unwrap();
    assert_eq!(Tally::of(&envelope, &root), tally);
    add(&mut envelope, &open(&[4]).unwrap()).await.unwrap();
    let signed = believe(&envelope, &root, now).unwrap();
    assert_eq!(signed.manifest.digest(), digest(&envelope));
    assert!(Tally::of(&envelope, &root).is_enough());
}

#[test]
fn a_key_that_the_trust_root_does_not_list_for_releases_is_not_used() {
    let (directory, root) = (tempfile::tempdir().unwrap(), trust());
    // The root key is a key of the fleet, but releases nothing.
    for number in [1, 9] {
        let sources = sources(directory.path(), &[2, number]);
        let refused = release_signers(&sources, &root, &Environment::default()).unwrap_err();
        assert!(refused.is_refusal(), "{refused}");
        assert!(refused.to_string().contains(&format!("{number}.pem")), "{refused}");
    }
}

#[tokio::test]
async fn copies_that_holders_signed_come_together_and_others_do_not() {
    let (directory, root) = (tempfile::tempdir().unwrap(), trust());
    let signed = async |number: u8, manifest: &Manifest| {
        let signer = Signer::Key(key(number));
        sign(manifest, &[signer]).await.unwrap()
    };
    let mut ours = signed(2, &manifest()).await;
    let path = directory.path().join("from-bob.json");
    merge(&mut ours, &signed(3, &manifest()).await, &path, &root).unwrap();
    assert!(Tally::of(&ours, &root).is_enough());

    let stranger = merge(&mut ours, &signed(9, &manifest()).await, &path, &root).unwrap_err();
    assert!(stranger.is_refusal() && stranger.to_string().contains("from-bob.json"), "{stranger}");
    let mut another = manifest();
    another.source.dirty = true;
    let another = merge(&mut ours, &signed(4, &another).await, &path, &root);
    assert!(matches!(another, Err(Error::Envelope(envelope::Error::OtherPayload))));
    assert_eq!(Tally::of(&ours, &root).signed.len(), 2);
}
