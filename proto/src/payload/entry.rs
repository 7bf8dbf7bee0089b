//! One entry of a payload ⇄ its 512-byte header, in exactly one way.
//!
//! The format is POSIX ustar with everything fixed that may be fixed: owner 0, no
//! names, time 1 (as in the Nix store), mode 0644 or 0755, no trailing slash. What
//! [`Entry::parse`] accepts is byte for byte what [`Entry::header`] writes, so two
//! readers cannot see two different things in it (docs/trust.md T054). Where an entry
//! stands in the tree is not judged here, but in `unpack`.

use super::limits::{Bound, Limits};

/// Size of a header, and the unit that contents are padded to.
pub(super) const BLOCK: usize = 512;

/// What is stored under one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative, `/` between segments, none at the end.
    pub(super) path: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File { bytes: u64, executable: bool },
    Directory,
    Link { target: String },
}

/// What is wrong with an entry; `pack` and `unpack` say where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It would be, or point, outside of the payload.
    Escapes,
    /// It is something that no payload may hold: "a device".
    Forbidden(&'static str),
    /// It is larger than allowed.
    TooMuch(Bound, u64),
}

impl Entry {
    /// The header of this entry. Refuses what does not fit into one.
    pub(super) fn header(&self) -> Result<[u8; BLOCK], Fault> {
        let (prefix, name) = split(&self.path)?;
        let (mode, bytes, kind, target) = match &self.kind {
            Kind::File { bytes, executable: false } => (0o644, *bytes, b'0', ""),
            Kind::File { bytes, executable: true } => (0o755, *bytes, b'0', ""),
            Kind::Directory => (0o755, 0, b'5', ""),
            Kind::Link { target } => (0o777, 0, b'2', target.as_str()),
        };
        if target.len() > LINK.len() {
            return Err(Fault::Forbidden("a link with a target of more than 100 bytes"));
        }
        if bytes > MAX_BYTES {
            return Err(Fault::TooMuch(Bound::UnpackedBytes, MAX_BYTES));
        }
        let mut block = [0; BLOCK];
        put(&mut block, NAME, name.as_bytes());
        put_octal(&mut block, MODE, mode);
        put_octal(&mut block, OWNER, 0);
        put_octal(&mut block, GROUP, 0);
        put_octal(&mut block, SIZE, bytes);
        put_octal(&mut block, TIME, 1);
        put(&mut block, KIND, &[kind]);
        put(&mut block, LINK, target.as_bytes());
        put(&mut block, MAGIC, b"ustar\x0000");
        put_octal(&mut block, MAJOR, 0);
        put_octal(&mut block, MINOR, 0);
        put(&mut block, PREFIX, prefix.as_bytes());
        // POSIX: six digits, NUL, space; the field counts as spaces in its own sum.
        let sum = format!("{:06o}\0 ", checksum(&block));
        put(&mut block, SUM, sum.as_bytes());
        Ok(block)
    }

    /// The entry that `block` stands for, or its path as far as it can be read and
    /// why it is refused.
    pub(super) fn parse(block: &[u8; BLOCK], limits: &Limits) -> Result<Self, (String, Fault)> {
        let path = match (text(block, PREFIX), text(block, NAME)) {
            ([], name) => name.to_owned(),
            (prefix, name) => [prefix, b"/", name].concat(),
        };
        match Self::parse_as(&path, block, limits) {
            Ok(entry) => Ok(entry),
            Err(fault) => Err((String::from_utf8_lossy(&path).into_owned(), fault)),
        }
    }

    fn parse_as(path: &[u8], block: &[u8; BLOCK], limits: &Limits) -> Result<Self, Fault> {
        if octal(block, SUM) != Some(u64::from(checksum(block))) {
            return Err(Fault::Forbidden("an entry with a damaged header"));
        }
        // The kind comes first: its name says most about who wrote the archive.
        let [kind] = block[KIND.start..KIND.end] else { return Err(NOT_OURS) };
        forbidden_kind(kind)?;
        let mode = octal(block, MODE).ok_or(NOT_OURS)?;
        if mode & 0o7000 != 0 {
            return Err(Fault::Forbidden("a file with a set-user-id, set-group-id or sticky bit"));
        }
        let path = std::str::from_utf8(path)
            .map_err(|_| Fault::Forbidden("an entry whose name is not UTF-8"))?
            .to_owned();
        check_path(&path, limits)?;
        let kind = match kind {
            b'2' => {
                let target = std::str::from_utf8(text(block, LINK))
                    .map_err(|_| Fault::Forbidden("a link whose target is not UTF-8"))?
                    .to_owned();
                check_target(&path, &target)?;
                Kind::Link { target }
            }
            b'5' => Kind::Directory,
            _ => Kind::File {
                bytes: octal(block, SIZE).ok_or(NOT_OURS)?,
                executable: mode & 0o100 != 0,
            },
        };
        let entry = Self { path, kind };
        if entry.header()? == *block { Ok(entry) } else { Err(NOT_OURS) }
    }
}

/// How many zeroes follow so many bytes.
pub(super) fn padding(bytes: u64) -> usize {
    match usize::try_from(bytes % BLOCK as u64) {
        Ok(0) | Err(_) => 0,
        Ok(rest) => BLOCK - rest,
    }
}

/// Whether `path` may be the name of an entry.
pub(super) fn check_path(path: &str, limits: &Limits) -> Result<(), Fault> {
    bounded(path.len(), limits.path_bytes, Bound::PathBytes)?;
    if path.starts_with('/') || path.split('/').any(|segment| segment == "..") {
        return Err(Fault::Escapes);
    }
    check_characters(path)?;
    for segment in path.split('/') {
        if matches!(segment, "" | ".") {
            return Err(Fault::Forbidden("a path with an empty or `.` segment"));
        }
        bounded(segment.len(), limits.name_bytes, Bound::NameBytes)?;
    }
    bounded(path.split('/').count(), limits.depth, Bound::Depth)
}

/// Whether a link at `path` may point to `target`.
///
/// A target climbs first and descends after, never the other way round: the
/// directory that a link stands in is a real one, so counting its parents is exact,
/// and each link met on the way down obeys the same rule. `dir/link/../x`, where
/// counting would not tell where `..` leads, is refused.
pub(super) fn check_target(path: &str, target: &str) -> Result<(), Fault> {
    check_characters(target)?;
    if target.starts_with('/') {
        return Err(Fault::Escapes);
    }
    let mut parents_left = path.split('/').count() - 1;
    let mut descending = false;
    for segment in target.split('/') {
        match segment {
            "" => return Err(Fault::Forbidden("a link with an empty segment in its target")),
            "." => {}
            ".." if descending || parents_left == 0 => return Err(Fault::Escapes),
            ".." => parents_left -= 1,
            _ => descending = true,
        }
    }
    Ok(())
}

/// Control characters forge log lines; a backslash separates names elsewhere.
fn check_characters(text: &str) -> Result<(), Fault> {
    if text.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(Fault::Forbidden("a name with a backslash or control character"));
    }
    Ok(())
}

fn forbidden_kind(kind: u8) -> Result<(), Fault> {
    Err(Fault::Forbidden(match kind {
        b'0' | b'2' | b'5' => return Ok(()),
        b'1' => "a hard link",
        b'3' => "a character device",
        b'4' => "a block device",
        b'6' => "a FIFO",
        b'S' => "a sparse file",
        b'L' | b'K' => "a GNU long name",
        b'x' | b'g' => "a PAX header",
        _ => "an entry of unknown type",
    }))
}

fn bounded(value: usize, limit: u64, bound: Bound) -> Result<(), Fault> {
    if value as u64 > limit { Err(Fault::TooMuch(bound, limit)) } else { Ok(()) }
}

/// POSIX: prefix and name are joined by a `/`. The shortest prefix that leaves room
/// for the rest, so that there is only one way.
fn split(path: &str) -> Result<(&str, &str), Fault> {
    if path.len() <= NAME.len() {
        return Ok(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(_, name)| name.len() <= NAME.len())
        .filter(|(prefix, name)| prefix.len() <= PREFIX.len() && !name.is_empty())
        .ok_or(Fault::Forbidden("a path that is too long for an archive"))
}

const NOT_OURS: Fault = Fault::Forbidden("an entry that floe would write differently");

/// Eleven octal digits.
const MAX_BYTES: u64 = (1 << 33) - 1;

/// A field of the header: POSIX.1-2017, pax, "ustar Interchange Format".
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
}

impl Field {
    const fn new(start: usize, len: usize) -> Self {
        Self { start, end: start + len }
    }

    fn len(self) -> usize {
        self.end - self.start
    }
}

const NAME: Field = Field::new(0, 100);
const MODE: Field = Field::new(100, 8);
const OWNER: Field = Field::new(108, 8);
const GROUP: Field = Field::new(116, 8);
const SIZE: Field = Field::new(124, 12);
const TIME: Field = Field::new(136, 12);
const SUM: Field = Field::new(148, 8);
const KIND: Field = Field::new(156, 1);
const LINK: Field = Field::new(157, 100);
const MAGIC: Field = Field::new(257, 8);
const MAJOR: Field = Field::new(329, 8);
const MINOR: Field = Field::new(337, 8);
const PREFIX: Field = Field::new(345, 155);

/// Everyone who calls has made sure that `bytes` fit.
fn put(block: &mut [u8; BLOCK], field: Field, bytes: &[u8]) {
    block[field.start..field.start + bytes.len()].copy_from_slice(bytes);
}

fn put_octal(block: &mut [u8; BLOCK], field: Field, number: u64) {
    let digits = format!("{number:0width$o}\0", width = field.len() - 1);
    put(block, field, digits.as_bytes());
}

/// The number that [`put_octal`] wrote, or that somebody else wrote more freely.
fn octal(block: &[u8; BLOCK], field: Field) -> Option<u64> {
    let digits = std::str::from_utf8(text(block, field)).ok()?.trim_matches(' ');
    u64::from_str_radix(digits, 8).ok()
}

/// The field up to its first NUL. What follows is found by comparing headers.
fn text(block: &[u8; BLOCK], field: Field) -> &[u8] {
    block[field.start..field.end].split(|byte| *byte == 0).next().unwrap_or_default()
}

fn checksum(block: &[u8; BLOCK]) -> u32 {
    let counted = |(at, byte): (usize, &u8)| match at {
        at if (SUM.start..SUM.end).contains(&at) => u32::from(b' '),
        _ => u32::from(*byte),
    };
    block.iter().enumerate().map(counted).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t044_a_link_climbs_first_and_never_out() {
        for (path, target) in [
            ("a/b/link", "../../c"),
            ("a/link", "b/c"),
            ("link", "."),
            ("a/link", "./.././x"),
            ("a/link", ".."),
        ] {
            assert_eq!(check_target(path, target), Ok(()), "{path} -> {target}");
        }
        for (path, target) in [
            ("link", "/etc/passwd"),
            ("link", ".."),
            ("a/link", "../../x"),
            ("a/b/link", "c/../../../x"),
            ("link", "a/.."),
            ("a/b/link", "c/.."),
        ] {
            assert_eq!(check_target(path, target), Err(Fault::Escapes), "{path} -> {target}");
        }
        for target in ["", "a//b", "a/", "a\nb", "a\\b"] {
            assert!(check_target("a/link", target).is_err(), "{target:?}");
        }
    }

    #[test]
    fn long_paths_are_split_in_one_way_and_come_back() {
        let limits = Limits::default();
        let deep = ["d".repeat(70), "e".repeat(70), "f".repeat(70)].join("/");
        for path in ["a", &"n".repeat(100), &deep] {
            let entry = Entry { path: path.to_owned(), kind: Kind::Directory };
            let header = entry.header().unwrap();
            assert_eq!(Entry::parse(&header, &limits), Ok(entry));
            let other = tar::Header::from_byte_slice(&header);
            assert_eq!(other.path().unwrap().to_str(), Some(path), "as the tar crate reads it");
        }
        let too_long = Entry { path: "n".repeat(101), kind: Kind::Directory };
        assert!(matches!(too_long.header(), Err(Fault::Forbidden(_))));
    }
}
