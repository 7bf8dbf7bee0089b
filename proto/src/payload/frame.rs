//! The zstd frame around a payload: written in one way, read in that way only.
//!
//! A payload is one frame: no dictionary, no declared size, a checksum of its
//! content at the end, a window that fits into what every host allows. Everything
//! else that zstd allows (further frames, skippable ones, windows of gigabytes) is
//! refused from the first bytes or at the end. What is in the frame is not looked at.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use zstd::stream::{read, write};

use super::limits::{Bound, Limits};

/// Compresses what is written to it into `out`.
pub(super) fn compress<W: Write>(out: W) -> io::Result<write::Encoder<'static, W>> {
    let mut encoder = write::Encoder::new(out, LEVEL)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(false)?;
    encoder.include_dictid(false)?;
    Ok(encoder)
}

/// Both decide over the bytes of every payload: the same tree, compressed by floe
/// releases with other numbers (or another zstd), has another digest.
const LEVEL: i32 = 9;
const WINDOW_LOG: u32 = 22;

/// Decompresses a payload, bounded in what it reads and in what it remembers.
pub(super) struct Expand<R: Read> {
    decoder: read::Decoder<'static, BufReader<Packed<R>>>,
    limits: Limits,
}

impl<R: Read> Expand<R> {
    pub(super) fn new(packed: R, limits: &Limits) -> Result<Self, Error> {
        let packed = Packed::open(packed, limits)?;
        let buffered = BufReader::with_capacity(64 << 10, packed);
        let decoder = read::Decoder::with_buffer(buffered).map_err(damaged)?.single_frame();
        Ok(Self { decoder, limits: limits.clone() })
    }

    /// Fills all of `buffer`.
    pub(super) fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), Error> {
        while !buffer.is_empty() {
            match self.read(buffer)? {
                0 => return Err(Error::Malformed { what: "it ends in the middle" }),
                read => buffer = &mut buffer[read..],
            }
        }
        Ok(())
    }

    /// Makes sure that nothing follows: neither in the frame, nor after it.
    pub(super) fn end(mut self) -> Result<(), Error> {
        // This read also makes zstd compare the checksum.
        if self.read(&mut [0])? > 0 {
            return Err(Error::Malformed { what: "something follows the end of its archive" });
        }
        let mut packed = self.decoder.finish();
        match packed.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(Error::Malformed { what: "something follows its compressed frame" }),
            Err(error) => Err(packed.get_ref().explain(error, &self.limits)),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.decoder
            .read(buffer)
            .map_err(|error| self.decoder.get_ref().get_ref().explain(error, &self.limits))
    }
}

/// The compressed bytes, counted, and with a memory of what stopped them.
struct Packed<R> {
    inner: R,
    /// The frame header was looked at, and is handed out again.
    header: io::Cursor<[u8; HEADER]>,
    left: u64,
    stopped: Option<Stop>,
}

#[derive(Clone, Copy)]
enum Stop {
    Limit,
    Reader,
}

impl<R: Read> Packed<R> {
    fn open(mut inner: R, limits: &Limits) -> Result<Self, Error> {
        let mut header = [0; HEADER];
        inner.read_exact(&mut header).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                Error::Malformed { what: "it ends in the middle" }
            } else {
                Error::Read { source }
            }
        })?;
        check_header(header, limits)?;
        let left = limits.packed_bytes.saturating_sub(HEADER as u64);
        Ok(Self { inner, header: io::Cursor::new(header), left, stopped: None })
    }
}

impl<R> Packed<R> {
    /// zstd hands the reader's errors on unchanged; this tells them from its own.
    fn explain(&self, error: io::Error, limits: &Limits) -> Error {
        match self.stopped {
            Some(Stop::Limit) => {
                Error::TooMuch { what: Bound::PackedBytes, limit: limits.packed_bytes }
            }
            Some(Stop::Reader) => Error::Read { source: error },
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Error::Malformed { what: "it ends in the middle" }
            }
            None => damaged(error),
        }
    }
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let replayed = self.header.read(buffer)?;
        if replayed > 0 {
            return Ok(replayed);
        }
        let read = loop {
            match self.inner.read(buffer) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.stopped = Some(Stop::Reader);
                    return Err(error);
                }
            }
        };
        match self.left.checked_sub(read as u64) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => {
                self.stopped = Some(Stop::Limit);
                Err(io::Error::other("payload is too long"))
            }
        }
    }
}

fn damaged(source: io::Error) -> Error {
    Error::Damaged { source }
}

/// Why a frame was refused; `unpack` says it in its own words.
#[derive(Debug)]
pub(super) enum Error {
    TooMuch { what: Bound, limit: u64 },
    Malformed { what: &'static str },
    Damaged { source: io::Error },
    Read { source: io::Error },
}

/// Magic number, frame header descriptor, window descriptor.
const HEADER: usize = 6;

/// RFC 8878, section 3.1.1.1: the descriptor says "a checksum, nothing else"; the
/// window is `2^(10 + exponent)` and `mantissa` eighths of it.
fn check_header(header: [u8; HEADER], limits: &Limits) -> Result<(), Error> {
    let [0x28, 0xb5, 0x2f, 0xfd, 0b0000_0100, window] = header else {
        return Err(Error::Malformed { what: "it does not begin like a payload" });
    };
    let base = 1u64 << (10 + (window >> 3));
    let size = base + base / 8 * u64::from(window & 7);
    if size > limits.window {
        return Err(Error::TooMuch { what: Bound::Window, limit: limits.window });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back_and_asks_for_no_more_than_the_default_window() {
        let text = vec![7; 20 << 20];
        let mut encoder = compress(Vec::new()).unwrap();
        encoder.write_all(&text).unwrap();
        let packed = encoder.finish().unwrap();

        let mut expand = Expand::new(packed.as_slice(), &Limits::default()).unwrap();
        let mut back = vec![0; text.len()];
        expand.fill(&mut back).unwrap();
        assert!(back == text);
        expand.end().unwrap();
    }
}
