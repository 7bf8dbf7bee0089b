//! Why the CA gave no certificate, or is none; and what the operator can do.

use std::io;
use std::path::PathBuf;

use crate::enrol::issuers::IssuerNumber;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine's request cannot be used.
    #[error("the certificate request cannot be used: {0}")]
    Request(&'static str),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Issue(#[from] rcgen::Error),
    /// A file of the CA could not be read or written.
    #[error("could not use `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the CA does not hold what it should.
    #[error("`{}` does not hold the CA that this data directory was made with", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
    },
    /// The root's key is not there: it is kept elsewhere.
    #[error("the key of the fleet's root CA, `{}`, is not there", path.display())]
    NoRootKey {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The newest issuer has no key, or is retired.
    #[error("the key of the newest issuer is not there")]
    NoIssuer,
    /// There is no such issuer.
    #[error("there is no issuer {number}")]
    Unknown {
        /// Which was asked for.
        number: IssuerNumber,
    },
    /// It signs now.
    #[error("issuer {number} is the one that signs now")]
    Current {
        /// Which.
        number: IssuerNumber,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Request(_) => "let the agent make a new key, or update it",
            Self::Issue(_) | Self::NoRandomness => "try again; if it stays, look at the log",
            Self::Io { .. } => "look at the permissions and the free space of the data directory",
            Self::NoRootKey { .. } => "bring it back for the time of the rotation",
            Self::Unknown { .. } => "`floe ca show` lists the issuers",
            Self::Current { .. } => "rotate first: `floe ca rotate`",
            Self::Unreadable { .. } | Self::NoIssuer => {
                "restore the data directory's `ca` from a backup: hosts trust no other CA"
            }
        }
    }
}
