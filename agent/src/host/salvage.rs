//! What the machine itself says of a trial whose journal is lost: its roots do.
//!
//! A `candidate` is rooted before a trial and forgotten when it is kept or left, and
//! `previous` is what ran before (see `roots`). So a machine that runs the candidate,
//! and would not boot it, has not proved itself; and nobody knows any more until when
//! it may. No outcome can be reported: of which activation is lost as well.

use std::time::Duration;

use super::paths::Paths;
use super::switch::{self, Switch};
use super::trial::Action;
use super::{commit, roots, system};
use crate::activation::state::Toplevel;
use crate::activation::verdict;

/// How long the way back may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Goes back from a trial that nobody remembers, if there is one; says to what.
///
/// # Errors
///
/// [`commit::Error`]; to be tried again.
pub async fn go_back(paths: &Paths) -> Result<Option<Toplevel>, commit::Error> {
    let Some((candidate, previous)) = roots::trial() else { return Ok(None) };
    let would_boot = system::profile();
    if system::running().as_ref() != Some(&candidate) || would_boot.as_ref() == Some(&candidate) {
        return Ok(None);
    }
    log::error!(from:% = candidate, to:% = previous; "the journal of a trial is lost: going back");
    let activation = "lost".parse().unwrap_or_else(|error| unreachable!("four letters: {error}"));
    let switch = Switch {
        activation: &activation,
        purpose: "salvage",
        action: Action::Test,
        toplevel: &previous,
        limit: LIMIT,
        guarded: false,
    };
    let ended = switch.anew(paths).await?;
    verdict::of_rollback(&switch::after(ended, &previous).await?, &previous)
        .map_err(commit::Error::NotBack)?;
    roots::after_an_end(&previous).map_err(switch::Error::Disk)?;
    Ok(Some(previous))
}
