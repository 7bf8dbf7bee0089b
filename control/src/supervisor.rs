//! What the control plane tells systemd of itself (sd_notify(3)); elsewhere nothing.

use sd_notify::NotifyState;
use tracing::warn;

/// It can be reached at `url`.
pub(crate) fn ready(url: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("serving {url}"))]);
}

/// It ends, when what was begun is done.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("shutting down")]);
}

/// Shows that the loop turns, twice as often as is asked for; never ends.
pub(crate) async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(limit / 2);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "could not speak to systemd");
    }
}
