//! Questions that a person answers with yes or no.

use std::io::{self, BufRead as _, Write as _};
use std::thread;

use tokio::sync::oneshot;

use crate::secrets::editor::Signals;
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

/// The same while signals are caught; whoever interrupts says no.
pub(super) async fn yes_unless_interrupted(
    question: &'static str,
    environment: &Environment,
    signals: &mut Signals,
) -> io::Result<Option<bool>> {
    let environment = environment.clone();
    let (answer, answered) = oneshot::channel();
    // A thread that reads cannot be told to stop; of the runtime's, it would keep us from ending.
    thread::Builder::new().spawn(move || answer.send(yes(question, &environment)))?;
    tokio::select! {
        answer = answered => answer.unwrap_or(Ok(None)),
        () = signals.any() => Ok(Some(false)),
    }
}
