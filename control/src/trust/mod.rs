//! The fleet's trust root, version after version: whose signatures count, and since when.
//!
//! ```text
//! trust.json ─▶ roots ◀─ serve/api/trust (PublishRoot)
//!                │ every version, each the successor of the one before
//!                ├─▶ session: what a host does not believe yet is sent to it
//!                └─▶ rollout: what hosts would not believe is not rolled out
//!
//! trust.json ─▶ proposal ─▶ trust-next.json ─▶ signed by several ─▶ PublishRoot
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | [`key_role`] | `root` or `release` |
//! | [`proposal`] | the operators': the next version, until it is signed (pure) |
//! | [`roots`] | the control plane's: all versions, and the newest |

pub mod key_role;
pub mod proposal;
pub mod roots;
#[cfg(test)]
pub(crate) mod testing;

pub use roots::Roots;
