//! `hosts/<role>/host.toml`: what floe must know of a role beside its Nix code.
//!
//! ```toml
//! system = "x86_64-linux"
//! entry = "configuration.nix"      # relative to hosts/<role>/; this is the default
//!
//! [health]
//! soak = "10s"                     # for how long all checks must hold
//!
//! [[health.checks]]                # each one of unit, http, tcp, command (which runs as nobody)
//! http = "http://127.0.0.1:80/"
//! status = 200
//! timeout = "5s"
//!
//! [activation]
//! probation = "90s"                # from the switch to the verdict; then the host goes back
//! ignore_units = []
//! reboot = "if-needed"             # never (the default), if-needed, always
//! reboot_window = "02:00-04:30"    # UTC; at any time where it is not said
//!
//! [files."configuration.nix"]      # relative to hosts/<role>/
//! template = true                  # rendered with the vault's variables; ends in the Nix store
//! ```
//!
//! `[secrets]` is in [`super::secrets`].

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use floe_proto::manifest::{self, Activation, Check, Entry, Health, Mode, Probe};
use floe_proto::payload;
use floe_proto::reboot::{Policy, Reboot};
use serde::Deserialize;

use super::duration::Span;
use super::error::Error;
use super::secrets::{self, RawSecret, SecretEntry};
use super::toml_file;

/// Its name.
pub const FILE: &str = "host.toml";

/// What `host.toml` says, in the words of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// The Nix system of the role's hosts.
    pub system: String,
    /// The file that is `nixos-config`, relative to the payload.
    pub entry: Entry,
    /// How hosts are switched.
    pub activation: Activation,
    /// What a healthy host looks like.
    pub health: Health,
    /// What hosts get that no bundle carries, in the order of names.
    pub secrets: Vec<SecretEntry>,
    /// The files that are templates, relative to `hosts/<role>/`.
    pub templates: Vec<PathBuf>,
}

impl HostFile {
    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&toml_file::text(path)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let raw: Raw = toml_file::parse(text, path)?;
        let mut faults = Faults::default();
        if !manifest::is_system(&raw.system) {
            faults
                .add("system", format!("`{}` is no Nix system such as `x86_64-linux`", raw.system));
        }
        let entry = Entry::try_from(format!("{}/{}", payload::ROLE, raw.entry))
            .map_err(|_| format!("`{}` is no relative path inside the role", raw.entry));
        let entry = faults.take("entry", entry);
        let deadline = faults.seconds("activation.probation", &raw.activation.probation, 86_400);
        // To hold once may be enough; elsewhere no time at all makes no sense.
        let soak = match raw.health.soak.as_str() {
            "0s" => 0,
            soak => faults.seconds("health.soak", soak, 86_400),
        };
        if soak >= deadline {
            faults.add("health.soak", "it is not shorter than activation.probation".into());
        }
        for unit in raw.activation.ignore_units.iter().filter(|unit| !manifest::is_unit(unit)) {
            faults
                .add("activation.ignore_units", format!("`{unit}` is no unit such as `x.service`"));
        }
        let reboot = reboot(&raw.activation, &mut faults);
        if raw.health.checks.len() > 64 {
            faults.add("health.checks", "there are more than 64".into());
        }
        let checks = raw.health.checks.into_iter().enumerate();
        let checks: Vec<Check> =
            checks.filter_map(|(at, raw)| check(at + 1, raw, deadline, &mut faults)).collect();
        let secrets = secrets::secrets(raw.secrets, &mut faults);
        for path in raw.files.keys().filter(|path| !is_inside(path)) {
            faults
                .add("files", format!("`{}` is no relative path inside the role", path.display()));
        }
        let templates = raw.files.into_iter().filter(|(_, file)| file.template);
        let templates = templates.map(|(path, _)| path).collect();
        match entry {
            Some(entry) if faults.0.is_empty() => Ok(Self {
                system: raw.system,
                entry,
                activation: Activation {
                    mode: Mode::TestThenCommit,
                    deadline_seconds: deadline,
                    ignore_units: raw.activation.ignore_units,
                    reboot,
                },
                health: Health { soak_seconds: soak, checks },
                secrets,
                templates,
            }),
            Some(_) | None => Err(toml_file::wrong(path, faults.0)),
        }
    }
}

/// When hosts are rebooted; what is wrong with it goes to `faults`.
fn reboot(raw: &RawActivation, faults: &mut Faults) -> Reboot {
    let policy = raw.reboot.as_ref().map(|text| text.parse());
    let policy = policy.and_then(|policy| faults.take("activation.reboot", policy));
    let window = raw.reboot_window.as_ref().map(|text| text.parse());
    let window = window.and_then(|window| faults.take("activation.reboot_window", window));
    let policy = policy.unwrap_or_default();
    if policy == Policy::Never && raw.reboot_window.is_some() {
        let fault = "hosts of this role never reboot; say `reboot = \"if-needed\"` as well";
        faults.add("activation.reboot_window", fault.into());
    }
    Reboot { policy, window }
}

/// The `number`th check, if nothing is wrong with it.
fn check(number: usize, raw: RawCheck, deadline: u32, faults: &mut Faults) -> Option<Check> {
    let name = format!("health.checks #{number}");
    let known = faults.0.len();
    let timeout_seconds = faults.seconds(&name, &raw.timeout, deadline);
    if raw.status.is_some() && raw.http.is_none() {
        faults.add(&name, "`status` says nothing without `http`".into());
    }
    let probe = match (raw.unit, raw.http, raw.tcp, raw.command) {
        (Some(unit), None, None, None) => {
            if !manifest::is_unit(&unit) {
                faults.add(&name, format!("`{unit}` is no unit such as `nginx.service`"));
            }
            Some(Probe::Unit { name: unit })
        }
        (None, Some(url), None, None) => {
            let sound = url.parse::<hyper::Uri>().is_ok_and(|uri| {
                uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty())
            });
            if !sound {
                faults.add(&name, format!("`{url}` is no URL such as `http://127.0.0.1:80/`"));
            }
            let status = raw.status.unwrap_or(200);
            if !(100..=599).contains(&status) {
                faults.add(&name, format!("{status} is no HTTP status"));
            }
            Some(Probe::Http { url, status })
        }
        (None, None, Some(address), None) => {
            let parsed = address.parse().ok().filter(|a: &std::net::SocketAddr| a.port() != 0);
            if parsed.is_none() {
                faults.add(&name, format!("`{address}` is no address such as `127.0.0.1:22`"));
            }
            parsed.map(|address| Probe::Tcp { address })
        }
        (None, None, None, Some(argv)) => {
            if !argv.first().is_some_and(|program| program.starts_with('/')) {
                faults.add(&name, "`command` must begin with an absolute path".into());
            }
            Some(Probe::Command { argv })
        }
        _ => {
            faults.add(&name, "it must have exactly one of unit, http, tcp, command".into());
            None
        }
    };
    probe.filter(|_| faults.0.len() == known).map(|probe| Check { probe, timeout_seconds })
}

/// What is wrong, collected, so that the operator hears of everything at once.
#[derive(Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn add(&mut self, name: &str, fault: String) {
        self.0.push(format!("{name}: {fault}"));
    }

    pub(super) fn take<T>(
        &mut self,
        name: &str,
        result: Result<T, impl std::fmt::Display>,
    ) -> Option<T> {
        result.map_err(|error| self.add(name, error.to_string())).ok()
    }

    /// The seconds of `text`, of which there are at most `most`; anything else is a fault.
    fn seconds(&mut self, name: &str, text: &str, most: u32) -> u32 {
        let Some(span) = self.take(name, text.parse::<Span>()) else { return 1 };
        match span.whole_seconds() {
            Some(seconds) if (1..=most).contains(&seconds) => seconds,
            Some(_) => {
                self.add(name, format!("`{text}` is more than {}", Span::seconds(most.into())));
                1
            }
            None => {
                self.add(name, format!("`{text}` is not in whole seconds"));
                1
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    system: String,
    #[serde(default = "default_entry")]
    entry: String,
    #[serde(default)]
    health: RawHealth,
    #[serde(default)]
    activation: RawActivation,
    #[serde(default)]
    secrets: BTreeMap<String, RawSecret>,
    #[serde(default)]
    files: BTreeMap<PathBuf, RawFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    template: bool,
}

fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

fn default_entry() -> String {
    "configuration.nix".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHealth {
    soak: String,
    checks: Vec<RawCheck>,
}

impl Default for RawHealth {
    fn default() -> Self {
        Self { soak: "10s".into(), checks: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCheck {
    unit: Option<String>,
    http: Option<String>,
    status: Option<u16>,
    tcp: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default = "default_timeout")]
    timeout: String,
}

fn default_timeout() -> String {
    "5s".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawActivation {
    probation: String,
    ignore_units: Vec<String>,
    reboot: Option<String>,
    reboot_window: Option<String>,
}

impl Default for RawActivation {
    fn default() -> Self {
        Self {
            probation: "90s".into(),
            ignore_units: Vec::new(),
            reboot: None,
            reboot_window: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HostFile, String> {
        HostFile::parse(text, Path::new("host.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_soak_time_may_be_zero_and_a_deadline_may_not() {
        assert!(parse("system = 'x86_64-linux'\n[health]\nsoak = '0s'").is_ok());
        assert!(parse("system = 'x86_64-linux'\n[activation]\nprobation = '0s'").is_err());
    }

    #[test]
    fn the_least_that_must_be_said_is_the_system() {
        let file = parse("system = 'aarch64-linux'").unwrap();
        assert_eq!(file.entry.as_path(), Path::new("role/configuration.nix"));
        assert_eq!(file.activation.deadline_seconds, 90);
        assert_eq!(file.health, Health { soak_seconds: 10, checks: Vec::new() });
    }

    #[test]
    fn when_hosts_reboot_is_said_or_never() {
        let with = |text: &str| parse(&format!("system = 'x86_64-linux'\n[activation]\n{text}"));
        assert!(with("").unwrap().activation.reboot.is_never());
        let reboot = with("reboot = 'if-needed'\nreboot_window = '23:00-01:00'").unwrap();
        assert_eq!(reboot.activation.reboot.policy, Policy::IfNeeded);
        assert_eq!(reboot.activation.reboot.window.unwrap().to_string(), "23:00-01:00");
        assert!(with("reboot = 'sometimes'").unwrap_err().contains("`if-needed`"));
        assert!(with("reboot_window = '23:00-01:00'").unwrap_err().contains("never reboot"));
        assert!(with("reboot = 'always'\nreboot_window = '23-1'").unwrap_err().contains("02:00"));
    }

    #[test]
    fn each_kind_of_check_can_be_said() {
        let file = parse(
            "system = 'x86_64-linux'
             [[health.checks]]
             unit = 'nginx.service'
             [[health.checks]]
             http = 'http://127.0.0.1:80/'
             status = 204
             timeout = '2s'
             [[health.checks]]
             tcp = '127.0.0.1:22'
             [[health.checks]]
             command = ['/bin/true', '-x']",
        )
        .unwrap();
        let shown: Vec<_> = file.health.checks.iter().map(|c| c.probe.to_string()).collect();
        assert_eq!(
            shown,
            [
                "unit nginx.service",
                "http http://127.0.0.1:80/ = 204",
                "tcp 127.0.0.1:22",
                "command /bin/true -x"
            ]
        );
        assert_eq!(file.health.checks[1].timeout_seconds, 2);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let error = parse(
            "system = 'x86'
             entry = '../x.nix'
             [health]
             soak = '2m'
             [[health.checks]]
             unit = '--now'
             [[health.checks]]
             tcp = '127.0.0.1'
             http = 'http://x/'
             [[health.checks]]
             http = 'https://x/'
             status = 99
             timeout = '91s'
             [[health.checks]]
             command = ['true']
             [activation]
             ignore_units = ['x']",
        )
        .unwrap_err();
        insta::assert_snapshot!(error.replace("; ", "\n"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse("system = 'x86_64-linux'\n[healt]").unwrap_err().contains("line 2"));
        assert!(parse("").unwrap_err().contains("missing field `system`"));
    }
}
