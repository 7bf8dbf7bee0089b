//! Reads of what may be a secret and has a bound.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// All of `reader`, which most likely has `length` bytes; `None` where it has more than `most`.
/// With room for all of it, no copy is left behind by growing.
pub(crate) fn read(
    reader: impl Read,
    length: u64,
    most: u64,
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let room = usize::try_from(length.min(most)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= most);
    Ok(fits.then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_more_than_the_bound_is_nothing() {
        let read = |text: &'static [u8], most| read(text, 1, most).unwrap().map(|it| it.to_vec());
        assert_eq!(read(b"12345", 5), Some(b"12345".to_vec()));
        assert_eq!(read(b"12345", 4), None);
        assert_eq!(read(b"", 0), Some(Vec::new()));
    }
}
