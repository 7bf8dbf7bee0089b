//! The words of a line, as shells and Ansible have them.

/// The words of `text`: quotes keep one together, and so do the braces of Jinja.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let (mut braces, mut is_word) = (0_usize, false);
    for char in text.chars() {
        match (char, quote) {
            ('"' | '\'', None) => (quote, is_word) = (Some(char), true),
            (char, Some(open)) if char == open => quote = None,
            (char, None) if char.is_whitespace() && braces == 0 => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            (char, _) => {
                match char {
                    '{' => braces += 1,
                    '}' => braces = braces.saturating_sub(1),
                    _ => {}
                }
                word.push(char);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

/// `text` without the comment at its end: what begins with a `#` that is no part of a word.
pub(super) fn without_comment(text: &str) -> &str {
    let (mut quote, mut is_apart) = (None, true);
    for (at, char) in text.char_indices() {
        match (char, quote) {
            ('#', None) if is_apart => return text.get(..at).unwrap_or_default(),
            ('"' | '\'', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (_, None | Some(_)) => {}
        }
        is_apart = char.is_whitespace();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_word_together() {
        assert_eq!(words("a='b c'  d=\"e 'f\" {{ g h }} ''"), ["a=b c", "d=e 'f", "{{ g h }}", ""]);
        assert_eq!(words("a='b c"), ["a=b c"]);
    }

    #[test]
    fn a_comment_is_no_part_of_a_word() {
        assert_eq!(without_comment("a b # c"), "a b ");
        assert_eq!(without_comment("a='b # c' d#e"), "a='b # c' d#e");
        assert_eq!(without_comment("# a"), "");
    }
}
