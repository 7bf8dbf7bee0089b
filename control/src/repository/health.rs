//! `[health]` of `host.toml`: what a healthy host looks like.
//!
//! ```toml
//! [health]
//! soak = "10s"                     # for how long all checks must hold
//!
//! [[health.checks]]                # each one of unit, http, tcp, command (which runs as nobody)
//! http = "http://127.0.0.1:80/"
//! status = 200
//! timeout = "5s"
//! ```

use floe_proto::manifest::{self, Check, Health, Probe};
use serde::Deserialize;

use super::activation::unit_fault;
use super::duration::{Span, SpanText};
use super::fault::Faults;

/// As it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHealth {
    soak: SpanText,
    checks: Vec<RawCheck>,
}

impl Default for RawHealth {
    fn default() -> Self {
        Self { soak: SpanText("10s".into()), checks: Vec::new() }
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
    timeout: SpanText,
}

fn default_timeout() -> SpanText {
    SpanText("5s".into())
}

impl RawHealth {
    /// All of it must fit into the `deadline`.
    pub(super) fn checked(self, deadline: u32, faults: &mut Faults) -> Health {
        // To hold once may be enough; elsewhere no time at all makes no sense.
        let soak = match self.soak.0.as_str() {
            "0s" => 0,
            soak => seconds("health.soak", soak, 86_400, faults),
        };
        if soak >= deadline {
            faults.add("health.soak", "it is not shorter than activation.probation".into());
        }
        if self.checks.len() > 64 {
            faults.add("health.checks", "there are more than 64".into());
        }
        let checks = self.checks.into_iter().enumerate();
        let checks = checks.filter_map(|(at, raw)| raw.checked(at + 1, deadline, faults)).collect();
        Health { soak_seconds: soak, checks }
    }
}

impl RawCheck {
    /// The `number`th check, if nothing is wrong with it.
    fn checked(self, number: usize, deadline: u32, faults: &mut Faults) -> Option<Check> {
        let name = format!("health.checks #{number}");
        let field = |field: &str| format!("{name}.{field}");
        let known = faults.len();
        let timeout_seconds = seconds(&field("timeout"), &self.timeout.0, deadline, faults);
        if self.status.is_some() && self.http.is_none() {
            faults.add(&field("status"), "it says nothing without `http`".into());
        }
        let probe = match (self.unit, self.http, self.tcp, self.command) {
            (Some(unit), None, None, None) => {
                if !manifest::is_unit(&unit) {
                    unit_fault(&field("unit"), &unit, faults);
                }
                Some(Probe::Unit { name: unit })
            }
            (None, Some(url), None, None) => {
                let sound = url.parse::<hyper::Uri>().is_ok_and(|uri| {
                    let has_host = uri.host().is_some_and(|host| !host.is_empty());
                    uri.scheme_str() == Some("http") && has_host
                });
                if !sound {
                    let fault = format!("`{url}` is no URL such as `http://127.0.0.1:80/`");
                    faults.add(&field("http"), fault);
                }
                let status = self.status.unwrap_or(200);
                if !(100..=599).contains(&status) {
                    faults.add(&field("status"), format!("{status} is no HTTP status"));
                }
                Some(Probe::Http { url, status })
            }
            (None, None, Some(address), None) => {
                let parsed = address.parse().ok().filter(|a: &std::net::SocketAddr| a.port() != 0);
                if parsed.is_none() {
                    let fault = format!("`{address}` is no address such as `127.0.0.1:22`");
                    faults.add(&field("tcp"), fault);
                }
                parsed.map(|address| Probe::Tcp { address })
            }
            (None, None, None, Some(argv)) => {
                if !argv.first().is_some_and(|program| program.starts_with('/')) {
                    let fault = "it must begin with an absolute path";
                    faults.add(&field("command"), fault.into());
                }
                Some(Probe::Command { argv })
            }
            _ => {
                faults.add(&name, "it must have exactly one of unit, http, tcp, command".into());
                None
            }
        };
        probe.filter(|_| faults.len() == known).map(|probe| Check { probe, timeout_seconds })
    }
}

/// The seconds of `text`, of which there are at most `most`; anything else is a fault.
pub(super) fn seconds(name: &str, text: &str, most: u32, faults: &mut Faults) -> u32 {
    let span = match text.parse::<Span>() {
        Ok(span) => span,
        Err(error) => {
            let number = text.trim();
            let bare = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let guess = bare.then(|| format!("did you mean `{number}s`?"));
            faults.advise(name, error.to_string(), guess);
            return 1;
        }
    };
    match span.whole_seconds() {
        Some(seconds) if (1..=most).contains(&seconds) => return seconds,
        Some(_) => {
            faults.add(name, format!("`{text}` is more than {}", Span::seconds(most.into())));
        }
        None => faults.add(name, format!("`{text}` is not in whole seconds")),
    }
    1
}
