//! Properties of `pack` and `unpack` together: what comes back, and what never happens.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tempfile::TempDir;

use super::limits::Limits;
use super::pack::{self, Packed, Packer};
use super::unpack::unpack;
use super::{entry, frame};
use crate::digest::Digest;

/// What a directory holds, by relative path.
type Tree = BTreeMap<PathBuf, Node>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File { content: Vec<u8>, executable: bool },
    Link(PathBuf),
}

fn write(tree: &Tree, root: &Path) {
    for (path, node) in tree {
        let path = root.join(path);
        match node {
            Node::Directory => fs::create_dir(&path).unwrap(),
            Node::Link(target) => symlink(target, &path).unwrap(),
            Node::File { content, executable } => {
                fs::write(&path, content).unwrap();
                // Only the owner's bit counts.
                let mode = if *executable { 0o700 } else { 0o611 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

/// Reads a tree and asserts its modes.
fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for found in fs::read_dir(directory).unwrap() {
            let path = found.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let node = if metadata.is_dir() {
                assert_eq!(mode, 0o755);
                pending.push(path.clone());
                Node::Directory
            } else if metadata.is_symlink() {
                Node::Link(fs::read_link(&path).unwrap())
            } else {
                assert!(matches!(mode, 0o644 | 0o755), "{mode:o}");
                Node::File { content: fs::read(&path).unwrap(), executable: mode == 0o755 }
            };
            tree.insert(path.strip_prefix(root).unwrap().to_owned(), node);
        }
    }
    tree
}

fn pack_tree(source: &Path, prefix: &str) -> Result<(Vec<u8>, Packed), pack::Error> {
    let mut packer = Packer::new(Limits::default());
    packer.tree(source, prefix, |_| false)?;
    let mut bytes = Vec::new();
    let packed = packer.write(&mut bytes)?;
    Ok((bytes, packed))
}

/// A tree that is like those of operators, though its names are stranger.
fn trees() -> impl Strategy<Value = Tree> {
    let name = prop_oneof!["[a-c]", "[a-z .=é-]{1,12}x", "[a-z]{90,100}"];
    let path = vec(name, 1..4);
    let node = prop_oneof![
        1 => Just(Node::Directory),
        1 => "[a-c]{1,3}(/[a-c])?".prop_map(|target| Node::Link(target.into())),
        4 => (vec(any::<u8>(), 0..1500), any::<bool>())
            .prop_map(|(content, executable)| Node::File { content, executable }),
    ];
    btree_map(path, node, 0..12).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (segments, node) in nodes {
            let path: PathBuf = segments.iter().collect();
            let above: Vec<_> = path.ancestors().skip(1).filter(|a| *a != Path::new("")).collect();
            let fits = above.iter().all(|a| matches!(tree.get(*a), None | Some(Node::Directory)));
            // A path over 155 + 1 + 100 bytes cannot be packed; those have a test below.
            if fits && path.as_os_str().len() < 150 && !tree.contains_key(&path) {
                for directory in above {
                    tree.insert(directory.to_owned(), Node::Directory);
                }
                tree.insert(path, node);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_comes_back_and_always_packs_to_the_same_bytes(tree in trees()) {
        let dir = TempDir::new().unwrap();
        let (source, copy) = (dir.path().join("source"), dir.path().join("copy"));
        fs::create_dir(&source).unwrap();
        write(&tree, &source);
        let (bytes, packed) = pack_tree(&source, "role").unwrap();
        prop_assert_eq!(packed.digest, Digest::of(&bytes));
        prop_assert_eq!(packed.length, bytes.len() as u64);

        let unpacked = unpack(bytes.as_slice(), &copy, &Limits::default()).unwrap();
        prop_assert_eq!(unpacked.unpacked_bytes, packed.unpacked_bytes);
        prop_assert_eq!(unpacked.files, packed.files);
        prop_assert_eq!(read(&copy.join("role")), tree);

        let (again, _) = pack_tree(&copy.join("role"), "role").unwrap();
        prop_assert!(again == bytes);
    }

    #[test]
    fn t054_a_changed_archive_is_refused_whole_or_is_another_tree_in_its_only_form(
        tree in trees(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        mend in any::<bool>(),
    ) {
        let dir = TempDir::new().unwrap();
        let (source, inner) = (dir.path().join("source"), dir.path().join("inner"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&inner).unwrap();
        write(&tree, &source);
        let mut archive = zstd::decode_all(pack_tree(&source, "r").unwrap().0.as_slice()).unwrap();
        for (at, byte) in edits {
            // Headers are where the decisions fall, so half of the edits go there.
            let at = at.index(archive.len());
            let at = if byte & 1 == 0 { at - at % entry::BLOCK + at % 8 * 20 } else { at };
            archive[at] ^= byte;
        }
        if mend {
            mend_checksums(&mut archive);
        }

        let target = inner.join("target");
        match unpack(compress(&archive).as_slice(), &target, &Limits::default()) {
            Err(_) => prop_assert_eq!(fs::read_dir(&inner).unwrap().count(), 0),
            Ok(_) => {
                prop_assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
                prop_assert!(repack(&target) == archive);
            }
        }
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2000), framed in any::<bool>()) {
        let dir = TempDir::new().unwrap();
        let bytes = if framed { compress(&bytes) } else { bytes };
        let refused = unpack(bytes.as_slice(), &dir.path().join("target"), &Limits::default());
        prop_assert!(refused.is_err());
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

fn compress(archive: &[u8]) -> Vec<u8> {
    let mut encoder = frame::compress(Vec::new()).unwrap();
    encoder.write_all(archive).unwrap();
    encoder.finish().unwrap()
}

/// Packs an unpacked payload again, and decompresses it.
fn repack(target: &Path) -> Vec<u8> {
    let mut packer = Packer::new(Limits::default());
    for found in fs::read_dir(target).unwrap() {
        let found = found.unwrap();
        let name = found.file_name().into_string().unwrap();
        packer.tree(&found.path(), &name, |_| false).unwrap();
    }
    let mut bytes = Vec::new();
    packer.write(&mut bytes).unwrap();
    zstd::decode_all(bytes.as_slice()).unwrap()
}

/// Makes every block that looks like a header have the right checksum.
fn mend_checksums(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(entry::BLOCK) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn small_payload() -> (Vec<u8>, Packed) {
    let dir = TempDir::new().unwrap();
    let file = |text: &str, executable| Node::File { content: text.into(), executable };
    let tree = Tree::from([
        ("configuration.nix".into(), file("{ }: { }\n", false)),
        ("empty".into(), Node::Directory),
        ("link".into(), Node::Link("scripts/run".into())),
        ("scripts".into(), Node::Directory),
        ("scripts/run".into(), file("#!/bin/sh\n", true)),
        ("scripts-old".into(), file("", false)),
        ("x.swp".into(), file("left out", false)),
    ]);
    write(&tree, dir.path());
    let mut packer = Packer::new(Limits::default());
    packer.tree(dir.path(), "role", |path| path.extension().is_some_and(|e| e == "swp")).unwrap();
    packer.file("floe.lock", b"schema = 1\n".to_vec()).unwrap();
    packer.file("pins/nixpkgs/default.nix", b"{ }\n".to_vec()).unwrap();
    let mut bytes = Vec::new();
    let packed = packer.write(&mut bytes).unwrap();
    (bytes, packed)
}

/// The archive's digest is a promise. The payload's follows zstd, and may change with
/// it: then every push looks like a change once, and nothing else happens.
#[test]
fn a_small_payload_has_the_digest_that_it_always_had() {
    let (bytes, packed) = small_payload();
    let archive = zstd::decode_all(bytes.as_slice()).unwrap();
    insta::assert_snapshot!(
        format!("{}\n{}\n{} bytes in {} files",
            Digest::of(&archive), packed.digest, packed.unpacked_bytes, packed.files),
        @r"
    a780ba991c30436b191bcfae96bd105499bddff988ffa3747091870171f2c652
    a96ee28c467a802c5e4ed7d0790529f400f01c23605783d0f06c391c20301c79
    34 bytes in 11 files
    "
    );
}

#[test]
fn the_bytes_do_not_depend_on_how_they_arrive() {
    let text: Vec<u8> = (0..600_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let mut pieces = frame::compress(Vec::new()).unwrap();
    for piece in text.chunks(777) {
        pieces.write_all(piece).unwrap();
    }
    assert!(pieces.finish().unwrap() == compress(&text));
}

#[test]
fn other_tools_can_read_a_payload() {
    let (bytes, packed) = small_payload();
    let archive = zstd::decode_all(bytes.as_slice()).unwrap();
    let mut read = tar::Archive::new(archive.as_slice());
    let paths: Vec<_> =
        read.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(paths.len() as u64, packed.files);
    assert!(paths.is_sorted());

    let dir = TempDir::new().unwrap();
    let file = dir.path().join("payload.tar");
    fs::write(&file, &archive).unwrap();
    let python = "import sys, tarfile; print('\\n'.join(tarfile.open(sys.argv[1]).getnames()))";
    for (program, arguments) in [("tar", vec!["-tf"]), ("python3", vec!["-c", python])] {
        #[expect(clippy::disallowed_methods, reason = "a test of other people's programs")]
        let command = std::process::Command::new(program).args(arguments).arg(&file).output();
        let Ok(output) = command else { continue }; // not installed here
        assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let listed: Vec<PathBuf> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.trim_end_matches('/').into())
            .collect();
        assert_eq!(listed, paths, "{program}");
    }
}

#[test]
fn what_cannot_be_packed_is_named() {
    let refuse = |prepare: fn(&Path)| {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        prepare(&dir.path().join("a/x"));
        let error = pack_tree(dir.path(), "role").unwrap_err();
        assert!(error.to_string().contains("a/"), "{error}");
        assert!(!error.advice().is_empty());
        error
    };
    let error = refuse(|path| drop(UnixListener::bind(path).unwrap()));
    assert!(matches!(error, pack::Error::Refused { .. }));
    let error = refuse(|path| symlink("/etc/passwd", path).unwrap());
    assert!(matches!(error, pack::Error::Escapes { .. }));
    // Inside of the payload, but outside of its own tree.
    let error = refuse(|path| symlink("../../floe.lock", path).unwrap());
    assert!(matches!(error, pack::Error::Escapes { .. }));
    let error = refuse(|path| fs::write(path.with_file_name("x\\y"), "").unwrap());
    assert!(matches!(error, pack::Error::Refused { .. }));
    let error = refuse(|path| fs::write(path.with_file_name("n".repeat(101)), "").unwrap());
    assert!(matches!(error, pack::Error::TooMuch { .. }));
}

#[test]
fn one_path_cannot_come_from_two_sources() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("x"), "").unwrap();
    let mut packer = Packer::new(Limits::default());
    packer.tree(dir.path(), "role", |_| false).unwrap();
    for path in ["role/x", "role", "role/x/y"] {
        assert!(matches!(packer.file(path, Vec::new()), Err(pack::Error::Twice { .. })), "{path}");
    }
}

#[test]
fn a_file_that_changes_after_it_was_seen_is_an_error() {
    let change: [fn(&Path); 4] = [
        |path| fs::write(path, "longer than before").unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/hostname", path).unwrap();
        },
    ];
    for change in change {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("x"), "before").unwrap();
        let mut packer = Packer::new(Limits::default());
        packer.tree(dir.path(), "role", |_| false).unwrap();
        change(&dir.path().join("x"));
        let error = packer.write(Vec::new()).unwrap_err();
        assert!(matches!(error, pack::Error::Changed { .. } | pack::Error::Read { .. }), "{error}");
    }
}
