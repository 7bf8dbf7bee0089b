//! Logs: on stderr, one line an event, with `FLOE_LOG` to say more (or less).
//!
//! Results never go here, and no secret does.

use std::env;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Begins to log from `level` on; the environment's `FLOE_LOG` wins, in the words of
/// tracing-subscriber's filters (`floe=debug,warn`).
pub fn init(level: Level) {
    let default = match level {
        Level::Problems => "warn",
        Level::Events => "warn,floe=info",
        Level::Details => "info,floe=debug",
        Level::Everything => "debug,floe=trace",
    };
    let filter = EnvFilter::try_from_env("FLOE_LOG")
        .unwrap_or_else(|_| EnvFilter::builder().parse_lossy(default));
    // Nothing to log costs nothing: short commands do not pay for it.
    if filter.max_level_hint() == Some(LevelFilter::OFF) {
        return;
    }
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(
            io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()),
        )
        .with_target(false);
    // Somebody may have set one up before, as tests do; theirs is as good.
    let _ = logger.try_init();
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What somebody should look at.
    Problems,
    /// And what an operator would want to have seen: a server's level.
    Events,
    /// And what helps to find a fault.
    Details,
    /// And everything else.
    Everything,
}
