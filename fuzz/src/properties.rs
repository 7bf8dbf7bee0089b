//! What must hold for whatever bytes: the properties that are fuzzed, one function each.
//!
//! None of them may panic. Each is called with bytes from the fuzzer (`targets/`), and
//! with every file of `seeds/` by ordinary tests (`proto/tests/seeds.rs`), which include
//! this file. More is asked than "does not crash": nobody here can forge a signature,
//! so what is believed must be what was signed; what is read must be written back the
//! same; what is refused must leave nothing behind.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};
use std::sync::LazyLock;

use floe_proto::admit::{self, Floors, Host, Mark};
use floe_proto::digest::Digest;
use floe_proto::entry::Entry;
use floe_proto::envelope::{self, Envelope};
use floe_proto::key::SecretKey;
use floe_proto::manifest::{self, Manifest};
use floe_proto::payload::limits::Limits;
use floe_proto::payload::pack::Packer;
use floe_proto::payload::unpack::unpack as unpack_payload;
use floe_proto::root::{self, Root};
use floe_proto::sealed::{self, OpeningKey};
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};
use floe_proto::version::AgentVersion;
use floe_proto::{pb, wire};
use prost::Message;
use serde_json::Value;

#[path = "../../control/src/session/text.rs"]
#[allow(dead_code, reason = "the control plane uses more of it")]
mod text;

/// An envelope is read in one way, and opens only for who signed it.
pub fn envelope(bytes: &[u8]) {
    let Ok(read) = Envelope::parse(bytes) else { return };
    let written = read.to_bytes().unwrap();
    if written.len() <= envelope::MAX_BYTES {
        assert_eq!(Envelope::parse(&written).unwrap(), read);
    }
    let mut merged = read.clone();
    merged.merge(&read).unwrap();
    assert_eq!(merged, read, "nobody signs twice");

    let fleet = &*FLEET;
    let keys = [1, 2, 3].map(|number| key(number).public());
    assert!(read.signers(&keys).iter().all(|signer| keys.contains(signer)));
    if let Ok(manifest) = verify::manifest(bytes, &fleet.root, fleet.now) {
        assert_eq!(manifest.digest(), fleet.manifest.digest(), "a forged manifest");
    }
    // Nobody here signed one.
    assert!(verify::preview(bytes, &fleet.root, fleet.now).is_err());
    if let Ok(successor) = verify::successor(bytes, &fleet.root) {
        assert_eq!(successor.digest(), fleet.successor.digest(), "a forged trust root");
    }
    if let Ok(root) = verify::pinned_root(bytes) {
        let known = [fleet.root.digest(), fleet.successor.digest()];
        assert!(known.contains(&root.digest()), "a forged trust root");
    }
}

/// A manifest says one thing, and a host that admits it goes only forward.
pub fn manifest(bytes: &[u8]) {
    let fleet = &*FLEET;
    let signed = Envelope::sign(manifest::TYPE, bytes, &[&key(2), &key(3)]).unwrap();
    let believed = verify::manifest(&signed, &fleet.root, fleet.now);
    let Ok(read) = Manifest::parse(bytes) else {
        assert!(believed.is_err(), "what cannot be read cannot be believed");
        return;
    };
    assert_same_document(bytes, &read.to_bytes().unwrap());
    assert_plain(&read.entry);
    let Ok(believed) = believed else { return };
    assert_eq!(*believed, read);
    assert_eq!(believed.digest(), Digest::of(bytes));
    assert_eq!((&believed.fleet, believed.epoch), (&fleet.root.fleet, fleet.root.epoch));
    assert!(fleet.now < believed.expires);

    // On a host that confirmed the honest one, nothing goes below it.
    let floors =
        Floors::default().seen(&fleet.manifest, fleet.now).confirmed(Mark::of(&fleet.manifest));
    if admit::admit(&believed, &fleet.host, &floors, fleet.now).is_ok() {
        assert_eq!(believed.role, fleet.host.role);
        assert!((believed.epoch, believed.serial) >= (fleet.manifest.epoch, fleet.manifest.serial));
        assert!(believed.serial.get() - fleet.manifest.serial.get() <= admit::MAX_JUMP);
        let raised = floors.clone().seen(&believed, fleet.now).confirmed(Mark::of(&believed));
        assert_eq!(raised.clone().merged(floors), raised, "floors only rise");
    }
}

/// What is built stays inside of the payload, and is a name to Nix.
fn assert_plain(entry: &Entry) {
    match entry {
        Entry::File(file) => {
            let parts = file.as_path().components();
            assert!(parts.into_iter().all(|part| matches!(part, Component::Normal(_))));
        }
        Entry::Flake(attribute) => {
            let means = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
            assert!(!attribute.as_str().is_empty() && !attribute.as_str().contains(means));
        }
    }
}

/// A trust root says one thing, and follows only with the thresholds of both.
pub fn root(bytes: &[u8]) {
    let fleet = &*FLEET;
    // All the keys that there are sign it, and then only some.
    let everybody: Vec<_> = (1..=5).map(key).collect();
    let everybody: Vec<_> = everybody.iter().collect();
    let by_all = Envelope::sign(root::TYPE, bytes, &everybody).unwrap();
    let by_one = Envelope::sign(root::TYPE, bytes, &everybody[..1]).unwrap();
    let by_others = Envelope::sign(root::TYPE, bytes, &everybody[1..]).unwrap();
    let Ok(read) = Root::parse(bytes) else {
        for signed in [by_all, by_one, by_others] {
            assert!(verify::pinned_root(&signed).is_err());
            assert!(verify::successor(&signed, &fleet.root).is_err());
        }
        return;
    };
    assert_same_document(bytes, &read.to_bytes().unwrap());
    for signers in [&read.root, &read.release] {
        let threshold = usize::try_from(signers.threshold).unwrap();
        assert!((1..=signers.keys.len()).contains(&threshold));
    }
    assert!(verify::successor(&by_others, &fleet.root).is_err(), "the old root key is missing");
    if let Ok(next) = verify::successor(&by_one, &fleet.root) {
        assert_eq!(next.root.threshold, 1, "one key is not more");
        assert!(verify::pinned_root(&by_one).is_ok());
    }
    if let Ok(next) = verify::successor(&by_all, &fleet.root) {
        assert_eq!(*next, read);
        assert_eq!(next.version, fleet.root.version + 1);
        assert_eq!(next.fleet, fleet.root.fleet);
        assert!(next.epoch >= fleet.root.epoch);
        // And from there nothing leads back.
        assert!(verify::successor(&fleet.root_envelope, &next).is_err());
        assert!(verify::successor(&by_all, &next).is_err());
    }
}

/// A payload is a tree in its only form, or leaves nothing at all. The first byte says
/// how much help the fuzzer gets: none, the compression, or header checksums as well.
pub fn unpack(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut archive = bytes.to_vec();
    let packed = match mode % 3 {
        0 => archive.clone(),
        1 => compress(&archive),
        _ => {
            mend_checksums(&mut archive);
            compress(&archive)
        }
    };
    let limits = Limits {
        unpacked_bytes: 1 << 20,
        files: 64,
        depth: 8,
        packed_bytes: 1 << 20,
        ..Limits::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let (inner, target) = (dir.path().join("inner"), dir.path().join("inner/target"));
    fs::create_dir(&inner).unwrap();
    match unpack_payload(packed.as_slice(), &target, &limits) {
        Err(error) => {
            assert!(!error.is_transient(), "not the fault of the bytes: {error:?}");
            assert_eq!(names(&inner), [""; 0], "something is left");
        }
        Ok(unpacked) => {
            assert!(unpacked.unpacked_bytes <= limits.unpacked_bytes);
            assert_eq!(names(&inner), ["target"]);
            let (files, bytes) = walk(&target, &target.canonicalize().unwrap());
            assert_eq!((files, bytes), (unpacked.files, unpacked.unpacked_bytes));
            assert_only_form(&target, &packed);
        }
    }
    assert_eq!(names(dir.path()), ["inner"], "something came to be outside");
}

/// A message is read in one way, and what is kept of a host's words is harmless. The
/// first byte says which message it is.
pub fn session(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => said(bytes),
        1 => told(bytes),
        2 => drop(same::<pb::EnrolRequest>(bytes)),
        3 => drop(same::<pb::EnrolReply>(bytes)),
        4 => drop(same::<pb::RenewRequest>(bytes)),
        5 => drop(same::<pb::RenewExpiredRequest>(bytes)),
        6 => drop(same::<pb::LocatePayloadRequest>(bytes)),
        _ => drop(same::<pb::LocatePayloadReply>(bytes)),
    }
}

/// What an agent says to the control plane.
fn said(bytes: &[u8]) {
    use pb::from_agent::Message as Said;
    use pb::preview_news::News;
    let Some(pb::FromAgent { message: Some(message) }) = same(bytes) else { return };
    let assert_harmless = |words: &str| {
        for limit in [16, text::MAX_NAME, text::MAX_LINE] {
            let kept = text::harmless(words, limit);
            assert!(kept.len() <= limit + '…'.len_utf8() && !kept.contains(char::is_control));
        }
    };
    match message {
        Said::Hello(hello) => {
            for words in [&hello.agent_version, &hello.boot_id, &hello.system, &hello.running] {
                assert_harmless(words);
            }
            if let Some(confirmed) = hello.confirmed
                && let Ok(digest) = confirmed.manifest_digest.parse::<Digest>()
            {
                assert_eq!(digest.to_string(), confirmed.manifest_digest);
            }
        }
        Said::Heartbeat(heartbeat) => {
            if let Some(suspended) = heartbeat.suspended {
                assert_harmless(&suspended.reason);
            }
        }
        Said::Progress(progress) => {
            assert_harmless(&progress.detail);
            if let Some(phase) = wire::phase(progress.phase) {
                assert_eq!(pb::Phase::from(phase) as i32, progress.phase);
            }
            assert_name(&progress.activation);
        }
        Said::Output(output) => output.lines.iter().for_each(|line| assert_harmless(line)),
        Said::Report(report) => {
            assert_harmless(&report.reason);
            if let Some(outcome) = wire::outcome(report.outcome) {
                assert_eq!(pb::Outcome::from(outcome) as i32, report.outcome);
            }
            assert_name(&report.activation);
        }
        Said::SecretsPlaced(placed) => assert_harmless(&placed.problem),
        Said::Preview(said) => match said.news {
            Some(News::Output(output)) => {
                output.lines.iter().for_each(|line| assert_harmless(line))
            }
            Some(News::Difference(found)) => {
                let objects = found.added.iter().chain(&found.removed).map(|object| &object.name);
                let files = found.files.iter().map(|file| &file.path);
                objects.chain(files).chain(&found.reboot).for_each(|words| assert_harmless(words));
            }
            Some(News::Failed(why)) => assert_harmless(&why),
            None => {}
        },
    }
}

/// What the control plane tells an agent.
fn told(bytes: &[u8]) {
    use pb::to_agent::Message as Told;
    let Some(pb::ToAgent { message: Some(message) }) = same(bytes) else { return };
    match message {
        Told::Assignment(assignment) => envelope(&assignment.manifest_envelope),
        Told::Preview(order) => {
            envelope(&order.preview_envelope);
            assert_name(&format!("preview-{}", order.id));
        }
        Told::TrustRoot(root) => envelope(&root.root_envelope),
        Told::ReportReceived(received) => assert_name(&received.activation),
        // Nobody sealed it to a key that is made here.
        Told::Secrets(secrets) => assert_sealed(&secrets.sealed),
        Told::Welcome(_) | Told::RenewCertificate(_) => {}
    }
}

/// What was sealed to nobody here does not open.
fn assert_sealed(bytes: &[u8]) {
    let (fleet, role) = ("fossable.org".parse().unwrap(), "www".parse().unwrap());
    let to = sealed::Recipient { fleet: &fleet, role: &role, who: sealed::Who::Escrow };
    assert!(sealed::open(bytes, &OpeningKey::generate().unwrap(), to).is_err());
}

/// An activation's name that is taken is a safe one.
fn assert_name(text: &str) {
    if let Ok(name) = text.parse::<floe_proto::id::ActivationId>() {
        assert!(!name.as_str().contains(['/', '.', '\0', '\n']) && name.as_str() == text);
    }
}

/// The message, which is the same after it was written again.
fn same<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<M> {
    let read = M::decode(bytes).ok()?;
    assert_eq!(M::decode(read.encode_to_vec().as_slice()).unwrap(), read);
    Some(read)
}

/// Any reader of JSON sees the same in both, so there was nothing that ours skipped.
fn assert_same_document(read: &[u8], written: &[u8]) {
    let value = |bytes| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(value(read), value(written));
}

/// Counts files, directories and links, and the files' bytes; all of them plain, and
/// no link that leads out of `root`.
fn walk(directory: &Path, root: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for name in names(directory) {
        let path = directory.join(name);
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        files += 1;
        if metadata.is_dir() {
            assert_eq!(mode, 0o755);
            let below = walk(&path, root);
            (files, bytes) = (files + below.0, bytes + below.1);
        } else if metadata.is_symlink() {
            // One that leads nowhere, or in a circle, is of no use to anybody.
            if let Ok(leads) = path.canonicalize() {
                assert!(leads.starts_with(root), "{} leads out", path.display());
            }
        } else {
            assert!(metadata.is_file() && matches!(mode, 0o644 | 0o755));
            bytes += metadata.len();
        }
    }
    (files, bytes)
}

/// Packed again, an unpacked payload is the archive that it came from. The packer takes
/// directories only at the top, as payloads have them.
fn assert_only_form(target: &Path, packed: &[u8]) {
    let mut packer = Packer::new(Limits::default());
    for name in names(target) {
        let path = target.join(&name);
        if !fs::symlink_metadata(&path).unwrap().is_dir() {
            return;
        }
        packer.tree(&path, &name, |_| false).unwrap();
    }
    let mut again = Vec::new();
    packer.write(&mut again).unwrap();
    let archive = |packed| zstd::decode_all(packed).unwrap();
    assert!(archive(again.as_slice()) == archive(packed), "an archive in another form");
}

fn names(directory: &Path) -> Vec<String> {
    let found = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The frame that payloads have.
fn compress(archive: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(20).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.include_dictid(false).unwrap();
    encoder.write_all(archive).unwrap();
    encoder.finish().unwrap()
}

/// Makes every block that looks like a header have the right checksum.
fn mend_checksums(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// A fleet whose keys the fuzzer does not have.
pub struct Fleet {
    /// Version 1, and its envelope.
    pub root: Verified<Root>,
    pub root_envelope: Vec<u8>,
    /// Version 2, and its envelope.
    pub successor: Verified<Root>,
    pub successor_envelope: Vec<u8>,
    /// A manifest under version 1, and its envelope.
    pub manifest: Verified<Manifest>,
    pub manifest_envelope: Vec<u8>,
    host: Host,
    now: Timestamp,
}

/// The key that is called `number` here. Root keys are 1, then 4 and 5; 2 and 3 release.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The one fleet.
pub static FLEET: LazyLock<Fleet> = LazyLock::new(|| {
    let now = "2026-11-23T00:00:00Z".parse().unwrap();
    let id = |number| key(number).public().id();
    let signers = |threshold, numbers: &[u8]| root::Signers {
        threshold,
        keys: numbers.iter().map(|number| id(*number)).collect(),
    };
    let document = Root {
        schema: 1,
        fleet: "fossable.org".parse().unwrap(),
        version: 1,
        epoch: floe_proto::id::Epoch::new(0),
        expires: "2027-11-22T00:00:00Z".parse().unwrap(),
        keys: [1, 2, 3].map(|number| key(number).public()).to_vec(),
        root: signers(1, &[1]),
        release: signers(2, &[2, 3]),
    };
    let next = Root {
        version: 2,
        keys: [1, 2, 3, 4, 5].map(|number| key(number).public()).to_vec(),
        root: signers(2, &[1, 4, 5]),
        ..document.clone()
    };
    let sign = |kind, bytes: Vec<u8>, keys: &[u8]| {
        let keys: Vec<_> = keys.iter().map(|number| key(*number)).collect();
        Envelope::sign(kind, &bytes, &keys.iter().collect::<Vec<_>>()).unwrap()
    };
    let root_envelope = sign(root::TYPE, document.to_bytes().unwrap(), &[1]);
    let root = verify::pinned_root(&root_envelope).unwrap();
    let successor_envelope = sign(root::TYPE, next.to_bytes().unwrap(), &[1, 4]);
    let successor = verify::successor(&successor_envelope, &root).unwrap();
    let manifest_envelope = sign(manifest::TYPE, MANIFEST.trim_end().as_bytes().to_vec(), &[2, 3]);
    let manifest = verify::manifest(&manifest_envelope, &root, now).unwrap();
    let host = Host {
        fleet: manifest.fleet.clone(),
        role: manifest.role.clone(),
        system: manifest.system.clone(),
        agent: AgentVersion::new(0, 1, 0),
    };
    Fleet {
        root,
        root_envelope,
        successor,
        successor_envelope,
        manifest,
        manifest_envelope,
        host,
        now,
    }
});

/// A manifest in which everything is said, as `floe push` writes it.
const MANIFEST: &str = include_str!("manifest.json");
