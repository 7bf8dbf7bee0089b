//! Why a machine is no host yet, and what may help: time, an operator, or another token.
//!
//! Decides nothing else; [`super::enrol`] waits accordingly.

use floe_proto::id::{HostId, Role};
use floe_proto::transport;
use tonic::Code;

use super::{imds, join, store};

/// Why this machine is no host yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Join(#[from] join::Error),
    #[error(transparent)]
    Imds(#[from] imds::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the identity was stored and is gone again")]
    Vanished,
    #[error("could not make a certificate request")]
    Request(#[source] rcgen::Error),
    #[error(transparent)]
    Connection(#[from] transport::Error),
    #[error("the control plane did not answer in time")]
    Slow,
    #[error("the control plane did not enrol this machine")]
    Refused(#[from] Box<tonic::Status>),
    #[error(
        "this machine is configured for the role `{ours}`, but the control plane has it on record as `{theirs}`"
    )]
    OtherRole { ours: Role, theirs: String },
    #[error("this machine is `{ours}`, but `join.toml` is for `{theirs}`")]
    OtherToken { ours: HostId, theirs: HostId },
    #[error("this machine is `{ours}`, but the control plane answered for `{theirs}`")]
    OtherHost { ours: HostId, theirs: String },
    #[error("the control plane sent a certificate that cannot be used with this machine's key")]
    Certificate(#[source] transport::Error),
    #[error("the control plane sent a certificate that does not speak for this host")]
    Unusable,
    #[error("the control plane sent certificates that could not be read back from the disk")]
    Unreadable,
    #[error("the control plane sent a certificate that is good for longer than 100 days")]
    Endless,
    #[error("there is no connection to the control plane")]
    Disconnected,
}

/// What may help.
pub(super) enum Remedy {
    /// The same try may succeed later.
    Time,
    /// Somebody has to approve or correct something; the same try succeeds then.
    Operator,
    /// This try is lost; somebody has to put another `join.toml` there.
    JoinFile,
}

impl Error {
    /// `lost` is what helps where this try never succeeds.
    pub(super) fn remedy(&self, lost: Remedy) -> Remedy {
        match self {
            Self::Refused(status) => match status.code() {
                Code::FailedPrecondition => Remedy::Operator,
                Code::Unauthenticated
                | Code::PermissionDenied
                | Code::InvalidArgument
                | Code::AlreadyExists
                | Code::Unimplemented => lost,
                Code::Ok
                | Code::Cancelled
                | Code::Unknown
                | Code::DeadlineExceeded
                | Code::NotFound
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::OutOfRange
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss => Remedy::Time,
            },
            Self::Connection(error) => match error {
                transport::Error::Unreachable { .. } => Remedy::Time,
                transport::Error::Pem { .. }
                | transport::Error::Tls(_)
                | transport::Error::Url { .. } => lost,
            },
            Self::Store(error) => match error {
                store::Error::Disk { .. } | store::Error::Key(_) => Remedy::Time,
                store::Error::Broken { .. } => lost,
            },
            Self::Imds(error) => match error {
                imds::Error::Unreachable { .. } | imds::Error::Status { .. } => Remedy::Time,
                imds::Error::Off | imds::Error::Malformed { .. } => lost,
            },
            // With a clock that is wrong, what is good is not; clocks are set.
            Self::Slow | Self::Vanished | Self::Disconnected | Self::Certificate(_) => Remedy::Time,
            Self::Join(_)
            | Self::Request(_)
            | Self::OtherRole { .. }
            | Self::OtherHost { .. }
            | Self::OtherToken { .. }
            | Self::Unusable
            | Self::Unreadable
            | Self::Endless => lost,
        }
    }

    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Join(_) => {
                "make a token with `floe hosts token` and put host and token into the file (mode 0600)"
            }
            Self::Imds(error) => error.advice(),
            Self::Store(error) => error.advice(),
            Self::Refused(status) if status.code() == Code::FailedPrecondition => {
                "look with `floe hosts pending`, then `floe hosts approve` or `floe hosts deny`"
            }
            Self::Refused(_) => {
                "a token may be used, expired or mistyped: make a new one with `floe hosts token`; on EC2 see `floe hosts pending`, `floe images list` and the control plane's log"
            }
            Self::OtherRole { .. } => {
                "correct `role` in agent.toml and restart the agent, or the control plane's record: a token of this role, or `floe images`"
            }
            Self::OtherToken { .. } => {
                "make a token for this instance (`floe hosts token ROLE --host i-…`), or remove the file"
            }
            Self::Connection(_) | Self::Slow | Self::Disconnected => {
                "check `control_plane` and `ca` in agent.toml, and that the control plane runs"
            }
            Self::Certificate(_) => "check the clock of this machine, and `ca` in agent.toml",
            Self::OtherHost { .. }
            | Self::Vanished
            | Self::Request(_)
            | Self::Unusable
            | Self::Unreadable
            | Self::Endless => {
                "this should not happen: look at the logs of agent and control plane"
            }
        }
    }
}
