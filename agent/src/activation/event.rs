//! What can happen, and what can be asked for.

use std::time::Duration;

use floe_proto::admit::Floors;
use floe_proto::id::ActivationId;

use super::state::{Before, Fault, Order, Report, Seen, Toplevel, Trial, Undoing, Way};

/// What came of a task, or from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An assignment was verified and admitted. Carries what the machine was seen
    /// to run, and the floors with this manifest seen.
    Assigned {
        /// What is asked for.
        order: Box<Order>,
        /// What runs and what would boot.
        seen: Seen,
        /// What the host remembers from now on.
        floors: Box<Floors>,
    },
    /// An assignment was not believed, or is not for this host.
    Refused {
        /// The name under which that is reported.
        activation: ActivationId,
        /// On whose behalf it came.
        rollout: String,
        /// Why.
        why: Fault,
        /// What runs.
        running: Option<Toplevel>,
    },
    /// The payload is on the disk.
    Fetched,
    /// Its files are.
    Unpacked,
    /// The new system is in the store, rooted, and looked over.
    Built {
        /// The new system.
        to: Toplevel,
        /// What is there before it is touched.
        before: Box<Before>,
        /// How the machine can come to run it.
        way: Way,
        /// How long Nix took.
        build: Duration,
    },
    /// The window for reboots is open.
    WindowOpened,
    /// The new system has a boot entry, and is what boots next, once.
    Staged,
    /// The dead man's timer runs.
    Armed,
    /// The machine runs the new system, as far as can be seen at once.
    Tried,
    /// It held for the soak time, and the new system's agent is connected.
    Proven,
    /// The timer does not run any more, and never fired.
    Disarmed,
    /// Profile and boot entry are those of the new system.
    Committed,
    /// The machine runs this, which was there before.
    Reverted(Toplevel),
    /// The control plane has the report.
    Reported,
    /// What runs and what would boot, looked at before a step that cannot be undone.
    Saw(Seen),
    /// Somebody else holds what is needed; the same again.
    Busy,
    /// It did not work.
    Failed(Fault),
}

/// What the machine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// Download the payload. Leads to [`Event::Fetched`].
    Fetch(&'a Order),
    /// Unpack it. Leads to [`Event::Unpacked`].
    Unpack(&'a Order),
    /// Build, root, look over. Leads to [`Event::Built`].
    Build(&'a Order),
    /// Wait until the machine may be rebooted. Leads to [`Event::WindowOpened`].
    AwaitWindow(&'a Order),
    /// Make the new system what boots next, once. Leads to [`Event::Staged`].
    Stage(&'a Trial),
    /// Reboot. Leads nowhere but to the next boot, or to [`Event::Failed`].
    Reboot(&'a Trial),
    /// Arm the dead man's timer. Leads to [`Event::Armed`].
    Arm(&'a Trial),
    /// Switch, boot default untouched. Leads to [`Event::Tried`].
    Try(&'a Trial),
    /// Watch the machine. Leads to [`Event::Proven`].
    Prove(&'a Trial),
    /// Disarm the timer. Leads to [`Event::Disarmed`].
    Disarm(&'a Trial),
    /// Set profile and boot entry. Leads to [`Event::Committed`].
    Commit(&'a Trial),
    /// Go back, then disarm. Leads to [`Event::Reverted`].
    Revert(&'a Trial, &'a Undoing),
}

/// What a phase asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Wait for an assignment.
    Await,
    /// Have the machine do something.
    Perform(Task<'a>),
    /// Tell the control plane. Leads to [`Event::Reported`].
    Report(&'a Report),
}
