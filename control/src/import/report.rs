//! What became of every option, task and file.

/// What became of one thing that stood in the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to what was imported.
    pub file: String,
    /// Where it stands; `None` for the file itself.
    pub line: Option<usize>,
    /// What stands there, as people know it: `instance_type`, `copy: dest`.
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It went on, and this is where.
    Taken(String),
    /// This does the same from now on.
    Replaced(String),
    /// Nothing needs to do it from now on, and why.
    NotNeeded(String),
    /// It is lost unless somebody does what this says.
    NotSupported(String),
    /// It went on, but somebody should look: a fault, or a danger.
    Look(String),
}

impl Outcome {
    /// As it is counted and written.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Taken(_) => "taken over",
            Self::Replaced(_) => "replaced",
            Self::NotNeeded(_) => "not needed",
            Self::NotSupported(_) => "not supported",
            Self::Look(_) => "look",
        }
    }

    /// Where to, by what, or why.
    pub fn text(&self) -> &str {
        match self {
            Self::Taken(text)
            | Self::Replaced(text)
            | Self::NotNeeded(text)
            | Self::NotSupported(text)
            | Self::Look(text) => text,
        }
    }
}

/// Everything that was found, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds what became of `what` on a line of `file`.
    pub(super) fn add(
        &mut self,
        at: (&str, impl Into<Option<usize>>),
        what: impl Into<String>,
        outcome: Outcome,
    ) {
        let (file, line) = (at.0.to_owned(), at.1.into());
        let finding = Finding { file, line, what: shown(&what.into()), outcome };
        // A template that two plays use is told of once.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Says something else of what was told of before.
    pub(super) fn replace(&mut self, at: (&str, usize), what: &str, outcome: Outcome) {
        let is_it = |finding: &&mut Finding| {
            finding.file == at.0 && finding.line == Some(at.1) && finding.what == shown(what)
        };
        if let Some(finding) = self.findings.iter_mut().find(is_it) {
            finding.outcome = outcome;
        }
    }

    /// In the order of files and lines.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    }

    /// Whether anything was said of `file`.
    pub(super) fn knows(&self, file: &str) -> bool {
        self.findings.iter().any(|finding| finding.file == file)
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// In one line, and not longer than one reads.
pub(super) fn shown(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line: String = line.join(" ").chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}
