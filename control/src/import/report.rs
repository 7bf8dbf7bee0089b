//! What became of every option, task and file.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;

/// More than anybody reads; who imports a fleet of thousands imports it in parts.
const MOST_FINDINGS: usize = 50_000;

/// What stands where a value is not shown.
pub(super) const SENSITIVE: &str = "(sensitive)";

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
    /// It went on, into these files of the fleet repository.
    Written(Vec<Target>, String),
    /// This does the same from now on.
    Replaced(String),
    /// Nothing needs to do it from now on, and why.
    NotNeeded(String),
    /// It is lost unless somebody does what this says.
    NotSupported(String),
    /// It went on, but somebody should look: a fault, or a danger.
    Look(String),
}

/// A file of the fleet repository that says what was taken over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// This one.
    File(String),
    /// `host.toml` of the roles that the image is for.
    HostFile,
}

impl Outcome {
    /// It went on into `name`, a file of the fleet repository.
    pub(super) fn into_file(name: &str, text: String) -> Self {
        Self::Written(vec![Target::File(name.to_owned())], text)
    }

    /// It went on into `host.toml`, where `what` says it.
    pub(super) fn into_host_file(what: &str) -> Self {
        Self::Written(vec![Target::HostFile], format!("host.toml: {what}"))
    }

    /// As it is counted and written.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Taken(_) | Self::Written(..) => "taken over",
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
            | Self::Written(_, text)
            | Self::Replaced(text)
            | Self::NotNeeded(text)
            | Self::NotSupported(text)
            | Self::Look(text) => text,
        }
    }
}

/// Where the findings of a file stand, by line and what.
type OfFile = BTreeMap<(Option<usize>, String), Vec<usize>>;

/// Everything that was found, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
    /// Where each stands in `findings`, by its file.
    index: BTreeMap<String, OfFile>,
    /// Whether there were more than fit.
    is_full: bool,
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
        let of_file = self.index.entry(finding.file.clone()).or_default();
        let known = of_file.entry((line, finding.what.clone())).or_default();
        // A template that two plays use is told of once.
        let is_told = known.iter().any(|at| self.findings.get(*at) == Some(&finding));
        if is_told {
            return;
        }
        if self.findings.len() >= MOST_FINDINGS {
            self.is_full = true;
            return;
        }
        known.push(self.findings.len());
        self.findings.push(finding);
    }

    /// Says something else of what `was` told of before.
    pub(super) fn replace(&mut self, at: (&str, usize), what: &str, was: &Outcome, now: Outcome) {
        let of_file = self.index.get(at.0);
        let known = of_file.and_then(|of_file| of_file.get(&(Some(at.1), shown(what))));
        for at in known.into_iter().flatten() {
            if let Some(finding) = self.findings.get_mut(*at).filter(|it| it.outcome == *was) {
                finding.outcome = now;
                return;
            }
        }
    }

    /// In the order of files and lines.
    ///
    /// # Errors
    ///
    /// [`Error::TooMuch`], where not everything could be told: nothing is left out in silence.
    pub(super) fn sorted(mut self) -> Result<Self, Error> {
        if self.is_full {
            return Err(Error::too_much("the repository", MOST_FINDINGS, "lines to report"));
        }
        self.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        self.index.clear();
        Ok(self)
    }

    /// Whether anything was said of `file`.
    pub(super) fn knows(&self, file: &str) -> bool {
        self.index.contains_key(file)
    }

    /// Whether anything was said of a line of `file`.
    pub(super) fn knows_line(&self, file: &str, line: usize) -> bool {
        let first = (Some(line), String::new());
        let of_file = self.index.get(file);
        let next = of_file.and_then(|of_file| of_file.range(first..).next());
        next.is_some_and(|((found, _), _)| *found == Some(line))
    }

    /// What was to be written into one of `kept` was not: they were there, and say something
    /// else.
    pub fn kept(&mut self, kept: &[String]) {
        let names: BTreeSet<&str> = kept.iter().map(String::as_str).collect();
        let host_file = kept.iter().find(|name| name.ends_with("/host.toml"));
        for finding in &mut self.findings {
            let Outcome::Written(targets, text) = &finding.outcome else { continue };
            let found = targets.iter().find_map(|target| match target {
                Target::File(file) => names.get(file.as_str()).copied(),
                Target::HostFile => host_file.map(String::as_str),
            });
            if let Some(name) = found {
                let text = format!(
                    "`{name}` was there and says something else, and was kept: write it there \
                     yourself ({text})"
                );
                finding.outcome = Outcome::Look(text);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_once_and_too_many_are_an_error() {
        let mut report = Report::default();
        for _ in 0..2 {
            report.add(("a", 1), "x", Outcome::Taken("y".into()));
        }
        report.add(("a", 1), "x", Outcome::Look("y".into()));
        assert_eq!(report.findings().len(), 2);
        assert!(report.knows_line("a", 1) && !report.knows_line("a", 2) && !report.knows("b"));
        for line in 0..=MOST_FINDINGS {
            report.add(("b", line), "x", Outcome::Taken("y".into()));
        }
        let error = report.sorted().unwrap_err().to_string();
        assert!(error.contains("50000 lines to report"), "{error}");
    }

    #[test]
    fn what_was_kept_is_not_called_taken_over() {
        let mut report = Report::default();
        let entry = "hosts/www/configuration.nix";
        report.add(("c.nix", None), "c.nix", Outcome::into_file(entry, entry.into()));
        report.add(("w.pkr.hcl", 1), "region", Outcome::into_host_file("region in [image]"));
        report.kept(&[entry.to_owned()]);
        let words: Vec<&str> = report.findings().iter().map(|it| it.outcome.word()).collect();
        assert_eq!(words, ["look", "taken over"]);
        assert!(
            report.findings()[0].outcome.text().starts_with("`hosts/www/configuration.nix` was")
        );
        report.kept(&["hosts/www/host.toml".to_owned()]);
        assert_eq!(report.findings()[1].outcome.word(), "look");
    }
}
