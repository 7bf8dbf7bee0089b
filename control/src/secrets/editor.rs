//! An editor, run to its end; and what interrupts whoever waits for it.
//!
//! A ^C that is typed in an editor goes to us as well, and is the editor's alone (as git and
//! ansible-vault have it): nothing that is secret is left behind because of it.

use std::io;
use std::path::Path;
use std::process::ExitStatus;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::program::command;

/// The editor where VISUAL and EDITOR name none.
const DEFAULT: &str = "vi";

/// What would end this process, and is waited for instead as long as this lives.
pub struct Signals {
    interrupt: Signal,
    /// Taken and let be: it would leave a core behind.
    _quit: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they do not end this process by themselves.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            _quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until somebody wants this process to end: not by the keyboard.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Waits until anybody does, also with ^C.
    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

/// How an editor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, and well.
    Well,
    /// By itself, and not.
    Badly(ExitStatus),
    /// Somebody ended us, and so it.
    Interrupted,
}

/// Runs `editor`, whose words are split as a shell does, on the file `path`.
///
/// # Errors
///
/// [`Error`] where it cannot be run.
pub async fn edit(
    editor: Option<&str>,
    path: &Path,
    signals: &mut Signals,
) -> Result<Ended, Error> {
    let editor = editor.unwrap_or(DEFAULT);
    let named = || editor.to_owned();
    let words = shlex::split(editor).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| Error::Words { editor: named() })?;
    let unrun = |source| Error::Unrun { editor: named(), source };
    let mut child =
        command(&words[0]).args(&words[1..]).arg(path).kill_on_drop(true).spawn().map_err(unrun)?;
    let ended = tokio::select! {
        ended = child.wait() => Some(ended.map_err(unrun)?),
        () = signals.ended() => None,
    };
    Ok(match ended {
        Some(status) if status.success() => Ended::Well,
        Some(status) => Ended::Badly(status),
        None => {
            let _ = child.kill().await;
            Ended::Interrupted
        }
    })
}

/// Why an editor could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A quote is open, or there are no words.
    #[error("`{editor}` is no editor: it cannot be split into words")]
    Words {
        /// What VISUAL or EDITOR says.
        editor: String,
    },
    /// The system could not run it.
    #[error("could not run the editor `{editor}`")]
    Unrun {
        /// What VISUAL or EDITOR says.
        editor: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        "name one that is here with EDITOR: EDITOR=nano, EDITOR='code --wait'"
    }
}
