//! The dead man's timer: a transient timer that runs the OLD agent's guard.
//!
//! It lives in systemd, so that it survives this process, a configuration that drops
//! floe, and everything but a reboot, which is itself the way back.

use std::ffi::OsStr;
use std::time::Duration;

use floe_proto::id::ActivationId;

use super::paths::{AGENT, Paths};
use super::process;
use super::unit::{self, Transient};
use crate::activation::state::Toplevel;

/// How much later than the agent's own deadline it fires: usually the agent, which
/// knows more, comes first.
pub const GRACE: Duration = Duration::from_secs(5);

/// Arms the timer to fire after `left`; leaves it alone where it is armed. Its guard
/// uses nothing but what `back` holds, the system to go back to: the tools and the
/// configuration of the one that runs then may be what is broken.
///
/// # Errors
///
/// Where it does not run now.
pub async fn arm(
    activation: &ActivationId,
    left: Duration,
    back: &Toplevel,
    paths: &Paths,
) -> Result<(), Error> {
    if is_armed(activation).await? {
        return Ok(());
    }
    let name = name(activation);
    // A system that floe has not made yet may lack either; then what is here must do.
    let program = match back.join(AGENT).canonicalize() {
        Ok(program) => program,
        Err(_) => process::own_program().map_err(Error::OwnProgram)?,
    };
    let theirs = paths.config.strip_prefix("/").map(|config| back.as_path().join(config));
    let config = theirs.unwrap_or_else(|_| paths.config.clone()).canonicalize();
    let config = config.or_else(|_| paths.config.canonicalize());
    let config = config.unwrap_or_else(|_| paths.config.clone());
    let mut search = back.join("sw/bin").into_os_string();
    search.push(":");
    search.push(&paths.search);
    let fire = (left + GRACE).as_millis();
    Transient::new(&name, &format!("floe: dead man's timer of activation {activation}"))
        .option(&format!("--on-active={fire}ms"))
        .option("--timer-property=AccuracySec=100ms")
        .option("--collect")
        .property("Type=exec")
        // Nobody else is left to go back.
        .property("Restart=on-failure")
        .property("RestartSec=2s")
        .env("PATH", &search)
        .start([
            program.as_os_str(),
            OsStr::new("--config"),
            config.as_os_str(),
            OsStr::new("guard"),
            OsStr::new("--activation"),
            OsStr::new(activation.as_str()),
        ])
        .await?;
    if is_armed(activation).await? { Ok(()) } else { Err(Error::NotArmed) }
}

/// Whether the timer has still to fire.
///
/// # Errors
///
/// Where systemd could not be asked.
pub async fn is_waiting(activation: &ActivationId) -> Result<bool, Error> {
    Ok(unit::show(&format!("{}.timer", name(activation))).await?.is_waiting())
}

/// Whether the timer still waits, or its guard acts.
///
/// # Errors
///
/// Where systemd could not be asked.
async fn is_armed(activation: &ActivationId) -> Result<bool, Error> {
    Ok(unit::show(&format!("{}.timer", name(activation))).await?.is_active())
}

/// Stops the timer. Nothing to do is as good.
///
/// # Errors
///
/// [`Error::WasFirst`] where it has fired and its guard acts; the journal's lock then
/// decides who goes on.
pub async fn disarm(activation: &ActivationId) -> Result<(), Error> {
    let name = name(activation);
    unit::stop(&[&format!("{name}.timer")]).await?;
    if is_armed(activation).await? {
        return Err(Error::StillArmed);
    }
    if unit::show(&format!("{name}.service")).await?.is_running() {
        return Err(Error::WasFirst);
    }
    Ok(())
}

fn name(activation: &ActivationId) -> String {
    format!("floe-guard-{activation}")
}

/// Why the timer is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// systemd took it, and it does not run.
    #[error("the dead man's timer could not be armed")]
    NotArmed,
    /// systemd did not stop it.
    #[error("the dead man's timer could not be disarmed")]
    StillArmed,
    /// It fired.
    #[error("the dead man's timer was first")]
    WasFirst,
    /// This process does not know what it is.
    #[error("could not find this agent's own program")]
    OwnProgram(#[source] std::io::Error),
    /// systemd said no.
    #[error(transparent)]
    Systemd(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotArmed | Self::StillArmed => "look at `systemctl list-timers 'floe-*'`",
            Self::WasFirst => "the machine goes back by itself; push something that is faster",
            Self::OwnProgram(_) => "is /proc mounted?",
            Self::Systemd(error) => error.advice(),
        }
    }
}
