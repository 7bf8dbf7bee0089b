//! How large anything of a payload may become, and which attack each bound stops.
//!
//! Both sides use the same numbers: the operator learns while packing what a host
//! would refuse while unpacking. The agent's configuration may set others. Nothing
//! is measured here; `pack` and `unpack` do that, before the write that would pass.

use std::fmt;

/// The bounds of one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sum of all file contents, in bytes. Stops decompression bombs (zstd reaches
    /// 32,500:1): what an entry declares counts before its first byte is written.
    pub unpacked_bytes: u64,

    /// Files, directories and links together. Stops a million empty files or
    /// directories, which cost inodes and time, but hardly a byte.
    pub files: u64,

    /// Segments of a path. Stops trees so deep that walking or removing them
    /// exhausts a stack or `PATH_MAX`.
    pub depth: u64,

    /// One segment of a path, in bytes. Stops names that no file system holds. A
    /// header has room for 100, so a larger bound allows no more.
    pub name_bytes: u64,

    /// A whole path, in bytes. Stops paths that fit into a header, but not below
    /// the directory that they are unpacked in. A header has room for 256.
    pub path_bytes: u64,

    /// The payload as it is stored, in bytes. Stops a sender that never ends.
    pub packed_bytes: u64,

    /// What zstd may remember while it decompresses, in bytes. Stops frames that
    /// ask for gigabytes of memory (`zstd --long=31`) before any is set aside.
    pub window: u64,
}

impl Default for Limits {
    /// Room for a whole nixpkgs beside a role.
    fn default() -> Self {
        Self {
            unpacked_bytes: 1 << 30,
            files: 200_000,
            depth: 32,
            name_bytes: 100,
            path_bytes: 255,
            packed_bytes: 256 << 20,
            window: 8 << 20,
        }
    }
}

/// Which bound of [`Limits`] was met; prints as what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`Limits::unpacked_bytes`]
    UnpackedBytes,
    /// [`Limits::files`]
    Files,
    /// [`Limits::depth`]
    Depth,
    /// [`Limits::name_bytes`]
    NameBytes,
    /// [`Limits::path_bytes`]
    PathBytes,
    /// [`Limits::packed_bytes`]
    PackedBytes,
    /// [`Limits::window`]
    Window,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnpackedBytes => "bytes of content",
            Self::Files => "files and directories",
            Self::Depth => "nested directories",
            Self::NameBytes => "bytes in a file name",
            Self::PathBytes => "bytes in a path",
            Self::PackedBytes => "packed bytes",
            Self::Window => "bytes of decompression memory",
        })
    }
}
