//! Why a pin could not be taken on.

use std::io;

/// Why a pin could not be taken on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered.
    #[error("could not ask `{url}` where it leads")]
    Unreachable {
        /// What the pin follows.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// Somebody answered that it is not there.
    #[error("`{url}` leads nowhere: HTTP {status}")]
    Status {
        /// What the pin follows.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// It led to what cannot stand in a lock file.
    #[error("`{url}` leads to what cannot be pinned")]
    Unusable {
        /// What the pin follows.
        url: String,
        /// Which text, and why.
        #[source]
        source: floe_proto::payload::pin::Error,
    },
    /// A branch, and no repository that has it.
    #[error("the pin follows the branch `{branch}`, and `{url}` is no archive on GitHub")]
    NoRepository {
        /// What the pin follows.
        branch: String,
        /// What it is pinned to.
        url: String,
    },
    /// The repository does not have it.
    #[error("`{remote}` has no branch `{branch}`")]
    NoBranch {
        /// The repository.
        remote: String,
        /// The branch.
        branch: String,
    },
    /// A program is not here.
    #[error("there is no `{program}` here")]
    NoProgram {
        /// Which.
        program: &'static str,
    },
    /// It could not be run, or did not end.
    #[error("could not run `{program}`")]
    Started {
        /// Which.
        program: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It said no.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// Somebody changed floe.lock in the meantime.
    #[error("floe.lock cannot be changed where `{name}` is pinned")]
    Changed {
        /// The pin.
        name: String,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "look at the network, and at `follow` in floe.lock",
            Self::Status { .. } => {
                "correct `follow`; channels are at https://channels.nixos.org/nixos-24.11/nixexprs.tar.xz"
            }
            Self::Unusable { .. } => "follow something else, or pin by url and sha256 alone",
            Self::NoRepository { .. } => {
                "write https://github.com/OWNER/REPO/archive/COMMIT.tar.gz as url, or follow a URL"
            }
            Self::NoBranch { .. } => "correct `follow`: the branch may have been deleted",
            Self::NoProgram { .. } => "install it here; floe.lock was not changed",
            Self::Started { .. } => "try it by hand; floe.lock was not changed",
            Self::Failed { .. } => {
                "correct what it says, then try again; floe.lock was not changed"
            }
            Self::Changed { .. } => "try again, when nobody else edits floe.lock",
        }
    }
}
