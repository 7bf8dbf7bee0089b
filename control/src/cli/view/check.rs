//! What is wrong with a repository: each finding with its line, and how many there are.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::{Page, View, printable};
use crate::check::{Finding, Looked, Severity};
use crate::repository::Place;

/// `floe check`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckView {
    /// `null` where floe.toml is not right.
    pub(crate) fleet: Option<String>,
    /// The roles that were looked at.
    pub(crate) roles: Vec<String>,
    /// Whether nothing is in the way: no error and, where it was asked for, no warning.
    pub(crate) passed: bool,
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) findings: Vec<FindingView>,
}

/// One thing that was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FindingView {
    /// Relative to the repository.
    pub(crate) file: String,
    /// From 1; `null` where it is about the file as a whole.
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    pub(crate) severity: SeverityView,
    pub(crate) message: String,
    /// What to do, where that is known.
    pub(crate) advice: Option<String>,
    #[serde(skip)]
    place: Option<Place>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeverityView {
    Error,
    Warning,
    Note,
}

impl From<Severity> for SeverityView {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Note => Self::Note,
        }
    }
}

impl CheckView {
    /// With `strict`, warnings are in the way, too.
    pub(crate) fn new(looked: Looked, strict: bool) -> Self {
        let count = |severity| looked.findings.iter().filter(|f| f.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        Self {
            fleet: looked.fleet.map(|fleet| fleet.to_string()),
            roles: looked.roles.iter().map(ToString::to_string).collect(),
            passed: errors == 0 && !(strict && warnings > 0),
            errors,
            warnings,
            findings: looked.findings.into_iter().map(FindingView::from).collect(),
        }
    }
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        Self {
            file: finding.file.display().to_string(),
            line: finding.place.as_ref().map(|place| place.line),
            column: finding.place.as_ref().map(|place| place.column),
            severity: finding.severity.into(),
            message: finding.message,
            advice: finding.advice,
            place: finding.place,
        }
    }
}

impl View for CheckView {
    fn text(&self, page: Page) -> String {
        let renderer = Renderer::plain();
        let renderer = match page.width {
            Some(width) => renderer.term_width(width.into()),
            None => renderer,
        };
        let mut text = String::new();
        for finding in &self.findings {
            text += &finding.text(&renderer);
            text += "\n\n";
        }
        let fleet = self.fleet.as_deref().unwrap_or("the repository");
        let roles = count(self.roles.len(), "role");
        let (errors, warnings) = (count(self.errors, "error"), count(self.warnings, "warning"));
        let found = match (self.errors, self.warnings) {
            (0, 0) => "nothing is wrong".to_owned(),
            (_, 0) => errors,
            (0, _) => warnings,
            (_, _) => format!("{errors}, {warnings}"),
        };
        text + &format!("{fleet}, {roles}: {found}\n")
    }
}

impl FindingView {
    /// As rustc shows it.
    fn text(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            SeverityView::Error => Level::ERROR,
            SeverityView::Warning => Level::WARNING,
            SeverityView::Note => Level::NOTE,
        };
        let (file, message) = (printable(&self.file), printable(&self.message));
        let mut group = Group::with_title(level.primary_title(message));
        group = match &self.place {
            Some(place) => group.element(
                Snippet::source(printable(&place.text))
                    .path(file)
                    .line_start(place.line)
                    .annotation(AnnotationKind::Primary.span(bytes_of(place))),
            ),
            None => group.element(Origin::path(file)),
        };
        if let Some(advice) = &self.advice {
            group = group.element(Level::HELP.message(printable(advice)));
        }
        renderer.render(&[group])
    }
}

/// The part of the line that is shown, in bytes of it.
fn bytes_of(place: &Place) -> std::ops::Range<usize> {
    let text = printable(&place.text);
    let at = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |c| c.0);
    let start = place.column.saturating_sub(1);
    at(start)..at(start + place.width)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
