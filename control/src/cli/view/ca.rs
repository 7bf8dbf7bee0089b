//! The fleet's CA, and what became of it.

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::time;
use super::{Page, View, ago, table};

/// `floe ca show`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuthorityView {
    /// The oldest first.
    issuers: Vec<IssuerView>,
    root_expires: Option<Timestamp>,
    /// Whether the root's key lies on the control plane.
    root_key: bool,
    host_lifetime_seconds: u64,
}

#[derive(Clone, Debug, Serialize)]
struct IssuerView {
    /// 0 for the root itself.
    number: u32,
    /// `current`, `believed` or `retired`.
    state: &'static str,
    made: Option<Timestamp>,
    expires: Option<Timestamp>,
    retired: Option<Timestamp>,
    /// Hosts with a certificate of it that is good.
    hosts: u32,
    /// Hosts with one that has expired, and may still renew.
    expired_hosts: u32,
}

/// `floe ca rotate`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RotatedView {
    /// The issuer that signs now.
    issuer: u32,
    /// Hosts that were told to renew.
    told: u32,
}

/// `floe ca retire`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RetiredView {
    pub(crate) issuer: u32,
    /// Hosts that have to be enrolled anew.
    pub(crate) lost: u32,
}

impl From<pb::ShowAuthorityReply> for AuthorityView {
    fn from(shown: pb::ShowAuthorityReply) -> Self {
        let issuer = |issuer: pb::CaIssuer| IssuerView {
            number: issuer.number,
            state: match (issuer.retired, issuer.current) {
                (0, true) => "current",
                (0, false) => "believed",
                (_, _) => "retired",
            },
            made: time(issuer.made),
            expires: time(issuer.expires),
            retired: time(issuer.retired),
            hosts: issuer.hosts,
            expired_hosts: issuer.expired_hosts,
        };
        Self {
            issuers: shown.issuers.into_iter().map(issuer).collect(),
            root_expires: time(shown.root_expires),
            root_key: shown.root_key,
            host_lifetime_seconds: shown.host_lifetime_seconds,
        }
    }
}

impl From<pb::RotateIssuerReply> for RotatedView {
    fn from(rotated: pb::RotateIssuerReply) -> Self {
        Self { issuer: rotated.number, told: rotated.told }
    }
}

impl View for AuthorityView {
    fn text(&self, page: Page) -> String {
        let until = |at: Option<Timestamp>| at.map_or_else(|| "-".into(), |at| at.to_string());
        let rows = self.issuers.iter().map(|issuer| {
            [
                issuer.number.to_string(),
                issuer.state.to_owned(),
                issuer.hosts.to_string(),
                issuer.expired_hosts.to_string(),
                ago(page.now, issuer.made),
                until(issuer.expires),
            ]
        });
        let header = ["ISSUER", "STATE", "HOSTS", "EXPIRED", "MADE", "EXPIRES"];
        let key = if self.root_key { "is on the control plane" } else { "is elsewhere" };
        format!(
            "{}\nthe root expires {}, its key {key}; certificates of hosts live for {}\n",
            table(page, header, rows),
            until(self.root_expires),
            humantime::format_duration(std::time::Duration::from_secs(self.host_lifetime_seconds)),
        )
    }
}

impl View for RotatedView {
    fn text(&self, _: Page) -> String {
        format!(
            "issuer {} signs now; {} connected hosts were told to renew\n\
             `floe ca show` says when none is left with an older one\n",
            self.issuer, self.told
        )
    }
}

impl View for RetiredView {
    fn text(&self, _: Page) -> String {
        let lost = match self.lost {
            0 => "no host is lost by it".to_owned(),
            lost => format!("{lost} hosts have to be enrolled anew"),
        };
        format!("issuer {} is believed no more; {lost}\n", self.issuer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuers_and_who_has_their_certificates() {
        let now = Timestamp::from_micros(1_795_380_000_000_000);
        let issuer = |number: u32, retired: i64, current: bool, hosts: u32| pb::CaIssuer {
            number,
            made: now.as_micros() - 7_200_000_000,
            expires: now.as_micros() + 7_200_000_000,
            retired,
            current,
            hosts,
            expired_hosts: 1,
        };
        let issuers = vec![issuer(0, 5, false, 0), issuer(1, 0, false, 3), issuer(2, 0, true, 40)];
        let view = AuthorityView::from(pb::ShowAuthorityReply {
            issuers,
            root_expires: now.as_micros() + 9_000_000_000,
            root_key: false,
            host_lifetime_seconds: 86_400,
        });
        insta::assert_snapshot!(view.text(Page::endless(now)));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }
}
