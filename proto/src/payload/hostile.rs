//! Hostile payloads: docs/trust.md's catalogue B, by number, against `unpack`.
//!
//! Archives are made with the `tar` crate, which knows no scruples, and compressed
//! as `pack` does. Of each it is asserted that it is refused, why, and that nothing
//! of it is left: not in the target's parent, nor outside.

use std::fs;
use std::io::{self, Read, Write as _};

use tar::{EntryType, Header};
use tempfile::TempDir;

use super::limits::{Bound, Limits};
use super::unpack::{Error, Unpacked, unpack};
use super::{entry, frame};

/// An archive under construction; what `pack` would write, until told otherwise.
#[derive(Clone, Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn directory(self, path: &str) -> Self {
        self.add(path.as_bytes(), EntryType::Directory, "", b"")
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.add(path.as_bytes(), EntryType::Regular, "", content)
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.add(path.as_bytes(), EntryType::Symlink, target, b"")
    }

    fn add(self, path: &[u8], kind: EntryType, target: &str, content: &[u8]) -> Self {
        self.header(header(path, kind, target, content.len()), content)
    }

    fn header(mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_cksum();
        // POSIX pads with a NUL and a space; the tar crate with other digits.
        let sum = format!("{:06o}\0 ", header.cksum().unwrap());
        header.as_mut_bytes()[148..156].copy_from_slice(sum.as_bytes());
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(entry::BLOCK), 0);
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 2 * entry::BLOCK]);
        self.0
    }

    /// Asserts that this is refused without a trace.
    fn refused(self) -> Error {
        refused(&compress(&self.end()), &Limits::default())
    }
}

fn header(path: &[u8], kind: EntryType, target: &str, bytes: usize) -> Header {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() {
        0o755
    } else if kind.is_symlink() {
        0o777
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(bytes as u64);
    header.set_device_major(0).unwrap();
    header.set_device_minor(0).unwrap();
    header
}

fn compress(archive: &[u8]) -> Vec<u8> {
    let mut encoder = frame::compress(Vec::new()).unwrap();
    encoder.write_all(archive).unwrap();
    encoder.finish().unwrap()
}

fn without_a_checksum(archive: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(archive).unwrap();
    encoder.finish().unwrap()
}

fn refused(packed: &[u8], limits: &Limits) -> Error {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("outside"), "untouched").unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();

    let error = unpack(packed, &inner.join("target"), limits).expect_err("must be refused");

    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0, "nothing is left: {error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is outside: {error}");
    assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"untouched");
    assert!(!error.is_transient() && !error.advice().is_empty());
    error
}

fn accepted(packed: &[u8], limits: &Limits) -> Unpacked {
    let dir = TempDir::new().unwrap();
    unpack(packed, &dir.path().join("target"), limits).unwrap()
}

macro_rules! assert_refused {
    ($archive:expr, $($expected:tt)+) => {
        let error = $archive.refused();
        assert!(matches!(error, $($expected)+), "{error:?}");
    };
}

#[test]
fn what_the_helpers_here_write_is_what_pack_writes() {
    let archive = Archive::default().directory("a").file("a/b", b"text").link("c", "a/b").end();
    let unpacked = accepted(&compress(&archive), &Limits::default());
    assert_eq!(unpacked, Unpacked { unpacked_bytes: 4, files: 3 });
}

#[test]
fn t041_paths_that_climb_are_refused() {
    for path in ["../x", "a/../../x", "./../x", "a/..", ".."] {
        assert_refused!(Archive::default().directory("a").file(path, b""), Error::Escapes { .. });
    }
}

#[test]
fn t042_absolute_and_odd_paths_are_refused() {
    for path in ["/x", "//x", "/"] {
        assert_refused!(Archive::default().file(path, b""), Error::Escapes { .. });
    }
    for path in ["", ".", "./x", "a//x", "a/", "C:\\x", "a\\b", "a\nb", "\u{1b}[2J", "a\0b", "\0a"]
    {
        assert_refused!(Archive::default().directory("a").file(path, b""), Error::Forbidden { .. });
    }
}

#[test]
fn t044_links_that_leave_are_refused_even_if_nobody_uses_them() {
    for target in ["/etc/passwd", "..", "../x", "a/../../x", "a/../x"] {
        assert_refused!(Archive::default().directory("a").link("l", target), Error::Escapes { .. });
    }
    // Counted from the link's own directory, the second one climbs out through the first.
    let relay = Archive::default().directory("a").directory("a/b").link("a/b/l", "../..");
    assert_refused!(relay.link("m", "a/b/l/../.."), Error::Escapes { .. });
}

#[test]
fn t045_hard_links_are_refused() {
    for target in ["/etc/passwd", "a"] {
        assert_refused!(
            Archive::default().file("a", b"").add(b"l", EntryType::Link, target, b""),
            Error::Forbidden { kind: "a hard link", .. }
        );
    }
}

#[test]
fn t045_nothing_is_written_through_a_link_or_a_file() {
    assert_refused!(
        Archive::default().directory("a").link("l", "a").file("l/x", b""),
        Error::Escapes { .. }
    );
    assert_refused!(Archive::default().file("f", b"").file("f/x", b""), Error::Escapes { .. });
    assert_refused!(
        Archive::default().file("f", b"").directory("f/x").file("f/x/y", b""),
        Error::Escapes { .. }
    );
    assert_refused!(Archive::default().file("a/x", b""), Error::Forbidden { .. });
    let twice = Archive::default().link("x", "y").file("x", b"through");
    assert_refused!(twice, Error::Duplicate { .. });
    let again = Archive::default().directory("a").file("a/x", b"").file("b", b"").file("a/x", b"");
    assert_refused!(again, Error::Forbidden { kind: "an entry out of order", .. });
}

#[test]
fn t047_only_files_directories_and_links_exist() {
    for kind in (0..=255).filter(|kind| !matches!(kind, b'0' | b'2' | b'5')) {
        let mut header = header(b"x", EntryType::Regular, "", 0);
        header.as_mut_bytes()[156] = kind;
        assert_refused!(Archive::default().header(header, b""), Error::Forbidden { .. });
    }
}

#[test]
fn t047_set_user_id_set_group_id_and_sticky_bits_are_refused() {
    for mode in [0o4755, 0o2755, 0o1755] {
        let mut header = header(b"x", EntryType::Regular, "", 0);
        header.set_mode(mode);
        assert_refused!(
            Archive::default().header(header, b""),
            Error::Forbidden { kind, .. } if kind.contains("set-user-id")
        );
    }
}

#[test]
fn t049_a_bomb_is_stopped_before_it_is_written() {
    let limits = Limits { unpacked_bytes: 1000, ..Limits::default() };
    let room = Archive::default().file("a", &[0; 600]).file("b", &[0; 400]).end();
    assert_eq!(accepted(&compress(&room), &limits).unpacked_bytes, 1000);

    let bomb = Archive::default().file("a", &[0; 600]).file("b", &[0; 401]).end();
    let error = refused(&compress(&bomb), &limits);
    assert!(matches!(error, Error::TooMuch { what: Bound::UnpackedBytes, limit: 1000 }));

    // What is declared counts, so the content need not even be there.
    let mut huge = header(b"a", EntryType::Regular, "", 0);
    huge.set_size((1 << 33) - 1);
    assert_refused!(
        Archive::default().header(huge, b""),
        Error::TooMuch { what: Bound::UnpackedBytes, .. }
    );
}

#[test]
fn t049_a_frame_that_asks_for_memory_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(&Archive::default().end()).unwrap();
    encoder.flush().unwrap();
    let packed = encoder.finish().unwrap();
    let error = refused(&packed, &Limits::default());
    assert!(matches!(error, Error::TooMuch { what: Bound::Window, .. }), "{error:?}");
}

#[test]
fn t050_numbers_depth_and_lengths_are_bounded() {
    let three = Archive::default().directory("a").directory("a/b").file("a/b/ccc", b"").end();
    let packed = compress(&three);
    let full = Limits { files: 3, depth: 3, name_bytes: 3, path_bytes: 7, ..Limits::default() };
    let full = Limits { packed_bytes: packed.len() as u64, ..full };
    accepted(&packed, &full);
    for (limits, bound) in [
        (Limits { files: 2, ..full.clone() }, Bound::Files),
        (Limits { depth: 2, ..full.clone() }, Bound::Depth),
        (Limits { name_bytes: 2, ..full.clone() }, Bound::NameBytes),
        (Limits { path_bytes: 6, ..full.clone() }, Bound::PathBytes),
        (Limits { packed_bytes: full.packed_bytes - 1, ..full }, Bound::PackedBytes),
    ] {
        let error = refused(&packed, &limits);
        assert!(matches!(error, Error::TooMuch { what, .. } if what == bound), "{error:?}");
    }
}

#[test]
fn t052_names_that_are_not_utf8_are_refused() {
    assert_refused!(
        Archive::default().add(b"caf\xe9", EntryType::Regular, "", b""),
        Error::Forbidden { kind: "an entry whose name is not UTF-8", .. }
    );
}

#[test]
fn t054_a_header_has_one_interpretation() {
    let edits: [fn(&mut Header); 9] = [
        |header| header.set_uid(1000),
        |header| header.set_mtime(0),
        |header| header.set_mode(0o600),
        |header| header.set_device_major(1).unwrap(),
        |header| header.as_mut_bytes()[50] = b'x', // hidden behind the name's NUL
        |header| header.as_mut_bytes()[160] = b'x', // a file with a link target
        |header| header.as_mut_bytes()[124] = b' ', // a size with leading blanks
        |header| header.as_mut_bytes()[124] = 0x80, // GNU's binary sizes
        |header| header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0"),
    ];
    for (number, edit) in edits.iter().enumerate() {
        let mut header = header(b"x", EntryType::Regular, "", 0);
        edit(&mut header);
        let error = Archive::default().header(header, b"").refused();
        assert!(matches!(error, Error::Forbidden { .. }), "edit {number}: {error:?}");
    }
    // A directory whose header claims content would let another reader skip what follows.
    assert_refused!(
        Archive::default().add(b"d", EntryType::Directory, "", &[0; 512]),
        Error::Forbidden { .. }
    );
    let mut damaged = Archive::default().file("x", b"");
    damaged.0[0] = b'y';
    assert_refused!(damaged, Error::Forbidden { kind: "an entry with a damaged header", .. });
    let mut hidden = Archive::default().file("x", b"text");
    hidden.0[600] = 1;
    assert_refused!(hidden, Error::Malformed { .. });
}

#[test]
fn t055_nothing_stands_before_behind_or_between() {
    let archive = Archive::default().file("x", b"text");
    let limits = Limits::default();
    let whole = archive.clone().end();
    let packed = compress(&whole);
    accepted(&packed, &limits);

    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    for bad in [
        [packed.clone(), packed.clone()].concat(),
        [packed.clone(), skippable.to_vec()].concat(),
        [packed.clone(), b"x".to_vec()].concat(),
        [skippable.to_vec(), packed.clone()].concat(),
        compress(&[whole.clone(), vec![0]].concat()),
        compress(&[&*whole, &*whole].concat()),
        compress(&archive.0),
        compress(&[archive.0.clone(), vec![0; 512]].concat()),
        compress(&[archive.0.clone(), vec![0; 512], archive.0.clone()].concat()),
        compress(&[archive.0.clone(), vec![0; 512], vec![1; 512]].concat()),
        without_a_checksum(&whole),
        compress(&[]),
        Vec::new(),
    ] {
        let error = refused(&bad, &limits);
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
    }
    for length in 0..packed.len() {
        refused(&packed[..length], &limits);
    }
    for at in 6..packed.len() {
        let mut flipped = packed.clone();
        flipped[at] ^= 0x10;
        refused(&flipped, &limits);
    }
}

#[test]
fn a_reader_that_fails_says_so_and_leaves_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("connection reset"))
        }
    }
    let packed = compress(&Archive::default().file("x", b"text").end());
    for length in [0, 6, packed.len() - 1, packed.len()] {
        let dir = TempDir::new().unwrap();
        let reader = packed[..length].chain(Broken);
        let error = unpack(reader, &dir.path().join("target"), &Limits::default()).unwrap_err();
        assert!(matches!(error, Error::Read { .. }) && error.is_transient(), "{error:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_disk_that_refuses_leaves_nothing() {
    // Below a directory whose path is nearly as long as paths can be, the first file
    // still fits and the second does not.
    let dir = TempDir::new().unwrap();
    let mut deep = dir.path().to_owned();
    while deep.as_os_str().len() < 3850 {
        deep.push("d".repeat(90));
    }
    deep.push("e".repeat(4060 - deep.as_os_str().len()));
    fs::create_dir_all(&deep).unwrap();
    let packed = compress(&Archive::default().file("a", b"").file(&"b".repeat(90), b"").end());

    let error = unpack(packed.as_slice(), &deep.join("t"), &Limits::default()).unwrap_err();

    assert!(matches!(&error, Error::Write { path, .. } if path.ends_with("b".repeat(90))));
    assert!(error.is_transient());
    assert_eq!(fs::read_dir(&deep).unwrap().count(), 0);
}

#[test]
fn t057_what_a_crash_left_is_removed_and_what_is_complete_is_not_touched() {
    let dir = TempDir::new().unwrap();
    let target = dir.path().join("target");
    fs::create_dir_all(dir.path().join("target.partial/old")).unwrap();
    let packed = compress(&Archive::default().file("x", b"text").end());

    unpack(packed.as_slice(), &target, &Limits::default()).unwrap();
    assert_eq!(fs::read(target.join("x")).unwrap(), b"text");
    assert!(!target.join("old").exists());

    let again = unpack(packed.as_slice(), &target, &Limits::default());
    assert!(matches!(again, Err(Error::Occupied { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
