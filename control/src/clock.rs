//! The only file of the control plane that reads the clock; everything else is told `now`.

use std::time::SystemTime;

use floe_proto::time::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the clock port")]
pub fn now() -> Timestamp {
    SystemTime::now().into()
}
