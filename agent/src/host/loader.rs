//! One boot of a system that is not the default: its entry, the choice, and the reboot.
//!
//! NixOS's own tools do it: a profile below `system-profiles/` gives the candidate an entry
//! in the menu that the OLD system's boot installer writes, so that the old system stays the
//! default; `grub-reboot` chooses that entry for the next boot alone. Nothing is believed
//! that was not read back from the menu and from GRUB's environment block.
//!
//! systemd-boot has entries of the same profiles and `bootctl set-oneshot`; it is refused
//! here until somebody has tried it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use floe_proto::id::ActivationId;
use tokio::time::sleep;

use super::grub::{Menu, PROFILE_NAME};
use super::paths::{BOOT, GRUB_CFG, GRUB_ENV, Paths, SYSTEM_PROFILES};
use super::process::{self, Process};
use super::system::{self, sync_directory};
use super::{commit, menu};
use crate::activation::state::Toplevel;

/// How long an orderly shutdown may take before it is cut short.
const SHUTDOWN: Duration = Duration::from_secs(180);

/// How long it may take to be cut short.
const FORCED: Duration = Duration::from_secs(60);

/// Whether this machine could boot a candidate once, as far as can be seen without
/// changing anything. `default` is what it boots today.
///
/// # Errors
///
/// Why it could not.
pub async fn check(default: &Toplevel) -> Result<(), Error> {
    let menu = menu_of_grub()?;
    if !menu.honours_a_choice() {
        return Err(Error::NoChoice);
    }
    if menu.boots_by_default(&menu::inits(default)) != Some(true) {
        return Err(Error::AnotherDefault { system: default.clone() });
    }
    Process::new("grub-reboot").arg("--help").output().await?.success()?;
    Ok(())
}

/// Makes `to` what the next boot starts, once; the default stays `default`. May be done
/// again.
///
/// # Errors
///
/// [`Error`]. Until the choice was made, which is last, nothing boots but the default.
pub async fn choose_once(
    to: &Toplevel,
    default: &Toplevel,
    activation: &ActivationId,
    paths: &Paths,
) -> Result<(), Error> {
    withdraw().await?;
    system::make_readable_directory(Path::new(SYSTEM_PROFILES)).map_err(Error::Disk)?;
    let profile = Path::new(SYSTEM_PROFILES).join(PROFILE_NAME);
    let set = Process::new("nix-env").arg("-p").arg(&profile).arg("--set").arg(to.as_path());
    set.within(Duration::from_secs(120)).output().await?.success()?;
    sync_directory(Path::new(SYSTEM_PROFILES)).map_err(Error::Disk)?;
    commit::install(default, activation, "stage", paths).await?;

    let menu = menu_of_grub()?;
    if menu.boots_by_default(&menu::inits(default)) != Some(true) {
        return Err(Error::AnotherDefault { system: default.clone() });
    }
    let entry = menu.entry_of(&menu::inits(to)).ok_or(Error::NoEntry)?;
    if !Path::new(GRUB_ENV).exists() {
        grub("grub-editenv", &[GRUB_ENV, "create"]).await?;
    }
    grub("grub-reboot", &[&format!("--boot-directory={BOOT}"), &entry]).await?;
    for file in [GRUB_ENV, GRUB_CFG] {
        File::open(file).and_then(|file| file.sync_all()).map_err(Error::Disk)?;
    }
    sync_directory(&Path::new(BOOT).join("grub")).map_err(Error::Disk)?;
    check_choice(to, default).await
}

/// Whether `to` is what the next boot starts, and `default` what those after it do.
///
/// # Errors
///
/// Where that is not so, or cannot be seen.
pub async fn check_choice(to: &Toplevel, default: &Toplevel) -> Result<(), Error> {
    let menu = menu_of_grub()?;
    if menu.boots_by_default(&menu::inits(default)) != Some(true) {
        return Err(Error::AnotherDefault { system: default.clone() });
    }
    let entry = menu.entry_of(&menu::inits(to)).ok_or(Error::NoEntry)?;
    if chosen().await? == Some(entry) { Ok(()) } else { Err(Error::NotChosen) }
}

/// Takes back the choice and the candidate's profile. Its entry goes with the next menu
/// that is written; it was never the default.
///
/// # Errors
///
/// [`Error`]; where there is nothing to take back, that is done.
pub async fn withdraw() -> Result<(), Error> {
    let ours = format!("'{PROFILE_NAME}'>");
    if chosen().await?.is_some_and(|entry| entry.contains(&ours)) {
        grub("grub-editenv", &[GRUB_ENV, "unset", "next_entry"]).await?;
        File::open(GRUB_ENV).and_then(|file| file.sync_all()).map_err(Error::Disk)?;
    }
    let entries = match fs::read_dir(SYSTEM_PROFILES) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::Disk(error)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::Disk)?;
        if is_ours(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).map_err(Error::Disk)?;
        }
    }
    sync_directory(Path::new(SYSTEM_PROFILES)).map_err(Error::Disk)
}

/// The profile's link, its generations, and Nix's lock beside them.
fn is_ours(name: &str) -> bool {
    name.strip_prefix(PROFILE_NAME).is_some_and(|rest| {
        let generation = rest.strip_prefix('-').and_then(|rest| rest.strip_suffix("-link"));
        rest.is_empty()
            || rest == ".lock"
            || generation.is_some_and(|number| number.parse::<u64>().is_ok())
    })
}

/// Reboots the machine. Returns only where it does not go down.
///
/// # Errors
///
/// Always.
pub async fn reboot() -> Result<std::convert::Infallible, Error> {
    log::warn!("rebooting this machine");
    let orderly = Process::new("systemctl").args(["reboot", "--no-wall"]).output().await;
    match orderly.and_then(process::Output::success) {
        Ok(_) => sleep(SHUTDOWN).await,
        Err(error) => log::warn!(error:% = error; "systemd refuses to reboot"),
    }
    Process::new("systemctl").args(["reboot", "--force", "--no-wall"]).output().await?.success()?;
    sleep(FORCED).await;
    Err(Error::StillUp)
}

fn menu_of_grub() -> Result<Menu, Error> {
    menu::read().map_err(Error::Disk)?.ok_or(Error::NoGrub)
}

/// What was chosen for one boot.
async fn chosen() -> Result<Option<String>, Error> {
    if !Path::new(GRUB_ENV).exists() {
        return Ok(None);
    }
    let listed = grub("grub-editenv", &[GRUB_ENV, "list"]).await?;
    let entry = listed.lines().find_map(|line| line.strip_prefix("next_entry="));
    Ok(entry.filter(|entry| !entry.is_empty()).map(str::to_owned))
}

async fn grub(program: &str, args: &[&str]) -> Result<String, Error> {
    Ok(Process::new(program).args(args).output().await?.success()?.stdout)
}

/// Why a candidate cannot be booted once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another boot loader, or none.
    #[error(
        "this machine has no GRUB menu (`{GRUB_CFG}`), so that no system can be booted just once"
    )]
    NoGrub,
    /// Its menu is made by something that is not NixOS.
    #[error("`{GRUB_CFG}` does not look at a choice for one boot (`next_entry`)")]
    NoChoice,
    /// A reboot would not lead back.
    #[error(
        "`{GRUB_CFG}` does not boot `{system}` by default, so that a reboot would not lead back"
    )]
    AnotherDefault {
        /// What it should boot.
        system: Toplevel,
    },
    /// The installer wrote none.
    #[error("the boot installer gave the new system no entry of its own")]
    NoEntry,
    /// The environment block says something else.
    #[error("the new system is not what boots next: GRUB's environment block does not say so")]
    NotChosen,
    /// It was told to reboot.
    #[error("the machine was told to reboot, and did not go down")]
    StillUp,
    /// The installer failed.
    #[error(transparent)]
    Install(#[from] commit::Error),
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] process::Error),
    /// The disk said no.
    #[error("could not prepare the boot of the new system")]
    Disk(#[source] io::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoGrub => "use GRUB on hosts that floe is to reboot, or `reboot = \"never\"`",
            Self::NoChoice => "let NixOS write the menu (boot.loader.grub)",
            Self::AnotherDefault { .. } => {
                "leave boot.loader.grub.default at 0, and look who changed the boot entries"
            }
            Self::NoEntry => "look at boot.loader.grub.configurationLimit of what runs now",
            Self::NotChosen => "look at the space in /boot, and whether it can be written",
            Self::StillUp => "look at `systemctl list-jobs` and at what inhibits the shutdown",
            Self::Install(error) => error.advice(),
            Self::Tool(error) => error.advice(),
            Self::Disk(_) => "look at the space in /boot and below /nix/var",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_profile_is_taken_back() {
        for ours in ["floe_trial", "floe_trial-1-link", "floe_trial-12-link", "floe_trial.lock"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in
            ["floe_trials", "floe_trial-x-link", "floe_trial-1", "comin", "floe_trial2-1-link"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }
}
