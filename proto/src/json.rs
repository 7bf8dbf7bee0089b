//! Strict JSON for signed documents: what two readers could read differently is refused.
//!
//! Derived structs refuse duplicate keys, and with `deny_unknown_fields` unknown
//! ones; serde_json refuses trailing bytes and nesting deeper than 128. What this
//! file adds: a bound on the size, and that the schema number is read first, so
//! that a document of a newer schema is told apart from a broken one. Documents
//! must not use `flatten`, maps or untagged enums, which keep the last of two
//! equal keys.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Parses a signed document whose newest known schema is `known`.
///
/// # Errors
///
/// [`Error::TooLong`] beyond `limit` bytes, [`Error::NewerSchema`] where the
/// document says so, [`Error::Malformed`] for everything else.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], known: u32, limit: usize) -> Result<T, Error> {
    if bytes.len() > limit {
        return Err(Error::TooLong { length: bytes.len(), limit });
    }
    let Head { schema } = serde_json::from_slice(bytes)?;
    if schema > known {
        return Err(Error::NewerSchema { schema, known });
    }
    if schema == 0 {
        return Err(Error::NoSchema);
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// The one field that every document has.
#[derive(Deserialize)]
struct Head {
    schema: u32,
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than any honest document.
    #[error("the document has {length} bytes, more than the {limit} allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// Written for a newer program than this one.
    #[error("the document has schema {schema}, newer than {known}, the newest known here")]
    NewerSchema {
        /// What it says.
        schema: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// Schemas begin at 1.
    #[error("the document has schema 0, which does not exist")]
    NoSchema,
    /// Not JSON, a duplicate or unknown field, a wrong type or value.
    #[error("the document is malformed")]
    Malformed(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Document {
        schema: u32,
        serial: u64,
    }

    fn read(text: &str) -> Result<Document, Error> {
        parse(text.as_bytes(), 1, 1024)
    }

    #[test]
    fn t004_what_two_readers_could_read_differently_is_refused() {
        assert!(read(r#"{"schema":1,"serial":7}"#).is_ok());
        for bad in [
            r#"{"schema":1,"serial":7,"serial":8}"#,
            r#"{"schema":1,"serial":7,"seri\u0061l":8}"#,
            r#"{"schema":1,"schema":1,"serial":7}"#,
            r#"{"schema":1,"serial":7,"more":0}"#,
            r#"{"schema":1,"serial":7.0}"#,
            r#"{"schema":1,"serial":1e3}"#,
            r#"{"schema":1,"serial":-1}"#,
            r#"{"schema":1,"serial":18446744073709551616}"#,
            r#"{"schema":1,"serial":7} {}"#,
            r#"{"schema":0,"serial":7}"#,
            r#"{"serial":7}"#,
            "[]",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"[".repeat(1000)).is_err());
        assert!(matches!(read(&" ".repeat(2000)), Err(Error::TooLong { .. })));
    }

    #[test]
    fn a_newer_schema_is_told_apart_from_a_broken_document() {
        let newer = r#"{"schema":2,"serial":"now a text","more":{}}"#;
        assert!(matches!(read(newer), Err(Error::NewerSchema { schema: 2, known: 1 })));
    }
}
