//! The operator's fleet repository, read and checked; nothing is ever written here.
//!
//! ```text
//! floe.toml        which fleet, which control plane, whose key     (fleet)
//! trust.json       the signed list of keys that hosts believe      (locate → proto::root)
//! floe.lock        where every pin comes from                      (locate → proto::payload::lock)
//! hosts/<role>/    configuration.nix, …, and host.toml             (host)
//! ```
//!
//! A file that is wrong is refused whole, with its name and every fault that could be
//! found in one pass.

mod aws;
mod duration;
mod error;
mod fleet;
mod host;
mod locate;
mod secrets;
mod serve;
mod toml_file;

pub use duration::{InvalidSpan, Span};
pub use error::Error;
pub(crate) use fleet::server_fault;
pub use fleet::{DEFAULT_KEY, FILE as FLEET_FILE, FleetFile, SignerEntry, Signing};
pub use host::{FILE as HOST_FILE, HostFile};
pub use locate::{HOSTS, LOCK_FILE, PROPOSAL_FILE, Repository, TRUST_FILE, read_trust};
pub use secrets::{SecretEntry, SecretSource};
pub use serve::ServeFile;
