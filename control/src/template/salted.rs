//! Each `password_hash` of a template under a name of its own, so that its salt is known by the
//! expression that it stands in: a line that is added above takes nobody's salt away.

use super::syntax;

/// The filter.
const FILTER: &str = "password_hash";

/// A template in which each use of the filter has a name of its own.
pub(super) struct Marked {
    pub(super) text: String,
    /// The names, and the expression of each.
    pub(super) filters: Vec<(String, String)>,
}

impl Marked {
    /// Of the template `text`, which is a file's, or that of the variable at `path`. The text of
    /// a variable may be sealed: it is known by its name alone.
    pub(super) fn of(text: &str, path: Option<&str>) -> Self {
        let mut marked = Self::nothing(text);
        // From the end on, so that what is before stays where it is.
        for (number, used) in syntax::uses(text, FILTER).into_iter().enumerate().rev() {
            let name = format!("{FILTER}_{number}");
            marked.text.replace_range(used.at..used.at + FILTER.len(), &name);
            let expression = match (path, number) {
                (None, _) => used.expression,
                (Some(path), 0) => format!("variable {path}"),
                (Some(path), number) => format!("variable {path}, use {}", number + 1),
            };
            marked.filters.push((name, expression));
        }
        marked
    }

    /// Without names of its own.
    pub(super) fn nothing(text: &str) -> Self {
        Self { text: text.to_owned(), filters: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_name_and_the_text_stays_what_it_was() {
        let text = "a\n{{ b | password_hash }} password_hash {{ c|password_hash('x')|upper }}\n";
        let marked = Marked::of(text, None);
        assert_eq!(
            marked.text,
            "a\n{{ b | password_hash_0 }} password_hash {{ c|password_hash_1('x')|upper }}\n"
        );
        assert_eq!(
            marked.filters,
            [
                ("password_hash_1".to_owned(), "c|password_hash('x')".to_owned()),
                ("password_hash_0".to_owned(), "b | password_hash".to_owned()),
            ]
        );
        assert_eq!(Marked::of("{{ a", None).text, "{{ a");
    }

    #[test]
    fn nothing_is_told_of_what_a_variable_says() {
        let text = "{{ 'hunter2' | password_hash }}{{ 'hunter3' | password_hash }}";
        let told: Vec<_> =
            Marked::of(text, Some("a.b")).filters.into_iter().map(|(_, told)| told).collect();
        assert_eq!(told, ["variable a.b, use 2", "variable a.b"]);
    }
}
