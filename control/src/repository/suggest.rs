//! What somebody may have meant who mistyped a word.

use strsim::damerau_levenshtein;

/// Which of `known` is so near to `word` that it was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word);
    // As rustc has it: one mistake in three letters is still the same word.
    let most = word.chars().count().max(3) / 3;
    let near = known.into_iter().map(|known| (damerau_levenshtein(&word, &folded(known)), known));
    near.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|n| n.1)
}

/// The question that names it.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean `{known}`?"))
}

/// Case, and which of `-` and `_` it is, are the commonest mistakes, and count for nothing.
fn folded(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let systems = ["aarch64-linux", "x86_64-linux"];
        assert_eq!(nearest("x86_linux", systems), Some("x86_64-linux"));
        assert_eq!(nearest("x86-64_Linux", systems), Some("x86_64-linux"));
        assert_eq!(nearest("arm64", systems), None);
        assert_eq!(nearest("soack", ["checks", "soak"]), Some("soak"));
        assert_eq!(nearest("sko", ["soak"]), None);
        assert_eq!(did_you_mean("helth", ["health"]).unwrap(), "did you mean `health`?");
    }
}
