//! `[secrets]` of `host.toml`: what hosts of a role get that no bundle carries.
//!
//! ```toml
//! [secrets.root-password]          # /run/floe/secrets/root-password on the hosts
//! value = "{{ hosts.www.users.root.password | password_hash }}"   # of the vault's variables; or
//! age = "secrets/tls.key.age"      # a file of the repository that age encrypted
//! owner = "root"                   # these three are the defaults
//! group = "root"
//! mode = "0400"
//! restart = ["website.service"]    # units that are restarted where it changes
//! reload = []                      # units that are reloaded
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use floe_proto::secret::{Mode, Name, Units};
use serde::Deserialize;

use super::activation::unit_fault;
use super::fault::Faults;
use super::host::is_inside;

/// A secret of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// The file below `/run/floe/secrets`.
    pub name: Name,
    /// Where its value comes from.
    pub source: SecretSource,
    /// The user and the group who own it there.
    pub owner: String,
    /// The group.
    pub group: String,
    /// Its permissions.
    pub mode: Mode,
    /// What is told on the host when it changes.
    pub units: Units,
}

/// Where a secret's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A template over the variables of the vault.
    Value(String),
    /// A file that age encrypted, relative to the repository.
    Age(PathBuf),
}

/// The secrets that `raw` says; what is wrong goes to `faults`.
pub(super) fn secrets(raw: BTreeMap<String, RawSecret>, faults: &mut Faults) -> Vec<SecretEntry> {
    raw.into_iter().filter_map(|(name, raw)| secret(&name, raw, faults)).collect()
}

fn secret(name: &str, raw: RawSecret, faults: &mut Faults) -> Option<SecretEntry> {
    let place = format!("secrets.{name}");
    let known = faults.len();
    let name = faults.take(&place, name.parse::<Name>());
    let mode = faults.take(&format!("{place}.mode"), raw.mode.parse::<Mode>());
    for (key, user) in [("owner", &raw.owner), ("group", &raw.group)] {
        if !floe_proto::secret::is_user(user) {
            faults.add(&format!("{place}.{key}"), format!("`{user}` is no name of a {key}"));
        }
    }
    let units = Units { restart: raw.restart, reload: raw.reload };
    for (key, units) in [("restart", &units.restart), ("reload", &units.reload)] {
        for (at, unit) in units.iter().enumerate() {
            let entry = format!("{place}.{key} #{}", at + 1);
            if !floe_proto::manifest::is_unit(unit) {
                unit_fault(&entry, unit, faults);
            } else if !floe_proto::secret::can_be_told(unit) {
                faults.add(&entry, format!("`{unit}` is floe's own, and not told of secrets"));
            }
        }
    }
    let source = match (raw.value, raw.age) {
        (Some(value), None) if value.contains("{{") => Some(SecretSource::Value(value)),
        (Some(_), None) => {
            let fault = "it is in the clear; put it into the vault, and name it: `{{ NAME }}`";
            faults.add(&format!("{place}.value"), fault.into());
            None
        }
        (None, Some(path)) if is_inside(&path) => Some(SecretSource::Age(path)),
        (None, Some(path)) => {
            let fault = format!("`{}` is no relative path in the repository", path.display());
            faults.add(&format!("{place}.age"), fault);
            None
        }
        (None, None) | (Some(_), Some(_)) => {
            faults.add(&place, "it must have exactly one of value, age".into());
            None
        }
    };
    let (name, mode, source) = (name?, mode?, source?);
    let entry = SecretEntry { name, source, owner: raw.owner, group: raw.group, mode, units };
    (faults.len() == known).then_some(entry)
}

/// One table of `[secrets]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    value: Option<String>,
    age: Option<PathBuf>,
    #[serde(default = "root")]
    owner: String,
    #[serde(default = "root")]
    group: String,
    #[serde(default = "owner_reads")]
    mode: String,
    #[serde(default)]
    restart: Vec<String>,
    #[serde(default)]
    reload: Vec<String>,
}

fn root() -> String {
    "root".into()
}

fn owner_reads() -> String {
    "0400".into()
}
