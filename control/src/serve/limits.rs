//! How often each may try what costs us something.
//!
//! Who proved nothing is counted by address, so that guessing is slow. Who proved who they
//! are is counted as that, and not by the address: what one machine is refused keeps its
//! neighbours behind the same address out of nothing.

use floe_proto::digest::Digest;
use floe_proto::id::HostId;
use tonic::Status;

use crate::enrol::attempts::{Attempts, Limit, Source};

/// The limits of one control plane.
#[derive(Debug)]
pub struct Limits {
    /// To enrol.
    pub enrolments: Attempts<Source>,
    /// With what a machine is let in by, once it is known to be genuine.
    pub newcomers: Attempts<Newcomer>,
    /// To renew an expired certificate. Who keeps an address from enrolling does not keep
    /// it from this.
    pub returns: Attempts<Source>,
    /// To renew with this key.
    pub renewals: Attempts<Digest>,
    /// To log in.
    pub logins: Attempts<Source>,
    /// Logins of this operator, successful ones as well.
    pub operators: Attempts<String>,
}

/// What a machine shows to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Newcomer {
    /// A document that AWS signed about this instance.
    Instance(HostId),
    /// The token with this SHA-256.
    Token(Digest),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enrolments: Attempts::new(STRANGERS),
            newcomers: Attempts::new(NEWCOMERS),
            returns: Attempts::new(STRANGERS),
            renewals: Attempts::new(RENEWALS),
            logins: Attempts::new(STRANGERS),
            operators: Attempts::new(OPERATORS),
        }
    }
}

/// Who has to wait learns for how long.
pub(super) fn too_many() -> Status {
    Status::resource_exhausted("too many attempts; try again in a minute")
}

const STRANGERS: Limit = Limit { counted: 5, at_once: 16 };
/// Each may cost a question to AWS, and one that waits for an operator asks again and again.
const NEWCOMERS: Limit = Limit { counted: 10, at_once: 2 };
/// Each is a write to the disk. A host asks again where a reply was lost.
const RENEWALS: Limit = Limit { counted: 10, at_once: 1 };
/// Each is a certificate and a row of the audit log, which are kept. Enough for CI.
const OPERATORS: Limit = Limit { counted: 30, at_once: 8 };
