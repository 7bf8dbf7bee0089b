//! What goes wrong in one life of the agent's process: plain data, for the tests.

use crate::activation::event::Task;

/// What goes wrong in one life of the agent's process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doom {
    /// The power fails before a step of the disk.
    AtStep(u32),
    /// At an effect, counted from the start of the process.
    AtEffect { number: u32, when: When, how: How },
    /// At the effects of this kind.
    In(Doing, When, How),
}

/// Effects, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Fetch,
    Unpack,
    Build,
    AwaitWindow,
    Stage,
    Reboot,
    Arm,
    Try,
    Prove,
    Disarm,
    Commit,
    Revert,
    Report,
}

impl From<Task<'_>> for Doing {
    fn from(task: Task<'_>) -> Self {
        match task {
            Task::Fetch(_) => Self::Fetch,
            Task::Unpack(_) => Self::Unpack,
            Task::Build(_) => Self::Build,
            Task::AwaitWindow(_) => Self::AwaitWindow,
            Task::Stage(_) => Self::Stage,
            Task::Reboot(_) => Self::Reboot,
            Task::Arm(_) => Self::Arm,
            Task::Try(_) => Self::Try,
            Task::Prove(_) => Self::Prove,
            Task::Disarm(_) => Self::Disarm,
            Task::Commit(_) => Self::Commit,
            Task::Revert(..) => Self::Revert,
        }
    }
}

impl Doom {
    /// What goes wrong at effect number `number`, which is of this kind.
    pub(super) fn at(self, effect: u32, doing: Doing) -> Option<(When, How)> {
        match self {
            Self::AtEffect { number, when, how } if number == effect => Some((when, how)),
            Self::In(kind, when, how) if kind == doing => Some((when, how)),
            Self::AtEffect { .. } | Self::In(..) | Self::AtStep(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Before,
    Half,
    After,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Killed,
    PowerCut,
    /// The effect says that it failed; the process lives on.
    Fails,
    /// The dead man's timer fires, and its guard acts, while the agent is at work.
    TimerFires,
    /// The agent is killed, and the guards of this boot have their turn before it is back.
    KilledAndGuarded,
}
