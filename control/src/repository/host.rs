//! `hosts/<role>/host.toml`: what floe must know of a role beside its Nix code.
//!
//! ```toml
//! system = "x86_64-linux"
//! entry = "configuration.nix"      # relative to hosts/<role>/, or `flake`: super::code
//!
//! [files."configuration.nix"]      # relative to hosts/<role>/, or to the flake
//! template = true                  # rendered with the vault's variables; ends in the Nix store
//! ```
//!
//! | table | is in |
//! | --- | --- |
//! | `[health]` | [`super::health`] |
//! | `[activation]` | [`super::activation`] |
//! | `[rollout]` | [`super::rollout`] |
//! | `[secrets]` | [`super::secrets`] |
//! | `[image]` | [`super::image`] |
//! | `[stack]` | [`super::stack`] |

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use floe_proto::manifest::{self, Activation, Health};
use serde::Deserialize;

use super::activation::RawActivation;
use super::code::{self, Code};
use super::error::Error;
use super::fault::Faults;
use super::health::RawHealth;
use super::image::{ImageFile, RawImage};
use super::rollout::RawRollout;
use super::secrets::{self, RawSecret, SecretEntry, SecretSource};
use super::stack::{RawStack, StackFile};
use super::suggest::nearest;
use super::toml_file;

/// Its name.
pub const FILE: &str = "host.toml";

/// What `host.toml` says, in the words of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// The Nix system of the role's hosts.
    pub system: String,
    /// Where its Nix code is.
    pub code: Code,
    /// How hosts are switched.
    pub activation: Activation,
    /// What a healthy host looks like.
    pub health: Health,
    /// What hosts get that no bundle carries, in the order of names.
    pub secrets: Vec<SecretEntry>,
    /// The files of `[files]`, relative to `hosts/<role>/`, or to the flake.
    pub files: Vec<PathBuf>,
    /// Those of them that are templates.
    pub templates: Vec<PathBuf>,
    /// How the role's image is made, where it has one.
    pub image: Option<ImageFile>,
    /// The CloudFormation stack that boots it, where it has one.
    pub stack: Option<StackFile>,
}

impl HostFile {
    /// Whether values of the vault end in the Nix store of hosts. An image of such a role
    /// would carry them.
    pub fn has_templates(&self) -> bool {
        !self.templates.is_empty()
    }

    /// Whether anything of the role is made of the vault's variables.
    pub fn needs_vault(&self) -> bool {
        self.has_templates()
            || self.secrets.iter().any(|secret| match secret.source {
                SecretSource::Value(_) => true,
                SecretSource::Age(_) => false,
            })
    }

    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&toml_file::text(path)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let (raw, document): (Raw, _) = toml_file::parse(text, path)?;
        let mut faults = Faults::default();
        system_fault(&raw.system, &mut faults);
        let code = code::code(raw.entry, raw.flake.as_deref(), path, &mut faults);
        let activation = raw.activation.checked(&mut faults);
        let health = raw.health.checked(activation.deadline_seconds, &mut faults);
        raw.rollout.check(&mut faults);
        let secrets = secrets::secrets(raw.secrets, &mut faults);
        let image = raw.image.and_then(|image| image.checked(&mut faults));
        let stack = raw.stack.and_then(|stack| stack.checked(&mut faults));
        for path in raw.files.keys().filter(|path| !is_inside(path)) {
            let path = path.display();
            let fault = format!("`{path}` is no relative path inside the role");
            faults.add(&format!("files.{path}"), fault);
        }
        let templates = raw.files.iter().filter(|(_, file)| file.template);
        let templates = templates.map(|(path, _)| path.clone()).collect();
        let files = raw.files.into_keys().collect();
        match code {
            Some(code) if faults.is_empty() => Ok(Self {
                system: raw.system,
                code,
                activation,
                health,
                secrets,
                files,
                templates,
                image,
                stack,
            }),
            Some(_) | None => Err(document.wrong(path, faults)),
        }
    }
}

/// Systems that NixOS runs on, for guesses; another one is taken as it is.
const SYSTEMS: [&str; 6] = [
    "aarch64-linux",
    "x86_64-linux",
    "armv7l-linux",
    "i686-linux",
    "powerpc64le-linux",
    "riscv64-linux",
];

fn system_fault(system: &str, faults: &mut Faults) {
    if manifest::is_system(system) && system.ends_with("-linux") {
        return;
    }
    // As others call the two that EC2 has.
    let begins = |names: &[&str]| names.iter().any(|name| system.to_lowercase().starts_with(name));
    let known = match system {
        _ if begins(&["x86_64", "x86-64", "x86_linux", "x64", "amd64"]) => Some("x86_64-linux"),
        _ if begins(&["aarch", "arm64", "graviton"]) => Some("aarch64-linux"),
        _ => nearest(system, SYSTEMS),
    };
    let guess = match known {
        Some(known) => format!("did you mean `{known}`?"),
        None => "write `aarch64-linux` for Graviton, else `x86_64-linux`".into(),
    };
    faults.advise("system", format!("`{system}` is no Nix system of NixOS"), Some(guess));
}

/// Whether `path` leads to something below where it is said.
pub(super) fn is_inside(path: &Path) -> bool {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    plain && path.components().next().is_some()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    system: String,
    entry: Option<String>,
    flake: Option<String>,
    #[serde(default)]
    health: RawHealth,
    #[serde(default)]
    activation: RawActivation,
    #[serde(default)]
    rollout: RawRollout,
    #[serde(default)]
    secrets: BTreeMap<String, RawSecret>,
    #[serde(default)]
    files: BTreeMap<PathBuf, RawFile>,
    image: Option<RawImage>,
    stack: Option<RawStack>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    template: bool,
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
