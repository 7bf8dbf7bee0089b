//! The fuzz targets' seeds, replayed as ordinary tests: no nightly compiler, no fuzzer.
//!
//! `fuzz/seeds/TARGET/` holds what each target begins with: real documents and what is
//! nearly one, written by `write_the_seeds` below, and every input that a fuzzer ever
//! found a fault with. All of them must hold what `fuzz/src/properties.rs` says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use floe_proto::envelope::Envelope;
use floe_proto::payload::limits::Limits;
use floe_proto::payload::pack::Packer;
use floe_proto::pb;
use prost::Message as _;

#[path = "../../fuzz/src/properties.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "made for the fuzz targets")]
mod properties;

use properties::FLEET;

type Property = fn(&[u8]);

const TARGETS: [(&str, Property); 5] = [
    ("envelope", properties::envelope),
    ("manifest", properties::manifest),
    ("root", properties::root),
    ("unpack", properties::unpack),
    ("session", properties::session),
];

#[test]
fn every_seed_holds_what_its_target_says() {
    for (target, property) in TARGETS {
        let seeds = stored(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (name, bytes) in seeds {
            let held = std::panic::catch_unwind(|| property(&bytes));
            assert!(held.is_ok(), "fuzz/seeds/{target}/{name}");
        }
    }
}

#[test]
fn every_beginning_of_a_seed_holds_what_its_target_says() {
    for (target, property) in TARGETS {
        for (name, bytes) in stored(target) {
            // Each costs signatures, or goes to the disk: not every one.
            for length in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
                let held = std::panic::catch_unwind(|| property(&bytes[..length]));
                assert!(held.is_ok(), "{length} bytes of fuzz/seeds/{target}/{name}");
            }
        }
    }
}

#[test]
fn the_seeds_are_made_of_the_documents_of_today() {
    for (target, seeds) in seeds() {
        let stored = stored(target);
        for (name, bytes) in seeds {
            assert!(
                stored.get(name) == Some(&bytes),
                "fuzz/seeds/{target}/{name} is another; run \
                 `cargo test -p floe-proto --test seeds -- --ignored`"
            );
        }
    }
}

#[test]
#[ignore = "writes fuzz/seeds"]
fn write_the_seeds() {
    for (target, seeds) in seeds() {
        fs::create_dir_all(directory(target)).unwrap();
        for (name, bytes) in seeds {
            fs::write(directory(target).join(name), bytes).unwrap();
        }
    }
}

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

fn stored(target: &str) -> BTreeMap<String, Vec<u8>> {
    let Ok(found) = fs::read_dir(directory(target)) else { return BTreeMap::new() };
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    found.map(read).collect()
}

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn seeds() -> [(&'static str, Seeds); 5] {
    [
        ("envelope", envelopes()),
        ("manifest", manifests()),
        ("root", roots()),
        ("unpack", payloads()),
        ("session", messages()),
    ]
}

fn envelopes() -> Seeds {
    let manifest = String::from_utf8(FLEET.manifest_envelope.clone()).unwrap();
    let signatures = r#","signatures":["#;
    assert!(manifest.contains(signatures));
    let more = manifest.replacen('{', r#"{"more":[1.5e3,null,{"a":"\ud83d\ude00"}],"#, 1);
    let twice = manifest.replacen('{', r#"{"payload":"","#, 1);
    let many = vec![r#"{"sig":""}"#; 17].join(",");
    vec![
        ("manifest", FLEET.manifest_envelope.clone()),
        ("root", FLEET.root_envelope.clone()),
        ("successor", FLEET.successor_envelope.clone()),
        ("unsigned", Envelope::unsigned("a/b", b"payload".to_vec()).to_bytes().unwrap()),
        ("url-safe", manifest.replace('+', "-").replace('/', "_").into_bytes()),
        ("another-kind", manifest.replace("manifest.v1", "root.v1").into_bytes()),
        ("unknown-field", more.into_bytes()),
        ("a-field-twice", twice.into_bytes()),
        (
            "too-many-signatures",
            manifest.replace(signatures, &format!(r#","signatures":[{many},"#)).into_bytes(),
        ),
    ]
}

fn manifests() -> Seeds {
    let whole = String::from_utf8(payload_of(&FLEET.manifest_envelope)).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1).into_bytes()
    };
    let entry = r#""role/configuration.nix""#;
    let flake = |attribute: &str| {
        let newer = whole.replacen(r#""schema":1"#, r#""schema":4"#, 1);
        newer.replacen(entry, &format!(r#"{{"flake":"{attribute}"}}"#), 1).into_bytes()
    };
    vec![
        ("whole", whole.clone().into_bytes()),
        ("next", changed(r#""serial":42"#, r#""serial":43"#)),
        ("a-jump", changed(r#""serial":42"#, r#""serial":9007199254740991"#)),
        ("floor-above-serial", changed(r#""floor":40"#, r#""floor":43"#)),
        ("a-fraction", changed(r#""floor":40"#, r#""floor":4e1"#)),
        ("escaped-twin", changed(r#""floor":40"#, r#""floor":40,"\u0066loor":1"#)),
        ("newer-schema", changed(r#""schema":1"#, r#""schema":2"#)),
        ("a-flake", flake("www.fossable.org")),
        ("a-flake-of-an-old-schema", changed(entry, r#"{"flake":"www"}"#)),
        ("a-flake-that-nix-would-read", flake("www\\\".${x}")),
        ("a-flake-twice", flake(r#"www","flake":"www"#)),
        ("climbing-entry", changed("role/configuration.nix", "role/../../x")),
        ("another-fleet", changed("fossable.org", "example.org")),
        (
            "fields-without-names",
            changed(
                r#"{"mode":"test-then-commit","deadline_seconds":90,"ignore_units":["report.service"]}"#,
                r#"["test-then-commit",90,[]]"#,
            ),
        ),
        ("a-variant-with-nothing", changed(r#""configuration""#, r#"{"configuration":null}"#)),
        ("ipv6", changed("127.0.0.1:22", "[::1]:22")),
        ("no-revision", changed(r#""revision":"abc""#, r#""revision":null"#)),
    ]
}

fn roots() -> Seeds {
    let first = String::from_utf8(payload_of(&FLEET.root_envelope)).unwrap();
    let second = String::from_utf8(payload_of(&FLEET.successor_envelope)).unwrap();
    vec![
        ("no-threshold", second.replace(r#""threshold":2"#, r#""threshold":0"#).into_bytes()),
        (
            "beyond-all-thresholds",
            second.replace(r#""threshold":2"#, r#""threshold":9"#).into_bytes(),
        ),
        ("skips-a-version", second.replace(r#""version":2"#, r#""version":3"#).into_bytes()),
        ("raises-the-epoch", second.replace(r#""epoch":0"#, r#""epoch":1"#).into_bytes()),
        ("keeps-one-key", first.replace(r#""version":1"#, r#""version":2"#).into_bytes()),
        ("first", first.into_bytes()),
        ("second", second.into_bytes()),
    ]
}

fn payload_of(envelope: &[u8]) -> Vec<u8> {
    Envelope::parse(envelope).unwrap().unverified_payload().to_vec()
}

/// The first byte is the target's: as it is, to be compressed, with checksums mended.
fn payloads() -> Seeds {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("a")).unwrap();
    fs::write(tree.path().join("a/file"), "text").unwrap();
    std::os::unix::fs::symlink("a/file", tree.path().join("link")).unwrap();
    let mut packer = Packer::new(Limits::default());
    packer.tree(tree.path(), "role", |_| false).unwrap();
    let mut packed = Vec::new();
    packer.write(&mut packed).unwrap();
    let archive = zstd::decode_all(packed.as_slice()).unwrap();

    // Headers stand at 0 (role), 512 (role/a), 1024 (role/a/file), 2048 (role/link).
    let edited = |at: usize, bytes: &[u8]| {
        let mut archive = archive.clone();
        archive[at..at + bytes.len()].copy_from_slice(bytes);
        [vec![2], archive].concat()
    };
    vec![
        ("packed", [vec![0], packed.clone()].concat()),
        ("two-frames", [vec![0], packed.clone(), packed].concat()),
        ("archive", [vec![1], archive.clone()].concat()),
        ("mended", edited(0, b"role")),
        ("climbs", edited(1024, b"role/../x\0\0")),
        ("absolute", edited(1024, b"/")),
        ("hard-link", edited(2048 + 156, b"1")),
        ("device", edited(1024 + 156, b"3")),
        ("pax", edited(1024 + 156, b"x")),
        ("link-that-leaves", edited(2048 + 157, b"../../x")),
        ("through-a-file", edited(2048, b"role/a/file/x")),
        ("huge", edited(1024 + 124, b"77777777777")),
        ("set-user-id", edited(1024 + 100, b"0004755")),
        ("no-utf8", edited(1024, b"role/a/\xff")),
        ("one-end", [vec![1], archive[..archive.len() - 512].to_vec()].concat()),
        ("empty", vec![1]),
    ]
}

/// The first byte is the target's: which message it is.
fn messages() -> Seeds {
    use pb::{from_agent::Message as Said, to_agent::Message as Told};
    let said =
        |message| [vec![0], pb::FromAgent { message: Some(message) }.encode_to_vec()].concat();
    let told = |message| [vec![1], pb::ToAgent { message: Some(message) }.encode_to_vec()].concat();
    let manifest_digest = FLEET.manifest.digest().to_string();
    let activation = "a-1".to_owned();
    vec![
        (
            "hello",
            said(Said::Hello(pb::Hello {
                agent_version: "0.1.0".into(),
                boot_id: "b".into(),
                system: "aarch64-linux".into(),
                confirmed: Some(pb::Confirmed {
                    epoch: 0,
                    serial: 42,
                    manifest_digest: manifest_digest.clone(),
                    reverted: false,
                }),
                running: "/nix/store/x".into(),
                root_version: 1,
                process: "0f".repeat(16),
                suspended: None,
                sealing_key: vec![9; 32],
                secrets: Some(pb::SecretsHeld { epoch: 0, serial: 3 }),
            })),
        ),
        ("heartbeat", said(Said::Heartbeat(pb::Heartbeat { suspended: None }))),
        (
            "progress",
            said(Said::Progress(pb::Progress {
                activation: activation.clone(),
                epoch: 0,
                serial: 42,
                phase: 3,
                at: 1,
                detail: "\u{1b}[2J\u{202e}".into(),
            })),
        ),
        (
            "output",
            said(Said::Output(pb::Output {
                activation: activation.clone(),
                phase: 3,
                lines: vec!["a\tb\r\n".into(), "…".repeat(9), String::new()],
                at: -1,
            })),
        ),
        (
            "report",
            said(Said::Report(pb::Report {
                activation: activation.clone(),
                serial: u64::MAX,
                manifest_digest,
                outcome: 99,
                reason: "because\0".into(),
                ..pb::Report::default()
            })),
        ),
        (
            "secrets-placed",
            said(Said::SecretsPlaced(pb::SecretsPlaced {
                held: Some(pb::SecretsHeld { epoch: 0, serial: u64::MAX }),
                problem: "no\u{1b}room".into(),
            })),
        ),
        (
            "previewed",
            said(Said::Preview(pb::PreviewNews {
                id: "1f".into(),
                news: Some(pb::preview_news::News::Difference(pb::Difference {
                    running: "/nix/store/x".into(),
                    files: vec![pb::FileChange { path: "motd\u{1b}".into(), change: 9 }],
                    added: vec![pb::StoreObject { name: "a-b".into(), bytes: u64::MAX }],
                    units: Some(pb::Units { stop: vec!["a.service".into()], ..Default::default() }),
                    ..Default::default()
                })),
            })),
        ),
        (
            "preview",
            told(Told::Preview(pb::PreviewOrder {
                id: "1f".into(),
                preview_envelope: FLEET.manifest_envelope.clone(),
                payload_url: "https://x/".into(),
            })),
        ),
        ("secrets", told(Told::Secrets(pb::Secrets { sealed: [vec![1], vec![7; 64]].concat() }))),
        ("welcome", told(Told::Welcome(pb::Welcome { heartbeat_seconds: 15 }))),
        (
            "assignment",
            told(Told::Assignment(pb::Assignment {
                manifest_envelope: FLEET.manifest_envelope.clone(),
                rollout: "r-1".into(),
                retry: false,
            })),
        ),
        ("report-received", told(Told::ReportReceived(pb::ReportReceived { activation }))),
        (
            "trust-root",
            told(Told::TrustRoot(pb::TrustRoot {
                root_envelope: FLEET.successor_envelope.clone(),
            })),
        ),
        ("renew", told(Told::RenewCertificate(pb::RenewCertificate { within_seconds: 60 }))),
        // Groups that only ever begin: field 15, wire type 3 (catalogue T092).
        ("groups-in-groups", [vec![0], vec![0x7b; 1000]].concat()),
        (
            "renewal",
            [vec![4], pb::RenewRequest { certificate_request: vec![0x30, 0] }.encode_to_vec()]
                .concat(),
        ),
        (
            "locate",
            [vec![6], pb::LocatePayloadRequest { payload_digest: "ab".into() }.encode_to_vec()]
                .concat(),
        ),
    ]
}
