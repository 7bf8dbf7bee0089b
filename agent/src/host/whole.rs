//! A payload as it is unpacked: read to its end only if it has the signed digest.
//!
//! It was hashed when it came, but days may lie between, or a restart; so the very bytes
//! that are unpacked are hashed again, and nothing is opened twice (catalogue T035).
//! What reads it must read to the end, as `unpack` does before it gives anything a name.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use floe_proto::digest::{Digest, Hasher};
use floe_proto::payload::limits::Limits;
use floe_proto::payload::unpack;
use tokio::task::{JoinError, spawn_blocking};

/// A reader that fails at its end unless everything that was read has the digest.
pub struct Whole<R> {
    inner: R,
    hasher: Hasher,
    signed: Digest,
}

impl<R: Read> Whole<R> {
    /// Reads `inner`, which must have the digest `signed`.
    pub fn new(inner: R, signed: Digest) -> Self {
        Self { inner, hasher: Hasher::default(), signed }
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        let over = read == 0 && !buffer.is_empty();
        if over && self.hasher.clone().finish() != self.signed {
            return Err(io::Error::other("it changed on the disk after it was verified"));
        }
        Ok(read)
    }
}

/// Unpacks the file `payload`, which must have the digest `signed`, as `target`: that gets its
/// name once it is whole.
///
/// # Errors
///
/// Why there is no `target`.
pub async fn unpack(
    payload: PathBuf,
    signed: Digest,
    target: PathBuf,
    limits: Limits,
) -> Result<(), Error> {
    let unpacking = move || {
        let packed = File::open(&payload);
        let packed = packed.map_err(|source| Error::Open { file: payload, source })?;
        unpack::unpack(Whole::new(packed, signed), &target, &limits)?;
        Ok(())
    };
    spawn_blocking(unpacking).await?
}

/// Why a payload is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error("could not read `{}`", file.display())]
    Open {
        /// Where it should be.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// It is not what may be unpacked.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// The thread that did it died.
    #[error("unpacking the payload died")]
    Died(#[from] JoinError),
}

#[cfg(test)]
mod tests {
    use floe_proto::payload::pack::Packer;
    use floe_proto::payload::unpack::unpack;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut packer = Packer::new(Limits::default());
        packer.file("role/configuration.nix", text.into()).unwrap();
        let mut bytes = Vec::new();
        packer.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn t035_a_payload_that_was_exchanged_after_it_was_verified_leaves_nothing() {
        let (signed, other) = (packed("{ }"), packed("{ evil = true; }"));
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("source");
        let exchanged = Whole::new(other.as_slice(), Digest::of(&signed));
        let refused = unpack(exchanged, &target, &Limits::default());
        assert!(matches!(refused, Err(unpack::Error::Read { .. })), "{refused:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let whole = Whole::new(signed.as_slice(), Digest::of(&signed));
        unpack(whole, &target, &Limits::default()).unwrap();
    }
}
