//! The operator's fleet repository, read and checked; nothing is ever written here.
//!
//! ```text
//! floe.toml        which fleet, which control plane, whose key     (fleet)
//! trust.json       the signed list of keys that hosts believe      (locate → proto::root)
//! floe.lock        where every pin comes from                      (locate → proto::payload::lock)
//! hosts/<role>/    configuration.nix, …, and host.toml             (host, a file for each table)
//! ```
//!
//! A file that is wrong is refused whole, with its name and every fault that could be
//! found in one pass, each with its place (toml_file, fault) and a guess (suggest).
//! docs/repository.md tells of every setting.

mod activation;
mod aws;
mod code;
mod duration;
mod error;
mod fault;
mod fleet;
mod health;
mod host;
mod image;
mod locate;
mod rollout;
mod secrets;
mod serve;
mod stack;
pub(crate) mod suggest;
mod toml_file;

pub use code::{Code, Flake};
pub use duration::{InvalidSpan, Span};
pub use error::Error;
pub use fault::{Fault, Place};
pub(crate) use fleet::server_fault;
pub use fleet::{DEFAULT_KEY, FILE as FLEET_FILE, FleetFile, SignerEntry, Signing};
pub use host::{FILE as HOST_FILE, HostFile};
pub use image::{ImageFile, SourceFilter, SourceImage};
pub use locate::{
    HOSTS, LOCK_FILE, PROPOSAL_FILE, Repository, TRUST_FILE, place_in, read_host_file, read_lock,
    read_trust,
};
pub use secrets::{SecretEntry, SecretSource};
pub use serve::ServeFile;
pub use stack::StackFile;
