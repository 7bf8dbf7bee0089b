//! Durations as people write them: `90s`, `5m`, `90d`, `1h 30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer};

/// A span of time with a unit; a bare number is refused, since nobody can know its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whole seconds, for signed documents; `None` for a fraction, or beyond 136 years.
    pub fn whole_seconds(self) -> Option<u32> {
        (self.0.subsec_nanos() == 0).then(|| u32::try_from(self.0.as_secs()).ok()).flatten()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        match humantime::parse_duration(text) {
            Ok(span) if span > Duration::ZERO => Ok(Self(span)),
            Ok(_) | Err(_) => Err(InvalidSpan { text: text.chars().take(80).collect() }),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SpanText::deserialize(deserializer)?.0.parse().map_err(de::Error::custom)
    }
}

/// A span as it is written; who reads it knows its bounds. A number gets an answer that
/// speaks of units.
#[derive(Clone, Debug)]
pub(super) struct SpanText(pub(super) String);

impl<'de> Deserialize<'de> for SpanText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = SpanText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, in quotes: `\"10s\"`, `\"5m\"`, `\"90d\"`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SpanText, E> {
                Ok(SpanText(text.to_owned()))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no duration; expected a number and a unit such as `10s`, `5m` or `90d`")]
pub struct InvalidSpan {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit_and_is_not_zero() {
        assert_eq!("90s".parse(), Ok(Span::seconds(90)));
        assert_eq!("90d".parse(), Ok(Span::seconds(90 * 86_400)));
        for bad in ["", "90", "0s", "-1s", "soon", "10 s s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_whole_seconds_can_be_signed() {
        assert_eq!(Span::seconds(5).whole_seconds(), Some(5));
        assert_eq!("1500ms".parse::<Span>().map(Span::whole_seconds), Ok(None));
    }
}
