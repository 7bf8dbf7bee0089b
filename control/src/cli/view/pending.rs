//! Machines that wait for an operator, and what was decided about one.

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::time;
use super::{Page, View, ago, printable, short};

/// `floe hosts pending`: `{pending: […]}`, those that asked last first.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PendingView {
    pub(crate) pending: Vec<PendingHostView>,
}

/// One machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PendingHostView {
    /// The id that it would have.
    pub(crate) host: String,
    /// SHA-256 of the key that it asks with.
    pub(crate) key: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) image: String,
    /// What its image gives; `null` where that is not on record.
    pub(crate) role: Option<String>,
    /// Why it does not enrol by itself.
    pub(crate) reasons: Vec<String>,
    /// Where it asked from last.
    pub(crate) address: String,
    pub(crate) asked: Option<Timestamp>,
}

/// `floe hosts approve` and `deny`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DecisionView {
    #[serde(flatten)]
    pub(crate) host: PendingHostView,
    /// `approved` or `denied`.
    pub(crate) decision: &'static str,
}

impl From<pb::PendingHost> for PendingHostView {
    fn from(host: pb::PendingHost) -> Self {
        Self {
            host: host.host,
            key: host.key,
            account: host.account,
            region: host.region,
            image: host.image,
            role: (!host.role.is_empty()).then_some(host.role),
            reasons: host.reasons,
            address: host.address,
            asked: time(host.asked),
        }
    }
}

impl View for PendingView {
    fn text(&self, page: Page) -> String {
        if self.pending.is_empty() {
            return "no machine waits for approval\n".to_owned();
        }
        let mut text = String::new();
        for host in &self.pending {
            let role = host.role.as_deref().unwrap_or("no role on record");
            text.push_str(&format!(
                "{}  {role}  key {}  {} from {}\n  {} in {} ({})\n",
                host.host,
                short(&host.key),
                ago(page.now, host.asked),
                host.address,
                host.image,
                host.account,
                host.region,
            ));
            for reason in &host.reasons {
                text.push_str(&format!("  - {reason}\n"));
            }
        }
        text.lines().map(|line| format!("{}\n", printable(line))).collect()
    }
}

impl View for DecisionView {
    fn text(&self, _: Page) -> String {
        let PendingHostView { host, key, role, .. } = &self.host;
        let text = match (self.decision, role) {
            ("approved", Some(role)) => format!(
                "`{host}` with the key {} may enrol as `{role}`, once, within a day",
                short(key)
            ),
            _ => format!("`{host}` with the key {} is refused until it is approved", short(key)),
        };
        printable(&text) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let host = PendingHostView::from(pb::PendingHost {
            host: "i-0123456789abcdef0".into(),
            key: "0123456789abcdef".repeat(4),
            account: "123456789012".into(),
            region: "eu-central-1".into(),
            image: "ami-0123456789abcdef0".into(),
            role: "www.fossable.org".into(),
            reasons: vec!["it enrolled already".into(), "it looks \u{1b}[31modd".into()],
            address: "192.0.2.7".into(),
            asked: at(1000).as_micros(),
        });
        let page = Page { now: at(1300), width: None };
        let approved = DecisionView { host: host.clone(), decision: "approved" };
        let view = PendingView { pending: vec![host] };
        insta::assert_snapshot!(view.text(page));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
        insta::assert_snapshot!(approved.text(page));
    }
}
