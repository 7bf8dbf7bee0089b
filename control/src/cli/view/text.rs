//! How people read it: tables without lines, sizes, and times as distances.

use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use floe_proto::time::Timestamp;
use serde::Serialize;

/// A document that a command prints.
pub(crate) trait View: Serialize {
    /// For people; ends with a line feed.
    fn text(&self, page: Page) -> String;
}

/// What text is written for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// For times as distances.
    pub(crate) now: Timestamp,
    /// Columns of the terminal; `None` where lines may be as long as they are.
    pub(crate) width: Option<u16>,
}

/// The narrowest terminal that text is wrapped for; below it, the terminal wraps.
const NARROWEST: u16 = 60;

/// A table whose columns stand below `header`; ends with a line feed. Where it is too
/// wide for the page, its last column is wrapped.
pub(crate) fn table<const N: usize>(
    page: Page,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = page.width.filter(|width| *width >= NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if at + 1 < N {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `text` without what steers a terminal: hosts and builds may say anything.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}

/// How long ago, in the largest unit: `5m ago`; `never` for no time.
pub(crate) fn ago(now: Timestamp, then: Option<Timestamp>) -> String {
    match then {
        Some(then) => format!("{} ago", span(now.since(then))),
        None => "never".into(),
    }
}

/// A span in the largest unit that fits.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds @ 86_400.. => format!("{}d", seconds / 86_400),
    }
}

/// A number of bytes, as people say it.
pub(crate) fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| count >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (count >> (shift - 10)) * 10 / 1024;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{count} bytes"),
    }
}

/// The beginning of a digest: enough to tell two apart.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
impl Page {
    /// No terminal.
    pub(crate) const fn endless(now: Timestamp) -> Self {
        Self { now, width: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_in_the_largest_unit() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(300 << 20), "300.0 MiB");
        let now = Timestamp::from_micros(200_000 * 1_000_000);
        assert_eq!(ago(now, Some(now)), "0s ago");
        assert_eq!(ago(now, Some(Timestamp::default())), "2d ago");
        assert_eq!(ago(now, None), "never");
    }

    #[test]
    fn a_table_has_no_lines_and_no_space_at_the_end() {
        let rows = [["1".into(), "2".into()], ["wide".into(), "".into()]];
        let text = table(Page::endless(Timestamp::default()), ["A", "LONG"], rows);
        assert_eq!(text, "A     LONG\n1     2\nwide\n");
    }

    #[test]
    fn only_the_last_column_is_wrapped_and_only_on_a_terminal() {
        let reason = "the check does not hold: the answer is 503 and not what it should be";
        let rows = || [["local-www-1.fossable.org-1".into(), reason.into()]];
        let page = Page::endless(Timestamp::default());
        let narrow = Page { width: Some(60), ..page };
        insta::assert_snapshot!(table(narrow, ["HOST", "REASON"], rows()));
        assert!(table(page, ["HOST", "REASON"], rows()).contains(reason));
        let unusable = Page { width: Some(20), ..page };
        assert!(table(unusable, ["HOST", "REASON"], rows()).contains(reason));
    }
}
