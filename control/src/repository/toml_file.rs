//! Reads one TOML file: bounded, with its name in every fault.

use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::Error;

/// Longer than any file that a person writes for us.
const MAX_BYTES: u64 = 1 << 20;

/// The text of `path`.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let mut file = std::fs::File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1);
    file.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(path, vec![format!("it has more than {MAX_BYTES} bytes")]));
    }
    Ok(text)
}

/// `text` as `T`; `path` is where it came from.
pub(super) fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map(|span| {
            let line = text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: ")
        });
        wrong(path, vec![format!("{}{}", place.unwrap_or_default(), error.message().trim())])
    })
}

/// The error for a file with `faults`.
pub(super) fn wrong(path: &Path, faults: Vec<String>) -> Error {
    Error::Wrong { path: path.to_owned(), faults }
}
