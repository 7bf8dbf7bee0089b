//! Results on stdout, as text for people or as one JSON document.

use std::io::{self, Write as _};

use clap::ValueEnum;
use floe_proto::time::Timestamp;

use super::view::{Page, View};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Tables and sentences
    #[default]
    Text,
    /// One JSON document, whose fields are stable; none where there is only an error
    Json,
}

/// Prints results, in the one way that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    output: Output,
}

impl Printer {
    pub(super) const fn new(output: Output) -> Self {
        Self { output }
    }

    /// The result of a command: one document.
    pub(super) fn print(self, view: &impl View, now: Timestamp) -> anyhow::Result<()> {
        let text = match self.output {
            Output::Text => view.text(page(now)),
            Output::Json => serde_json::to_string_pretty(view)? + "\n",
        };
        Ok(write(&text)?)
    }

    /// One of many results; in JSON each stands on a line of its own.
    pub(super) fn print_line(self, view: &impl View, now: Timestamp) -> anyhow::Result<()> {
        let text = match self.output {
            Output::Text => view.text(page(now)),
            Output::Json => serde_json::to_string(view)? + "\n",
        };
        Ok(write(&text)?)
    }
}

/// As wide as the terminal; what goes elsewhere is for programs, whose lines are whole.
fn page(now: Timestamp) -> Page {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    Page { now, width: size.map(|size| size.ws_col).filter(|columns| *columns > 0) }
}

/// Writes to stdout at once, so that a reader sees what is there.
pub(super) fn write(text: &str) -> Result<(), Unprinted> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Unprinted)
}

/// The result could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("could not print the result")]
pub(super) struct Unprinted(#[source] io::Error);

impl Unprinted {
    /// Whether the reader had enough, as `head` does.
    pub(super) fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}
