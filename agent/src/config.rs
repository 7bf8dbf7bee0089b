//! `agent.toml`: what this machine was told about itself.
//!
//! Plain data, checked once; every fault of a file is in one report. The only file
//! that reads configuration. The fleet and the role are pinned here, on the machine:
//! the control plane never teaches them. Whether the files that are named here exist
//! is not looked at, since `check-config` also runs where the system is built.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use floe_proto::id::{Fleet, Role};
use floe_proto::manifest::is_system;
use toml::{Table, Value};

/// Where the NixOS module puts it.
pub const DEFAULT_PATH: &str = "/etc/floe/agent.toml";

/// What `agent.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The fleet whose trust root governs this machine. Required.
    pub fleet: Fleet,

    /// The one role whose bundles may run here. Required.
    pub role: Role,

    /// Where the control plane listens for agents: `https://NAME[:PORT]`. Required.
    pub control_plane: String,

    /// PEM file with the CA that the control plane's certificate must come from.
    /// Default: `/etc/floe/ca.pem`.
    pub ca: PathBuf,

    /// The trust root that this machine starts from. Default: `/etc/floe/trust.json`.
    pub trust_root: PathBuf,

    /// How this machine proves who it is when it enrols: `token`, with a `join.toml`
    /// that somebody put into the state directory, or `aws-iid`, with what EC2 signed
    /// about it. Default: `token`.
    pub attestation: Attestation,

    /// Identity, journal, floors and payloads. Default: `/var/lib/floe`.
    pub state_directory: PathBuf,

    /// The program that builds a system. Default: `nixos-rebuild`, found in PATH.
    pub nixos_rebuild: String,

    /// The Nix system of this machine, such as `aarch64-linux`. Default: what
    /// `/run/current-system/system` says.
    pub system: Option<String>,

    /// Memory that evaluation and build may use, as systemd's `MemoryMax=` takes it:
    /// bytes with an optional K, M, G or T, a percentage, or `infinity`. Default: `75%`.
    pub build_memory_max: String,

    /// How long evaluation and build may take, such as `90m`. Default: `1h`.
    pub build_timeout: Duration,

    /// Bytes that must be free in the store before a system is built. Default: 1 GiB.
    pub min_free_bytes: u64,

    /// Bytes of memory that must be available before a system is built. Default: 64 MiB.
    pub min_free_memory: u64,

    /// How many of the newest generations `floe-agent gc` leaves, whatever their age. Those
    /// that the machine needs stay in any case. Default: 5.
    pub gc_keep: u32,

    /// How old a generation must be for `floe-agent gc` to delete it, such as `14d`.
    /// Default: `30d`.
    pub gc_older_than: Duration,
}

/// How a machine proves who it is when it enrols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attestation {
    /// By a token that an operator made for it.
    #[default]
    Token,
    /// By EC2's instance identity document.
    AwsIid,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] and [`Error::Syntax`] for what is no TOML file,
    /// [`Error::Invalid`] with every fault for the rest.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = path.to_owned();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(source) => return Err(Error::Unreadable { file, source }),
        };
        let table = match text.parse::<Table>() {
            Ok(table) => table,
            Err(source) => return Err(Error::Syntax { file, source }),
        };
        Self::from_table(table).map_err(|faults| Error::Invalid { file, faults: Faults(faults) })
    }

    fn from_table(table: Table) -> Result<Self, Vec<String>> {
        let mut reader = Reader { table, faults: Vec::new() };
        let fleet = reader.required("fleet", parsed::<Fleet>);
        let role = reader.required("role", parsed::<Role>);
        let control_plane = reader.required("control_plane", control_plane);
        let ca = reader.optional("ca", absolute);
        let trust_root = reader.optional("trust_root", absolute);
        let attestation = reader.optional("attestation", attestation);
        let state_directory = reader.optional("state_directory", absolute);
        let nixos_rebuild = reader.optional("nixos_rebuild", program);
        let system = reader.optional("system", system);
        let build_memory_max = reader.optional("build_memory_max", memory);
        let build_timeout = reader.optional("build_timeout", duration);
        let min_free_bytes = reader.optional("min_free_bytes", bytes);
        let min_free_memory = reader.optional("min_free_memory", bytes);
        let gc_keep = reader.optional("gc_keep", count);
        let gc_older_than = reader.optional("gc_older_than", age);

        let faults = reader.finish();
        let (Some(fleet), Some(role), Some(control_plane), []) =
            (fleet, role, control_plane, faults.as_slice())
        else {
            return Err(faults);
        };
        Ok(Self {
            fleet,
            role,
            control_plane,
            ca: ca.unwrap_or_else(|| "/etc/floe/ca.pem".into()),
            trust_root: trust_root.unwrap_or_else(|| "/etc/floe/trust.json".into()),
            attestation: attestation.unwrap_or_default(),
            state_directory: state_directory.unwrap_or_else(|| "/var/lib/floe".into()),
            nixos_rebuild: nixos_rebuild.unwrap_or_else(|| "nixos-rebuild".into()),
            system,
            build_memory_max: build_memory_max.unwrap_or_else(|| "75%".into()),
            build_timeout: build_timeout.unwrap_or(Duration::from_secs(60 * 60)),
            min_free_bytes: min_free_bytes.unwrap_or(1 << 30),
            min_free_memory: min_free_memory.unwrap_or(64 << 20),
            gc_keep: gc_keep.unwrap_or(5),
            gc_older_than: gc_older_than.unwrap_or(Duration::from_secs(30 * 86_400)),
        })
    }
}

/// PATH of this process, where the tools of NixOS are found.
pub fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// Takes one key after the other out of a table, and remembers what was wrong.
struct Reader {
    table: Table,
    faults: Vec<String>,
}

impl Reader {
    fn required<T>(&mut self, key: &str, check: fn(&Value) -> Result<T, String>) -> Option<T> {
        if !self.table.contains_key(key) {
            self.faults.push(format!("`{key}` is missing"));
        }
        self.optional(key, check)
    }

    fn optional<T>(&mut self, key: &str, check: fn(&Value) -> Result<T, String>) -> Option<T> {
        let value = self.table.remove(key)?;
        check(&value).map_err(|fault| self.faults.push(format!("`{key}`: {fault}"))).ok()
    }

    /// What nobody asked for is a fault too: it may be a misspelt limit.
    fn finish(mut self) -> Vec<String> {
        self.faults.extend(self.table.keys().map(|key| format!("`{key}` is no option")));
        self.faults
    }
}

fn text(value: &Value) -> Result<&str, String> {
    let kind = value.type_str();
    value.as_str().ok_or_else(|| format!("expected a text in quotes, found a value of type {kind}"))
}

fn parsed<T: FromStr<Err: fmt::Display>>(value: &Value) -> Result<T, String> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

fn control_plane(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let uri = text.parse::<http::Uri>().map_err(|error| format!("`{text}` is no URL: {error}"))?;
    if uri.scheme_str() != Some("https") {
        return Err(format!("`{text}` does not begin with `https://`; there is no other way in"));
    }
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if !bare || text.contains(['#', '@']) {
        return Err(format!("`{text}` has more than `https://NAME[:PORT]`"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn absolute(value: &Value) -> Result<PathBuf, String> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".to_owned()) }
}

fn attestation(value: &Value) -> Result<Attestation, String> {
    match text(value)? {
        "token" => Ok(Attestation::Token),
        "aws-iid" => Ok(Attestation::AwsIid),
        other => Err(format!("`{other}` is neither `token` nor `aws-iid`")),
    }
}

fn program(value: &Value) -> Result<String, String> {
    match text(value)? {
        name if name.starts_with('/') || (!name.is_empty() && !name.contains('/')) => {
            Ok(name.to_owned())
        }
        _ => Err("expected an absolute path, or a name that is looked up in PATH".to_owned()),
    }
}

fn system(value: &Value) -> Result<String, String> {
    match text(value)? {
        system if is_system(system) => Ok(system.to_owned()),
        other => Err(format!("`{other}` is no Nix system such as `x86_64-linux`")),
    }
}

/// systemd.resource-control(5), `MemoryMax=`.
fn memory(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let number = text.strip_suffix(['K', 'M', 'G', 'T', '%']).unwrap_or(text);
    let sound = text == "infinity"
        || (number.parse::<u64>().is_ok_and(|n| n > 0 && (n <= 100 || !text.ends_with('%'))));
    if sound {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no limit; expected such as `2G`, `75%` or `infinity`"))
    }
}

fn duration(value: &Value) -> Result<Duration, String> {
    let text = text(value)?;
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        Ok(_) => Err(format!("`{text}` is less than a second")),
        Err(error) => Err(format!("`{text}` is no duration such as `90m`: {error}")),
    }
}

fn bytes(value: &Value) -> Result<u64, String> {
    value
        .as_integer()
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| "expected a number of bytes".to_owned())
}

fn count(value: &Value) -> Result<u32, String> {
    value
        .as_integer()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| "expected a number of generations".to_owned())
}

fn age(value: &Value) -> Result<Duration, String> {
    let text = text(value)?;
    humantime::parse_duration(text)
        .map_err(|error| format!("`{text}` is no duration such as `30d`: {error}"))
}

/// What is wrong with a file, one fault a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("could not read the configuration `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration `{}` is no TOML", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where it stops being TOML.
        #[source]
        source: toml::de::Error,
    },
    /// The file says what makes no sense.
    #[error("the configuration `{}` cannot be used:{faults}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// All that is wrong with it.
        faults: Faults,
    },
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "name the file with `--config`; on NixOS `services.floe-agent` writes it"
            }
            Self::Syntax { .. } | Self::Invalid { .. } => {
                "correct the file (on NixOS the options of `services.floe-agent`), then run `floe-agent check-config`"
            }
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
