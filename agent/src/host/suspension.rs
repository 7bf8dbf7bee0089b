//! The mark on the disk that nothing new is to be begun: `STATE/suspended`.
//!
//! It outlives reboots, switches and the agent. That it is there counts, whatever it says:
//! one that cannot be read suspends as well.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use floe_proto::time::Timestamp;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::activation::ports::Suspension;
use crate::durable;

const MARK: &str = "suspended";

/// The most characters of a reason that are kept.
const MAX_REASON: usize = 200;

/// How often is looked where the kernel does not tell.
const GLANCE: Duration = Duration::from_secs(5);

/// Whether this machine is suspended, and why.
pub fn read(state: &Path) -> Option<Suspension> {
    match fs::read(state.join(MARK)) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Suspension {
            since: Timestamp::default(),
            reason: "the mark is damaged".to_owned(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Suspension {
            since: Timestamp::default(),
            reason: format!("the mark cannot be read: {error}"),
        }),
    }
}

/// Suspends this machine; returns once that outlasts a power cut.
///
/// # Errors
///
/// What the disk said.
pub fn set(state: &Path, suspension: &Suspension) -> io::Result<()> {
    // One line, since that is what it is shown in.
    let reason: String = suspension.reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
    let kept = Suspension { since: suspension.since, reason };
    durable::write(state, MARK, &serde_json::to_vec(&kept)?)
}

/// Takes the mark away; `false` where there was none.
///
/// # Errors
///
/// What the disk said.
pub fn lift(state: &Path) -> io::Result<bool> {
    match fs::remove_file(state.join(MARK)) {
        Ok(()) => fs::File::open(state)?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tells that the mark may have been set or taken away.
#[derive(Debug)]
pub struct Watcher(Option<AsyncFd<OwnedFd>>);

impl Watcher {
    /// Watches from now on: whoever reads the mark afterwards misses nothing.
    pub fn new(state: &Path) -> Self {
        let watching = watch(state);
        if let Err(error) = &watching {
            log::debug!(error:% = error; "the kernel does not tell of files; looking now and then");
        }
        Self(watching.ok())
    }

    /// Waits for it.
    pub async fn changed(&mut self) {
        let Some(inotify) = &self.0 else { return sleep(GLANCE).await };
        let Ok(mut ready) = inotify.readable().await else { return sleep(GLANCE).await };
        let mut events = [0; 1024];
        while rustix::io::read(inotify.get_ref(), &mut events).is_ok_and(|length| length > 0) {}
        ready.clear_ready();
    }
}

#[expect(deprecated, reason = "what took its place is unsafe; an `OwnedFd` always is what it says")]
fn watch(state: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let what = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
    inotify::add_watch(&inotify, state, what)?;
    AsyncFd::new(inotify)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_time;

    fn because(reason: &str) -> Suspension {
        let since = Timestamp::from_micros(7);
        Suspension { since, reason: reason.to_owned() }
    }

    #[tokio::test]
    async fn a_mark_is_seen_when_it_comes_and_when_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new(dir.path());
        assert!(watcher.0.is_some());
        assert_eq!(read(dir.path()), None);
        set(dir.path(), &because("new disk")).unwrap();
        in_time(watcher.changed()).await;
        assert_eq!(read(dir.path()), Some(because("new disk")));
        assert!(lift(dir.path()).unwrap());
        in_time(watcher.changed()).await;
        assert_eq!(read(dir.path()), None);
        assert!(!lift(dir.path()).unwrap());
    }

    #[test]
    fn a_reason_is_one_bounded_line() {
        let dir = tempfile::tempdir().unwrap();
        set(dir.path(), &because(&format!("two\nlines\u{1b}[2J {}", "x".repeat(500)))).unwrap();
        let reason = read(dir.path()).unwrap().reason;
        assert!(reason.starts_with("two lines[2J x"), "{reason}");
        assert_eq!(reason.len(), MAX_REASON);
    }

    #[test]
    fn a_mark_that_cannot_be_read_suspends() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(MARK), "torn").unwrap();
        assert!(read(dir.path()).is_some());
    }
}
