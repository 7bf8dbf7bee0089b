//! Generated messages ⇄ our types: parse, don't validate.
//!
//! Only what both sides convert is here. A number that a newer peer sends and we
//! do not know becomes `None`, and its reader says what that means.

use crate::pb;
use crate::report::{Outcome, Phase};

impl From<Phase> for pb::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Fetching => Self::Fetching,
            Phase::Unpacking => Self::Unpacking,
            Phase::Building => Self::Building,
            Phase::Waiting => Self::Waiting,
            Phase::Staging => Self::Staging,
            Phase::Rebooting => Self::Rebooting,
            Phase::Arming => Self::Arming,
            Phase::Trying => Self::Trying,
            Phase::Probation => Self::Probation,
            Phase::Disarming => Self::Disarming,
            Phase::Committing => Self::Committing,
            Phase::RollingBack => Self::RollingBack,
            Phase::Reporting => Self::Reporting,
        }
    }
}

/// The phase that a peer sent, if it is one that we know.
pub fn phase(number: i32) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| pb::Phase::from(*phase) as i32 == number)
}

impl From<Outcome> for pb::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Confirmed => Self::Confirmed,
            Outcome::Failed => Self::Failed,
            Outcome::RolledBack => Self::RolledBack,
            Outcome::Superseded => Self::Superseded,
            Outcome::Quarantined => Self::Quarantined,
        }
    }
}

/// The outcome that a peer sent, if it is one that we know.
pub fn outcome(number: i32) -> Option<Outcome> {
    Outcome::ALL.into_iter().find(|outcome| pb::Outcome::from(*outcome) as i32 == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_arrives() {
        for sent in Phase::ALL {
            assert_eq!(phase(pb::Phase::from(sent) as i32), Some(sent));
        }
        for sent in Outcome::ALL {
            assert_eq!(outcome(pb::Outcome::from(sent) as i32), Some(sent));
        }
        assert_eq!((phase(0), outcome(0)), (None, None));
        assert_eq!((phase(99), outcome(-1)), (None, None));
    }
}
