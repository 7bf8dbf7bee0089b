//! Questions that a person answers with yes or no.

use std::io::{self, BufRead as _, Write as _};

use crate::signing::Environment;

/// Asks on stderr, and whether the answer is yes; `None` where nobody is there to be asked.
pub(super) fn yes(question: &str, environment: &Environment) -> io::Result<Option<bool>> {
    if !environment.terminal {
        return Ok(None);
    }
    write!(io::stderr().lock(), "{question} [y/N] ")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let answer = line.trim();
    Ok(Some(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")))
}
