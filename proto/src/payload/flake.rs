//! `flake.lock`: where the inputs of a flake come from, and whether a host can have them.
//!
//! The file is Nix's own (nix3-flake(1), "Lock files"), and Nix judges it again, on the host.
//! Here it is looked at before anything is sent or evaluated: every input must be locked to a
//! hash, and lie where a host can fetch it, or in the flake itself. Nothing is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::Value;

use crate::entry::Attribute;

/// Name of a flake's file.
pub const FILE: &str = "flake.nix";

/// Name of its lock file.
pub const LOCK: &str = "flake.lock";

/// A lock file may have so many bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// The versions that Nix reads (`LockFile::LockFile` of Nix 2.4 to 2.31).
const VERSIONS: std::ops::RangeInclusive<u64> = 5..=7;

/// Inputs that are paths may lie below each other so deeply.
const MAX_DEPTH: usize = 16;

/// What `nix` is called with to build the system of the configuration `attribute` of the flake
/// in `directory`, rooted by `link`; without one Nix only says what that would take. Hosts and
/// operators build by the same one.
///
/// Versions of Nix differ in whether they decode what is escaped in a `path:`, so `directory`
/// should have nothing to escape. Whoever runs it gives Nix an empty XDG_DATA_HOME: settings of
/// flakes that somebody once said yes to are kept there, and taken without a question.
pub fn building(directory: &Path, attribute: &Attribute, link: Option<&Path>) -> Vec<OsString> {
    let flake = format!(
        "path:{}#{}.config.system.build.toplevel",
        in_url(directory),
        attribute.configuration()
    );
    let mut arguments: Vec<OsString> = vec!["build".into(), flake.into()];
    match link {
        Some(link) => arguments.extend(["--out-link".into(), link.into()]),
        None => arguments.push("--dry-run".into()),
    }
    arguments.extend(FLAGS.map(OsString::from));
    arguments
}

/// The first two are for a Nix that does not take flakes by itself. Then: no lock file that
/// would have to be changed, which is an error. (`--no-write-lock-file` would make it none: Nix
/// then goes on with inputs that nobody locked, `lockFlake` in src/libexpr/flake/flake.cc of
/// 2.8, and later.) No names of registries, and no settings (`nixConfig`) of the flake; the
/// one that Nix takes without being asked is that of the registry. Nothing but the flake is
/// evaluated, and no work tree of git's with changes: of one, newer versions of Nix only warn
/// that they do not write the lock file, and go on.
const FLAGS: [&str; 19] = [
    "--extra-experimental-features",
    "nix-command flakes",
    "--no-update-lock-file",
    "--option",
    "use-registries",
    "false",
    "--option",
    "flake-registry",
    "",
    "--option",
    "accept-flake-config",
    "false",
    "--option",
    "pure-eval",
    "true",
    "--option",
    "allow-dirty",
    "false",
    "--print-build-logs",
];

/// A path in a URL of Nix' stores and flakes (RFC 3986, section 2.1).
pub fn in_url(path: &Path) -> String {
    let byte = |b: &u8| match *b {
        b if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(byte).collect()
}

/// A lock file whose JSON was read.
#[derive(Clone, Debug)]
pub struct FlakeLock {
    root: String,
    nodes: BTreeMap<String, Node>,
}

impl FlakeLock {
    /// Reads the text of a lock file.
    ///
    /// # Errors
    ///
    /// [`Fault`] for what is no lock file, or one that Nix would not read.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_BYTES {
            return Err(Fault::TooLong);
        }
        let malformed = |error: serde_json::Error| Fault::Malformed { line: error.line() };
        let Versioned { version } = serde_json::from_str(text).map_err(malformed)?;
        if !VERSIONS.contains(&version) {
            return Err(Fault::Version { version });
        }
        let File { root, nodes } = serde_json::from_str(text).map_err(malformed)?;
        let lock = Self { root, nodes };
        match lock.nodes.contains_key(&lock.root) {
            true => Ok(lock),
            false => Err(Fault::Missing { input: shown(&lock.root) }),
        }
    }

    /// The names of the flake's own inputs.
    pub fn inputs(&self) -> BTreeSet<&str> {
        let root = self.nodes.get(&self.root);
        root.into_iter().flat_map(|root| root.inputs.keys().map(String::as_str)).collect()
    }

    /// Why a host could not use it: everything, in the order of names.
    pub fn faults(&self) -> Vec<Fault> {
        let missing = self.nodes.values().flat_map(|node| node.inputs.values()).filter_map(|to| {
            let to = to.as_str()?;
            (!self.nodes.contains_key(to)).then(|| Fault::Missing { input: shown(to) })
        });
        let nodes = self.nodes.iter().filter(|(name, _)| **name != self.root);
        missing.chain(nodes.filter_map(|(name, node)| self.fault(name, node))).collect()
    }

    fn fault(&self, name: &str, node: &Node) -> Option<Fault> {
        let input = shown(name);
        let Some(locked) = node.locked.as_ref().filter(|_| node.original.is_some()) else {
            return Some(Fault::NotLocked { input });
        };
        let url = locked.url.as_deref().unwrap_or_default();
        let here = ["file:", "/", "."].iter().any(|start| url.starts_with(start));
        match (locked.kind.as_str(), locked.path.as_deref()) {
            ("path", Some(path)) if !path.starts_with('/') => {
                // What lies in the flake was signed with it, so that no hash is needed. Only
                // since 2.26, which writes down the parent, does Nix find it: before, it was
                // looked for in the store, where it is on the machine that locked it alone.
                match (self.inside(node, 0), &node.parent) {
                    (None, _) => Some(Fault::Outside { input }),
                    (Some(_), None) => Some(Fault::NoParent { input }),
                    (Some(_), Some(_)) => None,
                }
            }
            ("path", _) => Some(Fault::Outside { input }),
            ("indirect", _) => Some(Fault::Indirect { input }),
            _ if here => Some(Fault::Here { input }),
            _ if locked.hash.as_deref().is_some_and(is_hash) => None,
            _ => Some(Fault::NoHash { input }),
        }
    }

    /// How deep below the flake's root, or that of another input, the path of `node` lies;
    /// `None` where it leads out. Relative to `parent`, where newer versions of Nix say one.
    fn inside(&self, node: &Node, depth: usize) -> Option<usize> {
        let locked = node.locked.as_ref()?;
        let path = locked.path.as_deref().filter(|_| locked.kind == "path");
        let Some(path) = path.filter(|path| !path.starts_with('/')) else { return Some(0) };
        if depth > MAX_DEPTH {
            return None;
        }
        let parent = node.parent.as_deref().unwrap_or_default();
        let below = match parent.is_empty() {
            true => 0,
            false => self.inside(self.at(parent)?, depth + 1)?,
        };
        path.split('/').try_fold(below, |below, part| match part {
            "" | "." => Some(below),
            ".." => below.checked_sub(1),
            _ => Some(below + 1),
        })
    }

    /// The node that `path` leads to, input by input.
    fn at(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(self.nodes.get(&self.root)?, |node, name| {
            self.nodes.get(node.inputs.get(name)?.as_str()?)
        })
    }
}

/// The one field that every version of the file has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
struct File {
    root: String,
    nodes: BTreeMap<String, Node>,
}

/// An input, or the flake itself. Versions of Nix add fields, so more may be there.
#[derive(Clone, Debug, Deserialize)]
struct Node {
    /// The name of a node, or the path to another input that it follows.
    #[serde(default)]
    inputs: BTreeMap<String, Value>,
    locked: Option<Locked>,
    original: Option<Value>,
    parent: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Locked {
    #[serde(rename = "type")]
    kind: String,
    path: Option<String>,
    url: Option<String>,
    #[serde(rename = "narHash")]
    hash: Option<String>,
}

fn is_hash(text: &str) -> bool {
    let bytes = text.strip_prefix("sha256-").map(|text| BASE64.decode(text.as_bytes()));
    bytes.is_some_and(|bytes| bytes.is_ok_and(|bytes| bytes.len() == 32))
}

/// A name as it can be told, whatever is in it.
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

/// Why a host cannot use a lock file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Too long to be one.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    /// Not as Nix writes it.
    #[error("it is no lock file of Nix's: see line {line}")]
    Malformed {
        /// Where, counted from 1.
        line: usize,
    },
    /// Nix would not read it.
    #[error("it has version {version}; Nix reads {} to {}", VERSIONS.start(), VERSIONS.end())]
    Version {
        /// What it says.
        version: u64,
    },
    /// A name that leads nowhere.
    #[error("it has no node for the input `{input}`")]
    Missing {
        /// The name of the node.
        input: String,
    },
    /// Nobody says what it is.
    #[error("the input `{input}` is not locked")]
    NotLocked {
        /// The name of the node.
        input: String,
    },
    /// It may become something else.
    #[error("the input `{input}` is locked without a `narHash`")]
    NoHash {
        /// The name of the node.
        input: String,
    },
    /// A directory of one machine.
    #[error("the input `{input}` is a path outside of the flake, which no host has")]
    Outside {
        /// The name of the node.
        input: String,
    },
    /// A directory of the flake, as Nix before 2.26 locks it.
    #[error("the input `{input}` is a path that Nix before 2.26 locked, which hosts do not find")]
    NoParent {
        /// The name of the node.
        input: String,
    },
    /// A repository or file of one machine.
    #[error("the input `{input}` lies on this machine alone (`file:`), where no host can fetch it")]
    Here {
        /// The name of the node.
        input: String,
    },
    /// Whatever a registry says.
    #[error("the input `{input}` is locked to a name of a registry, which hosts do not look at")]
    Indirect {
        /// The name of the node.
        input: String,
    },
}

impl Fault {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Malformed { .. } | Self::Version { .. } => {
                "write it anew with `nix flake lock`, of a Nix that hosts have"
            }
            Self::Missing { .. } | Self::NotLocked { .. } | Self::NoHash { .. } => {
                "lock it, and commit flake.lock: nix flake lock"
            }
            Self::Outside { .. } => {
                "move it into the flake's directory, or name a repository that hosts can fetch"
            }
            Self::NoParent { .. } => {
                "make it no input (`import ./DIRECTORY`); or lock it by Nix 2.26, if hosts have that"
            }
            Self::Here { .. } => "name a URL that hosts can fetch, then: nix flake lock",
            Self::Indirect { .. } => {
                "say in flake.nix where it lies (`inputs.NAME.url`), then: nix flake lock"
            }
        }
    }

    /// The node that it is about, as the file names it; nothing where it is the whole file.
    pub fn input(&self) -> Option<&str> {
        match self {
            Self::TooLong | Self::Malformed { .. } | Self::Version { .. } => None,
            Self::Missing { input }
            | Self::NotLocked { input }
            | Self::NoHash { input }
            | Self::Outside { input }
            | Self::NoParent { input }
            | Self::Here { input }
            | Self::Indirect { input } => Some(input),
        }
    }
}

#[cfg(test)]
#[path = "flake_tests.rs"]
mod tests;
