//! Words of hosts, made harmless before anybody stores or shows them.
//!
//! A host may be in somebody else's hands: what it says must not be able to drive a
//! terminal, to look like another line, or to fill the database.

/// The longest line of output that is kept, in bytes.
pub const MAX_LINE: usize = 4 * 1024;

/// The longest reason or detail that is kept, in bytes.
pub const MAX_REASON: usize = 4 * 1024;

/// The longest name, version or path that is kept, in bytes.
pub const MAX_NAME: usize = 512;

/// `text` on one line, of at most `limit` bytes and a mark where it was cut. Control
/// characters and those that turn the direction of writing are written out as escapes;
/// a tab is a space.
pub fn harmless(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    for character in text.trim_end_matches(['\r', '\n']).chars() {
        let before = clean.len();
        match character {
            '\t' => clean.push(' '),
            character if is_harmful(character) => clean.extend(character.escape_default()),
            character => clean.push(character),
        }
        if clean.len() > limit {
            clean.truncate(before);
            clean.push('…');
            break;
        }
    }
    clean
}

/// Unicode's categories Cc, and of Cf and Zl, Zp what changes how others are shown.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t096_what_drives_a_terminal_is_written_out() {
        assert_eq!(harmless("a\u{1b}[2Jb\tc\n", 100), "a\\u{1b}[2Jb c");
        assert_eq!(harmless("x\ny\u{202e}z\u{9b}", 100), "x\\ny\\u{202e}z\\u{9b}");
        assert_eq!(harmless("straße – ✓", 100), "straße – ✓");
    }

    #[test]
    fn t096_what_is_long_is_cut_with_a_mark() {
        assert_eq!(harmless("straße", 5), "stra…");
        assert_eq!(harmless(&"\0".repeat(100), 10), "\\u{0}\\u{0}…");
    }
}
