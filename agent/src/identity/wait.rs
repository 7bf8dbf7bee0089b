//! What is waited for where time alone does not help. Looks, and changes nothing.

use std::path::Path;
use std::time::Duration;

use floe_proto::time::Timestamp;
use tokio::time::sleep;

use super::enrol::Terms;

/// How often it is looked whether somebody changed `join.toml`.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits until somebody puts another file there, or takes it away.
pub(super) async fn changed(path: &Path, before: Option<Fingerprint>) {
    while fingerprint(path) == before {
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits until the clock shows less than at `began`, by more than it is ever slewed.
pub(super) async fn set_back(terms: &Terms, began: Timestamp) {
    while began.since(terms.now()) < STEP {
        sleep(LOOK_AGAIN).await;
    }
}

const STEP: Duration = Duration::from_secs(60);

/// Enough to see that a file was replaced.
pub(super) type Fingerprint = (std::time::SystemTime, u64, u64);

pub(super) fn fingerprint(path: &Path) -> Option<Fingerprint> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
