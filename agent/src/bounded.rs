//! Reads of files that have a bound: what is ours is never longer, and whoever put something
//! longer in its place gets no memory for it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// The whole file, which may be a secret; `None` where there is none.
///
/// # Errors
///
/// What the disk said, or [`io::ErrorKind::FileTooLarge`] for one of more than `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // With room for all of it, no copy is left behind by growing.
    let room = file.metadata()?.len().min(most);
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or_default() + 1));
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        return Ok(Some(bytes));
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(read(&path, 5).unwrap().is_none());
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap().unwrap().as_slice(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
