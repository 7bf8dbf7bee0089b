//! The payload of a closure: its list, packed and read again. Both ways the bounds hold
//! that hosts go by.

use std::io::{Read, Write};

use floe_proto::closure::{self, Closure};
use floe_proto::manifest::Kind;
use floe_proto::payload::pack::{self, Packed, Packer};
use floe_proto::payload::unpack::{self, unpack};

/// Writes the payload that lists `closure` to `out`.
///
/// # Errors
///
/// [`Error`] for what no host would take, and what the disk said.
pub fn pack(closure: &Closure, out: impl Write) -> Result<Packed, Error> {
    let mut packer = Packer::new(Kind::Closure.limits());
    packer.file(closure::FILE, closure.to_bytes()?)?;
    Ok(packer.write(out)?)
}

/// What a payload lists; it is unpacked for that, and thrown away.
///
/// # Errors
///
/// [`Error`] for what no host would take.
pub fn read(packed: impl Read) -> Result<Closure, Error> {
    let scratch = tempfile::tempdir().map_err(Error::Scratch)?;
    let target = scratch.path().join("payload");
    unpack(packed, &target, &Kind::Closure.limits())?;
    let bytes = std::fs::read(target.join(closure::FILE)).map_err(|_| Error::NoList)?;
    Ok(Closure::parse(&bytes)?)
}

/// Why a payload is not that of a closure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its list is none.
    #[error(transparent)]
    List(#[from] closure::Error),
    /// It holds something else.
    #[error("the payload has no `{}`", closure::FILE)]
    NoList,
    /// It could not be packed.
    #[error("the closure's list could not be packed")]
    Pack(#[from] pack::Error),
    /// It could not be unpacked.
    #[error("the closure's payload cannot be unpacked")]
    Unpack(#[from] unpack::Error),
    /// There is no room to try.
    #[error("could not make a directory to unpack into")]
    Scratch(#[source] std::io::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::List(error) => error.advice(),
            Self::NoList | Self::Unpack(_) => "build it again with `floe bundle build --closure`",
            Self::Pack(error) => error.advice(),
            Self::Scratch(_) => "free space in the directory for temporary files",
        }
    }

    /// Whether it is this machine's fault, and not the payload's.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Scratch(_) | Self::Pack(_) => true,
            Self::Unpack(error) => error.is_transient(),
            Self::List(_) | Self::NoList => false,
        }
    }
}
