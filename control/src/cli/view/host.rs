//! Hosts: all of them, and one with what it did.

use std::fmt::Write as _;

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::{ActivationView, some, time};
use super::{Page, View, ago, table};

/// `floe hosts`: `{hosts: […]}`, by id.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostsView {
    pub(crate) hosts: Vec<HostView>,
    /// The only role that was asked for.
    #[serde(skip)]
    pub(crate) of: Option<String>,
}

/// One host.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostView {
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) online: bool,
    /// When it was last heard of; `null` if never since it enrolled.
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) enrolled: Option<Timestamp>,
    pub(crate) agent_version: Option<String>,
    pub(crate) system: Option<String>,
    /// The highest manifest that it has confirmed; `null` before the first.
    pub(crate) epoch: Option<u64>,
    pub(crate) serial: Option<u64>,
    /// What it should run; `null` where nothing was assigned.
    pub(crate) assigned_serial: Option<u64>,
    /// The toplevel that runs, as the host said last.
    pub(crate) running: Option<String>,
    /// When its certificate expires.
    pub(crate) certificate_expires: Option<Timestamp>,
    /// When it was revoked, and why; `null` for no.
    pub(crate) revoked: Option<Timestamp>,
    pub(crate) revoked_reason: Option<String>,
    /// Since when two machines seem to have its identity, and how that was seen; `null`
    /// for no. Such a host is told nothing.
    pub(crate) conflict: Option<Timestamp>,
    pub(crate) conflict_reason: Option<String>,
    /// Since when it begins nothing new, and why; `null` for no.
    pub(crate) suspended: Option<Timestamp>,
    pub(crate) suspended_reason: Option<String>,
    /// Since when it waits, as a machine that was in use before, until an operator has seen what
    /// would change; `null` for no. It is told nothing until then.
    pub(crate) adopted: Option<Timestamp>,
    /// The latest; `null` before the first.
    pub(crate) activation: Option<ActivationView>,
}

/// `floe hosts show`: `{host, activations}`, newest first.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostDetailView {
    pub(crate) host: HostView,
    pub(crate) activations: Vec<ActivationView>,
}

impl From<pb::Host> for HostView {
    fn from(host: pb::Host) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            id: host.id,
            role: host.role,
            online: host.online,
            last_seen: time(host.last_seen),
            enrolled: time(host.enrolled),
            agent_version: text(host.agent_version),
            system: text(host.system),
            epoch: some(host.serial).map(|_| host.epoch),
            serial: some(host.serial),
            assigned_serial: some(host.assigned_serial),
            running: text(host.running),
            certificate_expires: time(host.certificate_expires),
            revoked: time(host.revoked),
            revoked_reason: text(host.revoked_reason),
            conflict: time(host.conflict),
            conflict_reason: text(host.conflict_reason),
            suspended: time(host.suspended),
            suspended_reason: text(host.suspended_reason),
            adopted: time(host.adopted),
            activation: host.activation.map(ActivationView::from),
        }
    }
}

impl View for HostsView {
    fn text(&self, page: Page) -> String {
        let now = page.now;
        if self.hosts.is_empty() {
            let of = self.of.as_ref().map(|role| format!(" of role {role}")).unwrap_or_default();
            let role = self.of.as_deref().unwrap_or("ROLE");
            return format!(
                "no hosts{of} yet; `floe hosts token {role}` makes the token that a host joins with\n"
            );
        }
        let rows = self.hosts.iter().map(|host| {
            [
                host.id.clone(),
                host.role.clone(),
                host.presence(now),
                number(host.serial),
                host.activation.as_ref().map_or_else(|| "-".into(), ActivationView::standing),
                host.activation.as_ref().map(first_line).unwrap_or_default(),
            ]
        });
        table(page, ["HOST", "ROLE", "PRESENCE", "CONFIRMED", "LATEST", "REASON"], rows)
    }
}

impl View for HostDetailView {
    fn text(&self, page: Page) -> String {
        let now = page.now;
        let host = &self.host;
        let unknown = || "unknown".to_owned();
        let facts = [
            ("host", host.id.clone()),
            ("role", host.role.clone()),
            ("presence", host.presence(now)),
            ("enrolled", ago(now, host.enrolled)),
            ("expires", host.expires(now)),
            ("agent", host.agent_version.clone().unwrap_or_else(unknown)),
            ("system", host.system.clone().unwrap_or_else(unknown)),
            ("confirmed", number(host.serial)),
            ("assigned", number(host.assigned_serial)),
            ("running", host.running.clone().unwrap_or_else(unknown)),
        ];
        let mut text = String::new();
        let trouble = [
            ("revoked", &host.revoked_reason),
            ("conflict", &host.conflict_reason),
            ("suspended", &host.suspended_reason),
        ];
        let trouble = trouble.into_iter().filter_map(|(name, why)| Some((name, why.clone()?)));
        for (name, fact) in facts.into_iter().chain(trouble) {
            let _ = writeln!(text, "{name:<11}{fact}");
        }
        if self.activations.is_empty() {
            return text;
        }
        let rows = self.activations.iter().map(|activation| {
            [
                activation.serial.to_string(),
                activation.standing(),
                ago(now, activation.started),
                activation.build_ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms")),
                activation.id.clone(),
                first_line(activation),
            ]
        });
        text.push('\n');
        text + &table(page, ["SERIAL", "OUTCOME", "STARTED", "NIX", "ACTIVATION", "REASON"], rows)
    }
}

impl HostView {
    /// When its certificate expires, or for how long it has been.
    fn expires(&self, now: Timestamp) -> String {
        match self.certificate_expires {
            Some(at) if at <= now => format!("{} (expired)", ago(now, Some(at))),
            Some(at) => at.to_string(),
            None => "unknown".into(),
        }
    }

    fn presence(&self, now: Timestamp) -> String {
        let seen = self.seen(now);
        match (self.revoked, self.conflict) {
            (Some(at), _) => format!("revoked {}", ago(now, Some(at))),
            (None, Some(_)) => format!("TWO MACHINES, {seen}"),
            (None, None) if self.adopted.is_some() => format!("to be taken over, {seen}"),
            (None, None) if self.suspended.is_some() => format!("suspended, {seen}"),
            (None, None) => seen,
        }
    }

    fn seen(&self, now: Timestamp) -> String {
        if self.last_seen.is_none() && !self.online {
            "never seen".into()
        } else if self.online {
            "online".into()
        } else {
            format!("offline, seen {}", ago(now, self.last_seen))
        }
    }
}

fn number(serial: Option<u64>) -> String {
    serial.map_or_else(|| "-".into(), |serial| serial.to_string())
}

/// A reason may have many lines; a table has room for one.
fn first_line(activation: &ActivationView) -> String {
    activation.reason.lines().next().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_380_000_000_000);

    fn before(seconds: i64) -> i64 {
        NOW.as_micros() - seconds * 1_000_000
    }

    fn activation(outcome: pb::Outcome) -> pb::Activation {
        pb::Activation {
            id: "a-1".into(),
            epoch: 0,
            serial: 2,
            phase: pb::Phase::Reporting.into(),
            outcome: outcome.into(),
            reason: "unit nginx.service failed\nand more".into(),
            started: before(90),
            ended: before(30),
            unchanged: false,
            build_ms: 4200,
        }
    }

    fn host() -> pb::Host {
        pb::Host {
            id: "local-www-1".into(),
            role: "www.fossable.org".into(),
            online: true,
            last_seen: before(3),
            agent_version: "0.1.0".into(),
            system: "x86_64-linux".into(),
            epoch: 0,
            serial: 1,
            running: "/nix/store/abc-nixos-system".into(),
            assigned_serial: 2,
            activation: Some(activation(pb::Outcome::RolledBack)),
            enrolled: before(7200),
            certificate_expires: before(-3600),
            ..pb::Host::default()
        }
    }

    fn hosts() -> HostsView {
        let new = pb::Host {
            id: "local-www-2".into(),
            role: "www.fossable.org".into(),
            enrolled: before(10),
            ..pb::Host::default()
        };
        HostsView { hosts: vec![host().into(), new.into()], of: None }
    }

    #[test]
    fn the_table_of_hosts() {
        insta::assert_snapshot!(hosts().text(Page::endless(NOW)));
    }

    #[test]
    fn that_there_are_none_of_a_role_is_not_that_there_are_none() {
        let view = HostsView { hosts: Vec::new(), of: Some("db".into()) };
        assert!(view.text(Page::endless(NOW)).starts_with("no hosts of role db yet; "));
    }

    #[test]
    fn the_json_of_hosts() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&hosts()).unwrap());
    }

    #[test]
    fn what_is_wrong_with_an_identity_is_said_first() {
        let revoked = pb::Host { revoked: before(60), revoked_reason: "stolen".into(), ..host() };
        let cloned = pb::Host { conflict: before(60), conflict_reason: "x".into(), ..host() };
        let shown = |host: pb::Host| HostView::from(host).presence(NOW);
        assert!(shown(revoked.clone()).starts_with("revoked "), "{}", shown(revoked));
        let asleep = pb::Host { suspended: before(60), ..host() };
        assert_eq!(shown(asleep), "suspended, online");
        assert!(shown(cloned.clone()).starts_with("TWO MACHINES, online"), "{}", shown(cloned));
    }

    #[test]
    fn one_host_and_what_it_did() {
        let mut running = activation(pb::Outcome::Unspecified);
        running.phase = pb::Phase::Building.into();
        (running.ended, running.build_ms, running.reason) = (0, 0, String::new());
        let detail = HostDetailView {
            host: host().into(),
            activations: vec![running.into(), activation(pb::Outcome::Confirmed).into()],
        };
        insta::assert_snapshot!(detail.text(Page::endless(NOW)));
        insta::assert_snapshot!(serde_json::to_string_pretty(&detail.activations).unwrap());
    }
}
