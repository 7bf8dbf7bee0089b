//! What can be said of a phase: its name, its order, who may go on from it. Pure.

use std::collections::BTreeSet;

use floe_proto::report;

use super::reboot::list;
use super::state::{Fault, Order, Phase, Report, Seen, Toplevel, Trial, Undoing, Verdict, Way};

/// How often going back may fail before the host says that it cannot.
pub const MAX_FAILED_ROLLBACKS: u32 = 3;

impl Phase {
    /// Whether the process that came from `self` to `next` must end, so that systemd
    /// starts the agent of the system that runs now: only the new system's agent may
    /// confirm it, and what was gone back to is spoken for by its own.
    pub fn hands_over_to(&self, next: &Self) -> bool {
        matches!(
            (self, next),
            (Self::Trying(_), Self::Probation(_)) | (Self::RollingBack(..), Self::Reporting(_))
        )
    }

    /// Whether the machine must be looked at before this phase's effect, in case
    /// that somebody else switched it.
    pub fn could_be_superseded(&self) -> bool {
        match self {
            Self::Staging(_)
            | Self::Rebooting(_)
            | Self::Disarming(_, Verdict::Proven)
            | Self::Committing(_)
            | Self::RollingBack(..) => true,
            Self::Idle
            | Self::Fetching(_)
            | Self::Unpacking(_)
            | Self::Building(_)
            | Self::Waiting(..)
            | Self::Arming(_)
            | Self::Trying(_)
            | Self::Probation(_)
            | Self::Disarming(_, Verdict::Superseded(_))
            | Self::Reporting(_) => false,
        }
    }

    /// The phase as it is reported; `None` where nothing is in flight.
    pub fn name(&self) -> Option<report::Phase> {
        Some(match self {
            Self::Idle => return None,
            Self::Fetching(_) => report::Phase::Fetching,
            Self::Unpacking(_) => report::Phase::Unpacking,
            Self::Building(_) => report::Phase::Building,
            Self::Waiting(..) => report::Phase::Waiting,
            Self::Staging(_) => report::Phase::Staging,
            Self::Rebooting(_) => report::Phase::Rebooting,
            Self::Arming(_) => report::Phase::Arming,
            Self::Trying(_) => report::Phase::Trying,
            Self::Probation(_) => report::Phase::Probation,
            Self::Disarming(..) => report::Phase::Disarming,
            Self::Committing(_) => report::Phase::Committing,
            Self::RollingBack(..) => report::Phase::RollingBack,
            Self::Reporting(_) => report::Phase::Reporting,
        })
    }

    /// Why this is done, where that is not plain; for people.
    pub fn why(&self) -> Option<String> {
        if let Self::RollingBack(_, undoing) = self {
            return Some(undoing.why.to_string());
        }
        let Self::Waiting(order, reasons) = self else { return None };
        let window = order.manifest.activation.reboot.window;
        let window = window.map_or_else(String::new, |window| format!(" ({window} UTC)"));
        Some(format!("it needs a reboot: {}; the window{window} is not open", list(reasons)))
    }

    /// What is in flight: which order, if it was believed.
    pub fn order(&self) -> Option<&Order> {
        match self {
            Self::Fetching(order)
            | Self::Unpacking(order)
            | Self::Building(order)
            | Self::Waiting(order, _) => Some(order),
            Self::Staging(_)
            | Self::Rebooting(_)
            | Self::Arming(_)
            | Self::Trying(_)
            | Self::Probation(_)
            | Self::Disarming(..)
            | Self::Committing(_)
            | Self::RollingBack(..) => self.trial().map(|trial| &trial.order),
            Self::Idle | Self::Reporting(_) => None,
        }
    }

    /// What is on its way to the control plane.
    pub fn report(&self) -> Option<&Report> {
        if let Self::Reporting(report) = self { Some(report) } else { None }
    }

    /// The new system that is in flight, once there is one.
    pub fn trial(&self) -> Option<&Trial> {
        match self {
            Self::Staging(trial)
            | Self::Rebooting(trial)
            | Self::Arming(trial)
            | Self::Trying(trial)
            | Self::Probation(trial)
            | Self::Disarming(trial, _)
            | Self::Committing(trial)
            | Self::RollingBack(trial, _) => Some(trial),
            Self::Idle
            | Self::Fetching(_)
            | Self::Unpacking(_)
            | Self::Building(_)
            | Self::Waiting(..)
            | Self::Reporting(_) => None,
        }
    }
}

impl Trial {
    /// Whether what runs or would boot is neither where this came from nor where it goes.
    pub(super) fn is_superseded_by(&self, seen: &Seen) -> bool {
        let ours = [&self.to, &self.before.running, &self.before.profile];
        let foreign =
            |found: &Option<Toplevel>| found.as_ref().is_some_and(|it| !ours.contains(&it));
        foreign(&seen.running) || foreign(&seen.profile)
    }

    /// Whether the new system runs.
    pub(super) fn runs_on(&self, seen: &Seen) -> bool {
        seen.running.as_ref() == Some(&self.to)
    }

    /// Whether the machine is rebooted into the new system.
    pub fn is_by_reboot(&self) -> bool {
        match self.way {
            Way::Switch => false,
            Way::Reboot(_) => true,
        }
    }

    /// The same trial, in the boot that it was chosen for and that looks like `seen`: its
    /// time begins now.
    pub(super) fn tried_in(mut self, seen: &Seen) -> Self {
        self.before.boot = seen.boot.clone();
        self.before.at = seen.at;
        self.until = seen.at.after(self.order.manifest.deadline());
        self
    }

    /// The same trial, as one that this boot was seen in.
    pub(super) fn in_the_boot_of(mut self, seen: &Seen) -> Self {
        self.before.boot = seen.boot.clone();
        self
    }

    /// A way back that was interrupted by a reboot into the machine that looks like `seen`.
    /// Where the new system runs there, the reboot was not the way back: it may have been the
    /// boot default before that was undone, or be chosen for this boot still. Each time that
    /// the reboot may have been the way back counts.
    pub(super) fn still_to_be_undone(self, undoing: Undoing, seen: &Seen) -> Phase {
        let not_begun = undoing.boot && seen.profile.as_ref() == Some(&self.to);
        let failures = undoing.failures + u32::from(!not_begun);
        let goes_on = (undoing.boot || undoing.reboot) && failures < MAX_FAILED_ROLLBACKS;
        if goes_on && self.runs_on(seen) {
            let trial = Box::new(self.in_the_boot_of(seen));
            return Phase::RollingBack(trial, Undoing { failures, ..undoing });
        }
        Phase::RollingBack(Box::new(self), undoing)
    }

    /// What undoes it, before anything was committed.
    pub(super) fn undone(self, why: Fault) -> Phase {
        let reboot = self.is_by_reboot();
        Phase::RollingBack(Box::new(self), Undoing { why, boot: false, failures: 0, reboot })
    }

    /// What undoes it, once profile or boot entry may have been written.
    pub(super) fn uncommitted(self, why: Fault) -> Phase {
        let reboot = self.is_by_reboot();
        Phase::RollingBack(Box::new(self), Undoing { why, boot: true, failures: 0, reboot })
    }

    /// What undoes it where nobody confirmed it in time.
    pub(super) fn overdue(self) -> Phase {
        let seconds = self.order.manifest.activation.deadline_seconds;
        self.undone(Fault::new(format!(
            "it was not confirmed within {seconds} s, so that the dead man's timer went back"
        )))
    }

    /// Units whose failure is no news: they had failed before, or do not count.
    pub fn forgiven(&self) -> BTreeSet<&str> {
        let ignored = &self.order.manifest.activation.ignore_units;
        self.before.failed.iter().chain(ignored).map(String::as_str).collect()
    }
}
