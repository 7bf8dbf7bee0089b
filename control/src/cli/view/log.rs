//! What builds and trials wrote.

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::{phase, time, words};
use super::{Page, View, printable};

/// `floe hosts logs`: `{host, lines}`. With `--follow` one [`LineView`] a line instead.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogView {
    pub(crate) host: String,
    pub(crate) lines: Vec<LineView>,
}

/// One line of output.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LineView {
    pub(crate) at: Option<Timestamp>,
    pub(crate) activation: String,
    #[serde(serialize_with = "words")]
    pub(crate) phase: Option<&'static str>,
    pub(crate) text: String,
}

impl From<pb::LogLine> for LineView {
    fn from(line: pb::LogLine) -> Self {
        Self {
            at: time(line.at),
            phase: phase(line.phase),
            activation: line.activation,
            text: line.text,
        }
    }
}

impl View for LineView {
    fn text(&self, _: Page) -> String {
        format!("{:<14}{}\n", self.phase.unwrap_or("-"), printable(&self.text))
    }
}

impl View for LogView {
    fn text(&self, page: Page) -> String {
        if self.lines.is_empty() {
            return format!("{} wrote nothing yet\n", self.host);
        }
        self.lines.iter().map(|line| line.text(page)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_stands_apart_from_what_was_written() {
        let phase = Some("rolling back");
        let line = LineView { at: None, activation: "a".into(), phase, text: "done".into() };
        assert_eq!(line.text(Page::endless(Timestamp::default())), "rolling back  done\n");
    }

    #[test]
    fn a_log_cannot_steer_the_terminal() {
        let line = LineView {
            at: None,
            activation: "a".into(),
            phase: Some("building"),
            text: "\u{1b}[2Jred\tcloth\r".into(),
        };
        assert_eq!(line.text(Page::endless(Timestamp::default())), "building      [2Jred\tcloth\n");
    }
}
