//! How far it is, on stderr: a spinner on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::ProgressBar;

/// Reports until it is dropped; never fails, never writes to stdout.
#[derive(Debug)]
pub(super) struct Progress {
    spinner: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let spinner = io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        Self { spinner }
    }

    /// Lines only, for a command that logs meanwhile.
    pub(super) const fn plain() -> Self {
        Self { spinner: None }
    }

    /// What is being done now. On a terminal it replaces what was said before.
    pub(super) fn doing(&self, what: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(what.to_owned()),
            None => line(what),
        }
    }

    /// What is being done now, too small for a line of its own where there is no terminal.
    pub(super) fn detail(&self, what: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(what.to_owned());
        }
    }

    /// What happened, and stays to be read.
    pub(super) fn note(&self, what: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| line(what)),
            None => line(what),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Who closed stderr does not want to know.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
