//! The first operator, whose credentials lie in the data directory.

use std::path::Path;
use std::time::Duration;

use floe_proto::time::Timestamp;

use super::roster::{self, Roster};
use crate::enrol::ca::{self, Authority};
use crate::enrol::credentials::{Written, written};
use crate::store::{self, OperatorCertificate};

/// `admin` gets credentials at the first start, and new ones at a start when those
/// will not last much longer, or another issuer signs; none once they were revoked.
pub(super) async fn operator(
    directory: &Path,
    authority: &Authority,
    roster: &Roster,
    now: Timestamp,
) -> Result<(), Error> {
    if !roster.wants_first().await? {
        return Ok(());
    }
    if !authority.still_good(directory, now.after(RENEWED_BEFORE)) {
        authority.issue_operator(roster::FIRST, now)?.write(directory, authority)?;
    }
    if let Some(Written { key, expires, .. }) = written(directory) {
        let operator = roster::FIRST.to_owned();
        roster.begin(OperatorCertificate { key, operator, issued: now, expires }).await?;
    }
    Ok(())
}

/// How long before its end the first operator's certificate is made anew.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They could not be made.
    #[error(transparent)]
    Authority(#[from] ca::Error),
    /// They could not be taken on record.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Authority(error) => error.advice(),
            Self::Store(error) => error.advice(),
        }
    }
}
