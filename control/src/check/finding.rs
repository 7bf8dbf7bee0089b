//! What was found, and where; and how errors of other modules become that.

use std::io;
use std::path::{Path, PathBuf};

use floe_proto::payload::lock;

use crate::repository::{self, Place};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A push, a host or the next `git add` would run into it.
    Error,
    /// It works, and somebody should look.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which file or directory, relative to the repository where it is in it.
    pub file: PathBuf,
    /// Where in the file, if anywhere.
    pub place: Option<Place>,
    /// What: lower case, no full stop.
    pub message: String,
    /// What to do, where that is known.
    pub advice: Option<String>,
}

/// What was found so far in the repository at `root`.
#[derive(Debug)]
pub(super) struct Findings {
    root: PathBuf,
    found: Vec<Finding>,
}

impl Findings {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), found: Vec::new() }
    }

    pub(super) fn error(&mut self, path: &Path, message: impl Into<String>, advice: &str) {
        self.add(Severity::Error, path, None, message.into(), Some(advice.into()));
    }

    pub(super) fn warning(&mut self, path: &Path, message: impl Into<String>, advice: &str) {
        self.add(Severity::Warning, path, None, message.into(), Some(advice.into()));
    }

    pub(super) fn note(&mut self, path: &Path, message: impl Into<String>) {
        self.add(Severity::Note, path, None, message.into(), None);
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        path: &Path,
        place: Option<Place>,
        message: String,
        advice: Option<String>,
    ) {
        let file = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        // Nobody in the repository needs to be told where it is.
        let root = format!("{}/", self.root.display());
        let message = message.replace(&root, "");
        let advice = advice.map(|advice| advice.replace(&root, ""));
        let finding = Finding { severity, file, place, message, advice };
        // Two roles may run into the same file.
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    /// What stopped the repository from reading a file, fault by fault.
    pub(super) fn refused(&mut self, error: &repository::Error) {
        use repository::Error;
        let advice = Some(error.advice());
        let mut whole = |path: &Path, message: String| {
            self.add(Severity::Error, path, None, message, advice.clone());
        };
        match error {
            Error::Wrong { path, faults } => {
                for fault in faults {
                    let (place, message) = (fault.place.clone(), fault.message.clone());
                    self.add(Severity::Error, path, place, message, fault.advice.clone());
                }
            }
            Error::Lock { path, source, place } => {
                let place = place.as_deref().cloned();
                let (message, advice) = match (&place, source) {
                    (Some(_), lock::Error::Toml { source }) => (source.message().to_owned(), None),
                    (_, source) => (with_causes(source), Some(source.advice().to_owned())),
                };
                self.add(Severity::Error, path, place, message, advice);
            }
            Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                whole(path, reason(source));
            }
            Error::Read { path, source } => {
                self.add(Severity::Error, path, None, reason(source), None);
            }
            Error::Trust { path, source } => whole(path, with_causes(source)),
            Error::NotARepository { from } => whole(from, error.to_string()),
            Error::NoSuchRole { hosts, .. } => whole(hosts, error.to_string()),
        }
    }

    pub(super) fn into_inner(self) -> Vec<Finding> {
        self.found
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// Why the file could not be read, as it is said beside the file's name.
pub(super) fn reason(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "there is no such file"),
        (io::ErrorKind::IsADirectory, "a directory is in the place of this file"),
        (io::ErrorKind::InvalidData, "this is no text in UTF-8"),
    ];
    match known.into_iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, reason)) => reason.into(),
        None => {
            let said = error.to_string();
            let said = said.split(" (os error").next().unwrap_or(&said);
            format!("the file cannot be read: {said}")
        }
    }
}

/// The error and what caused it, in one sentence.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
