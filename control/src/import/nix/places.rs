//! What a scan finds in a Nix file: places, as ranges of bytes.

use std::ops::Range;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// `a.b = "{{ … }}";`
    pub(super) options: Vec<Assigned>,
    /// Where Jinja stands, options included; the text is what is between the brackets.
    pub(super) jinja: Vec<Jinja>,
}

/// An option whose value is exactly one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    /// The whole path, from the module on.
    pub(super) path: Vec<String>,
    /// Where the last name of the path stands.
    pub(super) name: Range<usize>,
    /// Where the value stands, with its quotes.
    pub(super) value: Range<usize>,
}

/// `{{ … }}`, `{% … %}` or `{# … #}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jinja {
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Expression,
    Statement,
    Comment,
}

impl Jinja {
    /// What stands between the brackets.
    pub(super) fn inner<'a>(&self, text: &'a str) -> &'a str {
        let inner = text.get(self.range.start + 2..self.range.end.saturating_sub(2));
        inner.unwrap_or_default().trim_matches('-').trim()
    }
}
