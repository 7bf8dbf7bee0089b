//! The way back: to the captured previous system, never to "the generation before".
//!
//! By a switch of the running machine, or by a reboot, which leads back by itself as long
//! as the new system was not committed. Used by agent and guard alike.

use std::time::Duration;

use super::commit::{self, commit};
use super::paths::Paths;
use super::switch::{self, Switch};
use super::trial::Action;
use super::{loader, menu, output, roots, system, timer};
use crate::activation::state::{Fault, Toplevel, Trial, Undoing};
use crate::activation::verdict;
use crate::telemetry::Chain;

/// How long a way back may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Goes back from `trial`, and says to what. `tell` is given what the switch writes.
///
/// # Errors
///
/// [`commit::Error`]; to be tried again. Does not return where it has to reboot.
pub async fn revert(
    trial: &Trial,
    undoing: &Undoing,
    paths: &Paths,
    tell: impl FnMut(Vec<String>),
) -> Result<Toplevel, commit::Error> {
    let (before, activation) = (&trial.before, &trial.order.activation);
    let rebooted = system::boot_id() != before.boot;
    let is_back = |running: &Toplevel| [&before.running, &before.profile].contains(&running);
    let back = match system::running() {
        // The reboot was the way back; or the reboot that was to lead forward never came.
        Some(running) if is_back(&running) && (rebooted || trial.is_by_reboot()) => running,
        Some(running) if undoing.reboot && rebooted => {
            let why = format!("the machine still runs `{running}` after a reboot");
            return Err(commit::Error::NotBack(Fault::new(why)));
        }
        Some(_) | None if undoing.reboot => return reboot_back(trial, undoing, paths).await,
        Some(_) | None => {
            switch_back(trial, paths, tell).await?;
            before.running.clone()
        }
    };
    if trial.is_by_reboot() {
        withdraw().await?;
    }
    // By a reboot, the menu still lists the candidate.
    let menu_is_old = undoing.boot || trial.is_by_reboot();
    if menu_is_old || system::profile().as_ref() != Some(&before.profile) {
        commit_back(trial, paths).await?;
    }
    if let Err(error) = timer::disarm(activation).await {
        // Its guard finds that there is nothing left to do, or is who does this.
        log::debug!(error:% = error; "the dead man's timer was not disarmed");
    }
    roots::forget_candidate(&back);
    Ok(back)
}

/// The boot default is the old system, or is made so: what boots next is the way back.
async fn reboot_back(
    trial: &Trial,
    undoing: &Undoing,
    paths: &Paths,
) -> Result<Toplevel, commit::Error> {
    let before = &trial.before;
    withdraw().await?;
    if undoing.boot || system::profile().as_ref() != Some(&before.profile) {
        commit_back(trial, paths).await?;
    }
    match loader::reboot().await {
        Ok(never) => match never {},
        Err(error) => Err(commit::Error::NotBack(Fault::of(&error))),
    }
}

/// Makes the old system what boots. That no menu can be written is no reason to give up where
/// the one that is there boots it: what kept the new system out, such as a full `/boot`, keeps
/// out the old one too.
async fn commit_back(trial: &Trial, paths: &Paths) -> Result<(), commit::Error> {
    let profile = &trial.before.profile;
    match commit(profile, &trial.order.activation, "revert-boot", paths).await {
        Err(error @ commit::Error::NoBootEntry(_))
            if menu::boots(profile) == Some(true)
                && system::profile().as_ref() == Some(profile) =>
        {
            log::warn!("the boot menu boots `{profile}` already: {}", Chain(&error));
            Ok(())
        }
        done => done,
    }
}

async fn withdraw() -> Result<(), commit::Error> {
    loader::withdraw().await.map_err(|error| commit::Error::NotBack(Fault::of(&error)))
}

async fn switch_back(
    trial: &Trial,
    paths: &Paths,
    tell: impl FnMut(Vec<String>),
) -> Result<(), commit::Error> {
    let back = &trial.before.running;
    Switch::of_trial(trial, Duration::ZERO).kill().await?;
    let switch = Switch {
        activation: &trial.order.activation,
        purpose: "revert",
        action: Action::Test,
        toplevel: back,
        limit: LIMIT,
        guarded: false,
    };
    let ended = output::while_following(&switch.identifier(), tell, switch.anew(paths)).await?;
    let after = switch::after(ended, back).await?;
    verdict::of_rollback(&after, back).map_err(commit::Error::NotBack)
}

/// As long as the dead man's timer has not had its turn, going back has not failed, it
/// is tried again: the guard has means of its own, and must not find that we gave up.
///
/// # Errors
///
/// `error`, once that turn is over; until then that it is tried again.
pub fn not_yet_lost<T>(trial: &Trial, error: commit::Error) -> Result<T, commit::Error> {
    let guards_turn = trial.until.after(2 * timer::GRACE);
    let is_over = system::uptime().until(guards_turn).is_zero();
    if is_over || system::boot_id() != trial.before.boot {
        return Err(error);
    }
    log::warn!("could not go back, trying again: {}", Chain(&error));
    Err(commit::Error::Switch(switch::Error::Busy))
}
