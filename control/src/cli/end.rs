//! The ends that a command can decide on: done, failed with a result, or stopped with
//! a sentence of its own. What becomes of them is `exit`'s.

use std::process::ExitCode;

/// How a command ended that printed its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was asked for was done.
    Done,
    /// It was not, and the result says so.
    Failed,
}

impl End {
    /// As the shell wants it.
    pub fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
        }
    }
}

/// An end that a command decided on, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Stopped {
    what: String,
    advice: String,
    refused: bool,
}

impl Stopped {
    /// It cannot be done.
    pub(super) fn failed(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into(), refused: false }
    }

    /// It must not be done.
    pub(super) fn refused(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into(), refused: true }
    }

    /// What the operator can do next.
    pub(super) fn advice(&self) -> &str {
        &self.advice
    }

    /// Whether it was policy or trust that forbade it.
    pub(super) fn is_refusal(&self) -> bool {
        self.refused
    }
}
