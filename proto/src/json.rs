//! Strict JSON for signed documents: what two readers could read differently is refused.
//!
//! Derived structs refuse duplicate keys, and with `deny_unknown_fields` unknown
//! ones; serde_json refuses trailing bytes and nesting deeper than 128. What this
//! file adds: a bound on the size; that the schema number is read first, so that a
//! document of a newer schema is told apart from a broken one; and that everything is
//! said as floe would write it. serde also reads a list where a struct is meant, and
//! `{"a": null}` where `"a"` is; what the types read more freely than they write (an
//! IPv6 address) has one spelling likewise. Documents must not use `flatten`, maps or
//! untagged enums, which keep the last of two equal keys.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parses a signed document whose newest known schema is `known`.
///
/// # Errors
///
/// [`Error::TooLong`] beyond `limit` bytes, [`Error::NewerSchema`] where the
/// document says so, [`Error::Synonym`] where it is said in other words than floe's,
/// [`Error::Malformed`] for everything else.
pub fn parse<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    known: u32,
    limit: usize,
) -> Result<T, Error> {
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
    let document = serde_json::from_slice(bytes)?;
    // Only blanks, the order of fields and the escapes of characters are free.
    if serde_json::to_value(&document)? != serde_json::from_slice::<Value>(bytes)? {
        return Err(Error::Synonym);
    }
    Ok(document)
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
    /// A field that may be absent is, or something has another form than floe gives it.
    #[error("the document says something in another form than floe writes")]
    Synonym,
    /// Not JSON, a duplicate or unknown field, a wrong type or value.
    #[error("the document is malformed")]
    Malformed(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        schema: u32,
        serial: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, Serialize)]
    enum Kind {
        Unit,
        Pair { left: u8, right: u8 },
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
            r#"{"schema":1,"serial":-0}"#,
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
    fn t004_one_meaning_has_one_form() {
        for (one, other) in [
            (r#""Unit""#, r#"{"Unit":null}"#),
            (r#"{"Pair":{"left":1,"right":2}}"#, r#"{"Pair":[1,2]}"#),
        ] {
            let document = |kind| format!(r#"{{"kind":{kind}, "serial":7,"schema":1}}"#);
            assert!(read(&document(one)).is_ok(), "{one}");
            let refused = read(&document(other));
            assert!(matches!(refused, Err(Error::Synonym)), "{other}: {refused:?}");
        }
        // The head is a map as well, so that this one is found before.
        assert!(read("[1,7,null]").is_err());
    }

    #[test]
    fn a_newer_schema_is_told_apart_from_a_broken_document() {
        let newer = r#"{"schema":2,"serial":"now a text","more":{}}"#;
        assert!(matches!(read(newer), Err(Error::NewerSchema { schema: 2, known: 1 })));
    }
}
