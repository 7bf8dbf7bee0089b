//! What happens to a fleet in its life, as its operator sees it.
//!
//! One test binary, so that the world is linked once. See the crate `floe_tests`
//! for how to read a story.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on should stop"
)]

mod attacks;
mod bad_input;
mod by_hand;
mod certificates;
mod closures;
mod crashes;
mod enduring;
mod enrolling;
mod first_day;
mod flakes;
mod importing;
mod new_systems;
mod offline;
mod operators;
mod previewing;
mod rebooting;
mod rolling_back;
mod rolling_out;
mod secrets;
mod stock_images;
mod trusting;
mod units;

/// The role of the website, which answers on 127.0.0.1:8080/healthz.
const WWW: &str = "www.fossable.org";

/// The role of the mail server, which greets on 127.0.0.1:25.
const MAIL: &str = "mail.fossable.org";

/// The website as version `version`.
fn version(version: u32) -> String {
    format!("  systemd.services.website.environment.VERSION = \"{version}\";")
}

/// The website as a version that no host is healthy on.
fn sick_version() -> String {
    "  systemd.services.website.environment = { VERSION = \"sick\"; STATUS = \"503\"; };".into()
}
