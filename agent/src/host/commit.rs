//! Makes a system the one that boots: the profile, then the boot entry.
//!
//! Idempotent, and used both ways: forward after proof, and backward where going
//! forward had begun.

use std::time::Duration;

use floe_proto::id::ActivationId;

use super::menu;
use super::paths::{PROFILE, Paths};
use super::process::{self, Process};
use super::switch::{self, Switch};
use super::system;
use super::trial::Action;
use crate::activation::state::{Fault, Toplevel};
use crate::activation::verdict::Ended;

/// How long a boot loader may take to be installed.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Makes `toplevel` what boots. `purpose` tells forward and backward apart.
///
/// # Errors
///
/// [`Error`]. What was done by then is done.
pub async fn commit(
    toplevel: &Toplevel,
    activation: &ActivationId,
    purpose: &'static str,
    paths: &Paths,
) -> Result<(), Error> {
    if system::profile().as_ref() != Some(toplevel) {
        let set = Process::new("nix-env").args(["-p", PROFILE, "--set"]).arg(toplevel.as_path());
        set.within(Duration::from_secs(120)).output().await?.success()?;
    }
    install(toplevel, activation, purpose, paths).await?;
    match system::profile() {
        Some(profile) if profile == *toplevel => Ok(()),
        Some(_) | None => Err(Error::ProfileMoved),
    }
}

/// Has the boot installer of `toplevel` write the boot menu, with itself as the default.
///
/// # Errors
///
/// [`Error::NoBootEntry`], [`Error::Switch`].
pub async fn install(
    toplevel: &Toplevel,
    activation: &ActivationId,
    purpose: &'static str,
    paths: &Paths,
) -> Result<(), Error> {
    let boot = Switch {
        activation,
        purpose,
        action: Action::Boot,
        toplevel,
        limit: BOOT_LIMIT,
        guarded: false,
    };
    match boot.anew(paths).await? {
        // An installer may end well and have written nothing (nixpkgs#189966).
        Ended::Exit(0) if menu::boots(toplevel) == Some(false) => {
            Err(Error::NoBootEntry("GRUB's menu boots another system".to_owned()))
        }
        Ended::Exit(0) => Ok(()),
        Ended::Exit(status) => Err(Error::NoBootEntry(format!("status {status}"))),
        Ended::Signal(signal) => Err(Error::NoBootEntry(format!("signal {signal}"))),
        Ended::Vanished => Err(Error::NoBootEntry("interrupted".to_owned())),
    }
}

/// Why the system is not the one that boots.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The boot loader's installer failed.
    #[error("the boot entry could not be written ({0})")]
    NoBootEntry(String),
    /// Somebody set the profile meanwhile.
    #[error("the system profile was moved by somebody else")]
    ProfileMoved,
    /// The machine does not run what it was to go back to.
    #[error("the machine could not be switched back: {0}")]
    NotBack(Fault),
    /// The switch could not be started.
    #[error(transparent)]
    Switch(#[from] switch::Error),
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoBootEntry(_) => "look at the space in /boot and at the host's journal",
            Self::ProfileMoved => "ask who works on this host",
            Self::NotBack(_) => "reboot the host: its boot default is the system it came from",
            Self::Switch(error) => error.advice(),
            Self::Tool(error) => error.advice(),
        }
    }
}
